"""The stage dpo: own pairs, the reference computed once, and a resumed stage that goes on with the next step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted import Built, Speaker

from perilune.errors import ProblemsError, RunFolderError
from perilune.protocols import Trainer
from perilune.recipe.recipe import Recipe, load_recipe
from perilune.run.metrics import read_metrics
from perilune.stages.backends import Backends
from perilune.stages.pipeline import run_pipeline


@pytest.fixture
def recipe(tiny_recipe: Path) -> Recipe:
    rows = [
        {"prompt": f"{n} + 1?", "chosen": f"Answer: {n + 1}", "rejected": f"Let me think about {n}. Answer: {n}"}
        for n in range(12)
    ]
    path = tiny_recipe.parent / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = [f"dpo.pairs={path}", "dpo.batch_size=2", "dpo.learning_rate=1e-3", "checkpoints.sft_steps=2"]
    return load_recipe(tiny_recipe, ["stages=['dpo']", *settings])


def steps(recipe: Recipe) -> list[dict[str, float]]:
    return [event for event in read_metrics(recipe.run_folder) if event["event"] == "dpo_step"]


def test_own_pairs_are_learned(recipe: Recipe) -> None:
    run_pipeline(
        recipe.model_copy(update={"dpo": recipe.dpo.model_copy(update={"epochs": 6})}), Built(Speaker()), quiet=True
    )
    found = steps(recipe)
    assert len(found) == 36 and found[0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert found[-1]["loss"] < 0.3 and found[-1]["preferred"] == 1.0 and found[-1]["margin"] > 5


class Interrupting(Built):
    """Ends the process, so to speak, after some optimiser steps."""

    after = 5

    def __call__(self, recipe: Recipe) -> Backends:
        parts = super().__call__(recipe)
        trainer: Trainer = parts.trainer
        update = trainer.update

        def interrupted(samples, objective, steps, on_step=None):  # type: ignore[no-untyped-def]
            def stop(step):  # type: ignore[no-untyped-def]
                on_step(step)
                if step.number == self.after:
                    raise KeyboardInterrupt

            return update(samples, objective, steps, stop)

        trainer.update = interrupted  # type: ignore[method-assign]
        return parts


def test_a_resumed_stage_ends_with_the_weights_of_an_undisturbed_one(recipe: Recipe) -> None:
    whole = recipe.model_copy(update={"name": "whole"})
    run_pipeline(whole, Built(Speaker()), quiet=True)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(recipe, Interrupting(Speaker()), quiet=True)
    kept = (recipe.run_folder / "dpo-reference.json").read_bytes()
    run_pipeline(recipe, Built(Speaker()), resume=True, quiet=True)
    assert (recipe.run_folder / "dpo-reference.json").read_bytes() == kept
    files = [found.run_folder / "models" / "dpo" / "model.safetensors" for found in (whole, recipe)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert [event["step"] for event in steps(recipe)] == [1, 2, 3, 4, 5, 6]


def test_a_damaged_reference_is_an_error_not_another_reference(recipe: Recipe) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(recipe, Interrupting(Speaker()), quiet=True)
    (recipe.run_folder / "dpo-reference.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunFolderError, match="dpo-reference"):
        run_pipeline(recipe, Built(Speaker()), resume=True, quiet=True)


def test_other_pairs_under_a_resumed_stage_are_an_error(recipe: Recipe) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(recipe, Interrupting(Speaker()), quiet=True)
    path = Path(str(recipe.dpo.pairs))
    path.write_text(path.read_text().replace("11 + 1?", "11 + 2?"), encoding="utf-8")
    with pytest.raises(RunFolderError, match="not those that this run began with"):
        run_pipeline(recipe, Built(Speaker()), resume=True, quiet=True)


def test_without_pairs_the_stage_says_where_they_come_from(tiny_recipe: Path) -> None:
    with pytest.raises(ProblemsError, match=r"dpo\.pairs"):
        run_pipeline(load_recipe(tiny_recipe, ["stages=['dpo']"]), Built(Speaker()), quiet=True)


def test_an_empty_preference_set_is_refused(tiny_recipe: Path) -> None:
    path = tiny_recipe.parent / "none.jsonl"
    path.write_text("", encoding="utf-8")
    with pytest.raises(ProblemsError, match="empty"):
        run_pipeline(load_recipe(tiny_recipe, ["stages=['dpo']", f"dpo.pairs={path}"]), Built(Speaker()), quiet=True)
