"""The stage long2short on the tiny model: every method's model, one measure for all, resumed wherever it was killed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from scripted import Built, Speaker
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedModel

from perilune.backends.merging import merge_models
from perilune.cli import main
from perilune.errors import BackendUnavailable, ModelError, RecipeError
from perilune.evaluation.responses import read_responses
from perilune.recipe.recipe import Recipe, load_recipe
from perilune.report.run_data import read_run
from perilune.stages.pipeline import run_pipeline

METHODS = ["merge", "shortest", "dpo", "rl", "merge+shortest"]
SETTINGS = [
    "stages=['sft','rl','short_sft','long2short']",
    "checkpoints.models_every=1",
    "sample.problems=4",
    "sample.samples=6",
    "sample.max_response_tokens=30",
    "short_sft.count=6",
    "long2short.rl.iterations=1",
    "long2short.rl.problems_per_iteration=2",
    "long2short.rl.group_size=2",
    "long2short.rl.segment_tokens=12",
    "long2short.rl.max_response_tokens=12",
    "long2short.start.problems=4",
    "evaluation.max_response_tokens=30",
    # The engine is scripted, and notes -3 nats for whatever it says.
    "logging.mismatch_stop=100",
]


@pytest.fixture
def recipe(tiny_recipe: Path) -> Recipe:
    return load_recipe(tiny_recipe, SETTINGS)


def run(recipe: Recipe, engine: Speaker | None = None, *, resume: bool = False) -> Built:
    build = Built(engine or Speaker())
    run_pipeline(recipe, build, merge=merge_models, resume=resume, quiet=True)
    return build


def results(recipe: Recipe) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((recipe.run_folder / "long2short" / "results.json").read_text())
    return found


def weights(folder: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder)
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def changed(recipe: Recipe, **values: Any) -> Recipe:
    return recipe.model_copy(update={"long2short": recipe.long2short.model_copy(update=values)})


def test_every_method_leaves_a_model_and_all_are_measured_alike(recipe: Recipe) -> None:
    build = run(recipe)
    found, folder = results(recipe), recipe.run_folder
    assert found["finished"] and [row["name"] for row in found["models"]] == ["long", "short", *METHODS]
    assert all(row["point"]["problems"] == 2 for row in found["models"])
    models = {name: weights(folder / "models" / name) for name in ("final", "short")}
    models |= {name: weights(folder / "long2short" / "models" / name) for name in METHODS}
    assert torch.equal(models["merge"], (models["final"] + models["short"]) / 2)
    pairs = [(a, b) for a in models for b in models if a < b]
    assert not any(torch.equal(models[a], models[b]) for a, b in pairs)
    # The short model is of the same base, not of the long model.
    assert build.models.count(recipe.model.name) == 2
    places = {"long": "evaluations/final", "short": "short_sft/evaluations/warmup"}
    places |= {"merge": "long2short/merge/evaluations/base", "shortest": "long2short/shortest/evaluations/warmup"}
    places |= {"dpo": "long2short/dpo/evaluations/dpo", "rl": "long2short/rl/evaluations/final"}
    places |= {"merge+shortest": "long2short/merge+shortest/evaluations/warmup"}
    asked = [[r.problem for r in read_responses(folder / f"{place}.jsonl")] for place in places.values()]
    assert all(problems == asked[0] for problems in asked)
    sources = {row["name"]: row["from"] for row in found["models"]}
    assert sources["merge+shortest"] == "merge" and sources["shortest"] == "long"
    assert read_run(folder).finished and (folder / "long2short" / "report.html").exists()
    assert (folder / "long2short" / "tradeoff.svg").exists()
    assert not list(folder.glob("long2short/*/checkpoints/*"))


def test_one_model_is_asked_for_its_samples_once(recipe: Recipe) -> None:
    run(recipe)
    generated = {}
    for name in ("shortest", "dpo", "merge+shortest"):
        lines = (recipe.run_folder / "long2short" / name / "metrics.jsonl").read_text().splitlines()
        (event,) = [e for e in map(json.loads, lines) if e["event"] == "samples"]
        generated[name] = (event["generated"], event["cached"])
    assert generated == {"shortest": (24, 0), "dpo": (0, 24), "merge+shortest": (24, 0)}
    assert set(results(recipe)["sampling"]) == {"long", "merge"}


def test_the_start_is_chosen_among_the_runs_own_models(recipe: Recipe) -> None:
    run(recipe)
    start = results(recipe)["start"]
    assert {row["name"] for row in start["candidates"]} == {"long", "warmup", "iteration-1"}
    assert start["picked"] in start["told"] and "fewest tokens within 2.0% of the best" in start["told"]
    assert sum(row["picked"] for row in start["candidates"]) == 1
    rl = load_recipe(recipe.run_folder / "long2short" / "rl" / "recipe.toml")
    assert Path(rl.model.name).name == {"long": "final"}.get(start["picked"], start["picked"])
    assert rl.rl.length_reward.weight == 1.0 and rl.rl.max_response_tokens == 12


def test_a_named_candidate_may_be_a_method(recipe: Recipe) -> None:
    start = recipe.long2short.start.model_copy(update={"candidates": ("shortest",)})
    named = changed(recipe, start=start, methods=("rl", "shortest"))
    run(named)
    found = results(named)
    assert found["start"]["picked"] == "shortest"
    assert {row["name"]: row["from"] for row in found["models"]}["rl"] == "shortest"


@dataclass(frozen=True)
class Ended:
    """What a run came to."""

    asked: int
    """Responses that the engine gave."""
    outcome: dict[str, Any]
    models: dict[str, bytes]


@pytest.fixture(scope="module")
def never_killed() -> list[Ended]:
    """Holds the run that was never killed, once a test has made it."""
    return []


def ended(recipe: Recipe, asked: int) -> Ended:
    models = recipe.run_folder / "long2short" / "models"
    names = ("rl", "shortest", "merge", "merge+dpo")
    return Ended(
        asked, outcome_of(recipe), {name: (models / name / "model.safetensors").read_bytes() for name in names}
    )


OFTEN, SELDOM = (2, 12, 20, 48, 61, 88), (7, 16, 35, 52, 56, 80)


@pytest.mark.parametrize("most", [*OFTEN, *(pytest.param(most, marks=pytest.mark.long) for most in SELDOM)])
def test_killed_and_resumed_it_ends_as_if_it_had_not_been(recipe: Recipe, never_killed: list[Ended], most: int) -> None:
    small = changed(recipe, methods=("rl", "shortest", "merge+dpo"))
    if not never_killed:
        whole = small.model_copy(update={"name": "whole"})
        never_killed.append(ended(whole, len(run(whole).engine.given)))
    killed = small.model_copy(update={"name": "killed"})
    first = Speaker(most=most)
    with pytest.raises(KeyboardInterrupt):
        run(killed, first)
    second = run(killed, resume=True).engine
    found = ended(killed, len(first.given) + len(second.given))
    # What was in flight when it was killed is lost; nothing else is asked again.
    assert found.asked <= never_killed[0].asked + 1
    assert found.outcome == never_killed[0].outcome
    assert found.models == never_killed[0].models


def outcome_of(recipe: Recipe) -> dict[str, Any]:
    """The results, without names, places and seconds."""
    outcome = results(recipe)
    outcome.pop("name")
    for row in outcome["models"]:
        row.pop("seconds")
        row.pop("folder")
    outcome["start"].pop("folders")
    return outcome


def test_saved_models_are_enough(recipe: Recipe, tiny_model: PreTrainedModel, tmp_path: Path) -> None:
    other = tmp_path / "short"
    with torch.no_grad():
        for parameter in tiny_model.parameters():
            parameter.mul_(1.1)
    tiny_model.save_pretrained(other)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (other / name).write_bytes((Path(recipe.model.name) / name).read_bytes())
    saved = changed(recipe, methods=("merge",), long_model=recipe.model.name, short_model=str(other))
    saved = saved.model_copy(update={"stages": ("long2short",)})
    run(saved)
    found = results(saved)
    assert [row["folder"] for row in found["models"]] == [recipe.model.name, str(other), "long2short/models/merge"]
    assert all("point" in row for row in found["models"])


def test_models_that_differ_in_one_tensors_shape_are_refused_and_nothing_is_left(
    recipe: Recipe, tiny_model: PreTrainedModel, tmp_path: Path
) -> None:
    wider = LlamaForCausalLM(type(tiny_model.config)(**{**tiny_model.config.to_dict(), "intermediate_size": 100}))
    wider.save_pretrained(tmp_path / "wider")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / "wider" / name).write_bytes((Path(recipe.model.name) / name).read_bytes())
    odd = changed(recipe, methods=("merge",), long_model=recipe.model.name, short_model=str(tmp_path / "wider"))
    odd = odd.model_copy(update={"stages": ("long2short",)})
    with pytest.raises(ModelError, match=r"mlp\.\w+_proj\.weight"):
        run(odd)
    assert list(odd.run_folder.rglob("*merge*")) == []


def test_what_is_missing_is_told_before_anything_begins(recipe: Recipe) -> None:
    alone = recipe.model_copy(update={"stages": ("long2short",)})
    with pytest.raises(RecipeError, match="short_sft"):
        run(alone)
    with pytest.raises(BackendUnavailable, match="merge"):
        run_pipeline(recipe, Built(Speaker()), quiet=True)
    start = recipe.long2short.start.model_copy(update={"candidates": ("nonsense",)})
    with pytest.raises(RecipeError, match="'nonsense' is neither"):
        run(changed(recipe, start=start))
    assert not recipe.run_folder.exists()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("long2short.methods=['merge','average']", "unknown step 'average'"),
        ("long2short.methods=['shortest+merge']", "can only be first"),
        ("long2short.methods=['dpo','dpo']", "named twice"),
        ("long2short.methods=['rl+rl']", "twice in a row"),
        ("long2short.methods=[]", "at least one method"),
        ("stages=['long2short','sft']", "come last"),
        ("stages=['sft','long2short']", "short-CoT model"),
        ("dpo.label_smoothing=0.5", "label_smoothing"),
        ("sample.longer=0.5", "longer"),
    ],
)
def test_a_bad_recipe_is_refused(tiny_recipe: Path, setting: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load_recipe(tiny_recipe, [*SETTINGS, setting])


def test_the_command(recipe: Recipe, tiny_recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the real engine, whose responses do not end: merging needs none that does."""
    arguments = [part for setting in SETTINGS for part in ("--set", setting)]
    arguments += ["--set", "long2short.methods=['merge']", "--quiet"]
    assert main(["long2short", str(tiny_recipe), *arguments]) == 0
    output = capsys.readouterr().out
    assert "merge" in output and "report.html" in output
    assert [row["name"] for row in results(recipe)["models"]] == ["long", "short", "merge"]
    # The recipe's model itself was the long one.
    assert results(recipe)["models"][0]["folder"] == recipe.model.name


def test_the_command_makes_no_short_model_where_one_is_named(recipe: Recipe, tiny_recipe: Path) -> None:
    settings = [*SETTINGS, "long2short.methods=['merge']", f"long2short.short_model={recipe.model.name}"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    assert main(["long2short", str(tiny_recipe), *arguments, "--quiet"]) == 0
    assert not (recipe.run_folder / "models" / "short").exists()
    assert not (recipe.run_folder / "short_sft").exists()
    assert [row["name"] for row in results(recipe)["models"]] == ["long", "short", "merge"]
