"""A whole run on the tiny model: warm-up, RL with partial rollouts, evaluations, the model at the end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from perilune.build import build_backends
from perilune.errors import RunFolderError
from perilune.recipe.recipe import Recipe
from perilune.run.jsonl import read_objects
from perilune.run.metrics import read_metrics
from perilune.stages.backends import Backends
from perilune.stages.pipeline import plan, run_pipeline

OWN_REWARD = """
from perilune.types import Grade, Verdict

def lenient(problem, response, stop):
    right = sum(map(ord, response)) % 2 == 0
    return Grade(Verdict.RIGHT if right else Verdict.WRONG, float(right))
"""
"""The tiny model never finds a true answer, and where all are wrong there is nothing to learn."""

GENERATED = {"kind": "generator", "generators": [{"name": "arithmetic"}]}


@pytest.fixture
def recipe(
    tmp_path: Path,
    tiny_model: PreTrainedModel,
    tiny_tokenizer: PreTrainedTokenizerBase,
    monkeypatch: pytest.MonkeyPatch,
) -> Recipe:
    (tmp_path / "pipeline_rewards.py").write_text(OWN_REWARD, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    questions = [(f"{n} + 3 = ?", str(n + 3)) for n in range(8)]
    rows = [{"question": question, "answer": answer} for question, answer in questions]
    _write_lines(tmp_path / "problems.jsonl", rows)
    shown = [
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": f"Answer: {answer}"},
            ],
            "answer": answer,
        }
        for question, answer in questions
    ]
    _write_lines(tmp_path / "shown.jsonl", shown)
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    return Recipe.model_validate(
        {
            "name": "tiny",
            "output": str(tmp_path / "runs"),
            "threads": 1,
            "model": {"name": str(tmp_path / "model")},
            "problems": {
                "train": {
                    "kind": "jsonl",
                    "path": str(tmp_path / "problems.jsonl"),
                    "max_prompt_tokens": 400,
                    "reward": "pipeline_rewards:lenient",
                },
                "heldout": {**GENERATED, "count": 2, "max_prompt_tokens": 400},
            },
            "engine": {"dtype": "float32", "slots": 8},
            "trainer": {"dtype": "float32"},
            "sft": {"count": 8, "demonstrations": str(tmp_path / "shown.jsonl")},
            "rl": {
                "iterations": 2,
                "problems_per_iteration": 2,
                "group_size": 4,
                "segment_tokens": 12,
                "max_response_tokens": 24,
                "learning_rate": 1e-4,
            },
            "evaluation": {"max_response_tokens": 8},
            "logging": {"tensorboard": False},
        }
    )


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def with_rl(recipe: Recipe, **changes: Any) -> Recipe:
    return recipe.model_copy(update={"rl": recipe.rl.model_copy(update=changes)})


def test_a_plan_measures_before_between_and_after(recipe: Recipe) -> None:
    assert plan(recipe) == ["evaluate base", "sft", "evaluate warmup", "rl", "evaluate final"]
    bare = recipe.evaluation.model_copy(update={"base": False})
    assert plan(recipe.model_copy(update={"stages": ("rl",), "evaluation": bare})) == ["rl", "evaluate final"]
    assert plan(recipe.model_copy(update={"stages": ()})) == ["evaluate base"]


def test_a_whole_run_leaves_a_model_and_its_figures(recipe: Recipe) -> None:
    path = run_pipeline(recipe, build_backends, quiet=True)
    summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    names = {"base", "warmup", "final"}
    assert set(summary["accuracy"]) == set(summary["tokens"]) == set(summary["problems"]) == names
    assert summary["problems"]["final"] == 2
    assert summary["iterations"] == 2
    assert {"setup", "sft", "rollout", "train", "save", "evaluate"} <= set(summary["seconds"])
    # Two groups of four are complete in the second iteration, after one cut; the first trained nothing.
    assert summary["trajectories_trained"] == 8
    assert summary["share_multi_version"] == 0.0
    assert summary["mismatch"]["mean"] < 1e-4
    assert {p.name for p in (path / "evaluations").iterdir()} == {f"{name}.jsonl" for name in names}
    assert (path / "report.html").exists()

    model = AutoModelForCausalLM.from_pretrained(path / "models" / "final")
    tokenizer = AutoTokenizer.from_pretrained(path / "models" / "final")
    before = AutoModelForCausalLM.from_pretrained(path / "models" / "warmup")
    assert model.num_parameters() == before.num_parameters()
    assert not (model.lm_head.weight == before.lm_head.weight).all()
    assert tokenizer.chat_template

    with pytest.raises(RunFolderError, match="exists already"):
        run_pipeline(recipe, build_backends, quiet=True)
    # A finished run does nothing again, and can be made longer.
    events = len(read_metrics(path))
    run_pipeline(recipe, build_backends, resume=True, quiet=True)
    assert [e["event"] for e in read_metrics(path)[events:]] == ["seconds"]
    run_pipeline(with_rl(recipe, iterations=3), build_backends, resume=True, quiet=True)
    longer = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    assert longer["iterations"] == 3
    # Now the policy has been trained between the two segments.
    assert 0.0 < longer["share_multi_version"] <= 0.5


def test_a_stopped_run_goes_on_to_the_same_end(recipe: Recipe) -> None:
    class Stopped(KeyboardInterrupt):
        pass

    def build_and_stop_in_rl(wanted: Recipe) -> Backends:
        parts = build_backends(wanted)
        trained = 0

        def decode(tokens: Any) -> str:
            # The text of a response is first wanted when it is finished: in RL after the warm-up's evaluation.
            nonlocal trained
            trained += parts.trainer.version > 0
            if trained > 3:
                raise Stopped
            return parts.decode(tokens)

        return replace(parts, decode=decode)

    with pytest.raises(Stopped):
        run_pipeline(recipe, build_and_stop_in_rl, quiet=True)
    path = recipe.run_folder
    assert not (path / "models" / "final").exists()
    before = [e["name"] for e in read_metrics(path) if e["event"] == "evaluation"]
    assert before == ["base", "warmup"]

    run_pipeline(recipe, build_backends, resume=True, quiet=True)
    events = read_metrics(path)
    assert [e["name"] for e in events if e["event"] == "evaluation"] == ["base", "warmup", "final"]
    assert [e["step"] for e in events if e["event"] == "iteration"] == [0, 1]
    summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    assert (summary["iterations"], summary["trajectories_trained"]) == (2, 8)
    assert (path / "models" / "final" / "config.json").exists()


def test_rl_draws_from_what_curation_keeps(recipe: Recipe) -> None:
    """The tiny model never verifies a true reference, so the steps that ask for one are left out."""
    train = recipe.problems.train
    rows = [json.loads(line) for line in Path(str(train.path)).read_text().splitlines()]
    rows += [rows[0], {"question": "Prove that 2 < 3.", "answer": ""}]
    _write_lines(Path(str(train.path)), rows)
    curated = recipe.model_copy(
        update={
            "stages": ("curate", "rl"),
            "curation": recipe.curation.model_validate(
                {
                    "steps": ["forms", "duplicates", "tags", "difficulty"],
                    "difficulty": {"samples": 3, "max_response_tokens": 8, "trivial_rate": 1.0, "confirm": False},
                }
            ),
        }
    )
    folder = run_pipeline(curated, build_backends, quiet=True)
    gone = read_objects(folder / "curation" / "dropped.jsonl")
    assert {row["reason"] for row in gone} >= {"proof", "duplicate"}
    kept = {row["id"]: row for row in read_objects(folder / "curation" / "problems.jsonl")}
    drawn = read_objects(folder / "draws.jsonl")
    assert drawn and {draw["problem"] for draw in drawn} <= set(kept)
    for draw in drawn:
        row = kept[draw["problem"]]
        band = {"hopeless": "hard", "trivial": "easy"}.get(row["band"], row["band"])
        assert (draw["band"], draw["tag"]) == (band, row["tags"][0])
        assert draw["difficulty"] == pytest.approx(1 - row["pass_rate"])
    report = (folder / "report.html").read_text()
    assert "curation/report.html" in report and f"{len(kept)} of 10 problems stay" in report


def test_preparing_stages_train_nothing_and_are_not_evaluated(recipe: Recipe) -> None:
    stages = recipe.model_copy(update={"stages": ("curate", "warmup", "sft", "rl")})
    steps = [step for step in plan(stages) if step != "evaluate base"]
    assert steps == ["curate", "warmup", "sft", "evaluate warmup", "rl", "evaluate final"]
