"""The stage sample: what it chooses, counts, keeps; and that SFT and DPO, ours and TRL's, take what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted import Built, Speaker
from transformers import AutoModelForCausalLM, AutoTokenizer

from perilune.curation.asking import Answer
from perilune.data.preferences import load_preferences
from perilune.errors import ProblemsError
from perilune.evaluation.responses import read_responses
from perilune.recipe.long2short import SampleConfig
from perilune.recipe.recipe import Recipe, load_recipe
from perilune.run.jsonl import read_objects
from perilune.run.metrics import read_metrics
from perilune.stages.pipeline import run_pipeline
from perilune.stages.sample import choose, summarize_choice
from perilune.types import Grade, Message, Problem, Stop, Verdict

SETTINGS = ["sample.problems=4", "sample.samples=6", "sample.max_response_tokens=30", "sample.longer=1.2"]


def recipe_of(path: Path, *stages: str, settings: list[str] | None = None) -> Recipe:
    named = ", ".join(f"'{stage}'" for stage in stages)
    return load_recipe(path, [*SETTINGS, f"stages=[{named}]", *(settings or [])])


def answer(text: str, tokens: int, verdict: Verdict, stop: Stop = Stop.ENDED) -> Answer:
    return Answer(text, tokens, stop, Grade(verdict, float(verdict is Verdict.RIGHT)))


def test_errors_count_neither_as_right_nor_as_wrong() -> None:
    problem = Problem("p", (Message("user", "1 + 1?"),), "2")
    given = [
        answer("2", 5, Verdict.ERROR),
        answer("is 2", 7, Verdict.RIGHT),
        answer("surely 3", 9, Verdict.ERROR),
        answer("it is 3", 8, Verdict.WRONG),
        answer("is 2", 20, Verdict.RIGHT),
    ]
    chosen = choose(problem, given, SampleConfig())
    assert chosen.shortest is not None and chosen.shortest.index == 1
    # Sample 4 says the very same text, which is no preference.
    assert [(a.index, b.index) for a, b in chosen.pairs] == [(1, 3)]
    counts = summarize_choice([chosen])
    assert (counts["right"], counts["errors"], counts["pairs_rejecting_wrong"]) == (2, 2, 1)


def test_a_problem_whose_responses_are_all_equally_long_is_counted_and_makes_no_pair() -> None:
    problem = Problem("p", (Message("user", "1 + 1?"),), "2")
    chosen = choose(problem, [answer("2", 5, Verdict.RIGHT), answer("3", 5, Verdict.WRONG)], SampleConfig())
    assert chosen.pairs == () and chosen.shortest is not None
    assert summarize_choice([chosen])["equally_long"] == 1


def test_files_and_counts(tiny_recipe: Path) -> None:
    recipe = recipe_of(tiny_recipe, "sample")
    run_pipeline(recipe, Built(Speaker()), quiet=True)
    folder = recipe.run_folder / "sampling"
    responses = read_responses(folder / "responses.jsonl")
    assert len(responses) == 24 and {r.sample for r in responses} == set(range(1, 7))
    summary = json.loads((folder / "summary.json").read_text())
    by_problem: dict[str, list[Any]] = {}
    for response in responses:
        by_problem.setdefault(response.problem.id, []).append(response)
    right = {name: [r for r in found if r.grade.verdict is Verdict.RIGHT] for name, found in by_problem.items()}
    assert summary["without_right"] == sum(not found for found in right.values())
    shortest = read_objects(folder / "shortest.jsonl")
    expected = {name: min(r.tokens for r in found) for name, found in right.items() if found}
    assert {row["problem"]: row["tokens"] for row in shortest} == expected
    pairs = load_preferences(folder / "preferences.jsonl")
    assert len(pairs) == summary["pairs"] > 0
    for row in read_objects(folder / "preferences.jsonl"):
        least = row["chosen_tokens"] * (1.2 if row["rejected_right"] else 1)
        assert row["rejected_tokens"] > least and row["chosen_tokens"] == expected[row["problem"]]
    (event,) = [event for event in read_metrics(recipe.run_folder) if event["event"] == "samples"]
    assert event["generated"] == 24 and event["pairs"] == summary["pairs"]


def test_a_killed_run_asks_for_the_rest_alone(tiny_recipe: Path) -> None:
    recipe = recipe_of(tiny_recipe, "sample")
    first, second, whole = Speaker(most=10), Speaker(), Speaker()
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(recipe, Built(first), quiet=True)
    run_pipeline(recipe, Built(second), resume=True, quiet=True)
    assert len(first.given) == 10 and len(second.given) == 14 and set(first.given).isdisjoint(second.given)
    other = recipe.model_copy(update={"name": "whole"})
    run_pipeline(other, Built(whole), quiet=True)
    for name in ("shortest.jsonl", "preferences.jsonl", "summary.json", "responses.jsonl"):
        paths = [found.run_folder / "sampling" / name for found in (recipe, other)]
        assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(("stage", "model", "event"), [("sft", "warmup", "sft_step"), ("dpo", "dpo", "dpo_step")])
def test_the_stage_after_it_trains_on_what_it_wrote(tiny_recipe: Path, stage: str, model: str, event: str) -> None:
    recipe = recipe_of(tiny_recipe, "sample", stage, settings=["sft.batch_size=2", "dpo.batch_size=2"])
    run_pipeline(recipe, Built(Speaker()), quiet=True)
    AutoModelForCausalLM.from_pretrained(recipe.run_folder / "models" / model)
    counts = json.loads((recipe.run_folder / "sampling" / "summary.json").read_text())
    trained = counts["chosen"] if stage == "sft" else counts["pairs"]
    steps = [found for found in read_metrics(recipe.run_folder) if found["event"] == event]
    assert len(steps) == -(-trained // 2)
    if stage == "dpo":
        assert steps[0]["loss"] == pytest.approx(0.6931, abs=1e-3) and steps[0]["margin"] == pytest.approx(0, abs=1e-3)


def test_dpo_without_a_pair_names_the_reasons_and_leaves_no_model(tiny_recipe: Path) -> None:
    recipe = recipe_of(tiny_recipe, "sample", "dpo")
    with pytest.raises(ProblemsError, match=r"no preference pair: of 4 problems .* all equally long"):
        run_pipeline(recipe, Built(Speaker(equal=True)), quiet=True)
    assert list((recipe.run_folder / "models").iterdir()) == []


def test_sft_without_a_right_response_that_ended_says_so(tiny_recipe: Path) -> None:
    recipe = recipe_of(tiny_recipe, "sample", "sft", settings=["sample.max_response_tokens=3"])
    with pytest.raises(ProblemsError, match=r"not one of 4 problems has a right response .*\(24 were stopped"):
        run_pipeline(recipe, Built(Speaker()), quiet=True)


@pytest.mark.filterwarnings("ignore")
def test_trl_reads_both_files_as_they_are(tiny_recipe: Path, tmp_path: Path) -> None:
    from datasets import load_dataset
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    recipe = recipe_of(tiny_recipe, "sample")
    run_pipeline(recipe, Built(Speaker()), quiet=True)
    folder, model = recipe.run_folder / "sampling", recipe.model.name
    plain = {"max_steps": 1, "report_to": [], "use_cpu": True, "bf16": False, "per_device_train_batch_size": 2}
    for name, trainer, config in (
        ("shortest.jsonl", SFTTrainer, SFTConfig),
        ("preferences.jsonl", DPOTrainer, DPOConfig),
    ):
        data = load_dataset("json", data_files=str(folder / name), split="train", cache_dir=str(tmp_path / "cache"))
        arguments = config(output_dir=str(tmp_path / name), save_strategy="no", **plain)
        trained = trainer(
            model=AutoModelForCausalLM.from_pretrained(model),
            args=arguments,
            train_dataset=data,
            processing_class=AutoTokenizer.from_pretrained(model),
        )
        assert trained.train().training_loss > 0
