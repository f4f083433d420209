"""The warm-up: its demonstrations are right, its steps follow their schedule."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perilune.config import Recipe, RewardsConfig
from perilune.errors import ProblemsError
from perilune.rewards.pool import GradingPool
from perilune.stages.sft import demonstrations_for, sft_steps, verified
from perilune.training_config import SFTConfig
from perilune.types import Demonstration, Message, Problem


def shown(answer: str, response: str) -> Demonstration:
    return Demonstration(Problem(f"{answer}/{response}", (Message("user", "?"),), answer), response)


def test_the_learning_rate_rises_and_falls_linearly() -> None:
    config = SFTConfig(batch_size=2, learning_rate=1.0, final_learning_rate=0.2, warmup_share=0.25)
    rates = [step.learning_rate for step in sft_steps(16, config, seed=0)]
    # Eight steps: two rise to the peak; from the third on down to the final rate by 0.16 a step.
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.84, 0.68, 0.52, 0.36, 0.2])


def test_without_a_rise_it_begins_at_the_peak() -> None:
    config = SFTConfig(batch_size=4, learning_rate=1.0, final_learning_rate=0.5, warmup_share=0.0)
    assert [step.learning_rate for step in sft_steps(12, config, seed=0)] == pytest.approx([1.0, 0.75, 0.5])
    assert [step.learning_rate for step in sft_steps(2, config, seed=0)] == [1.0]


def test_each_epoch_takes_each_demonstration_once_in_an_order_of_its_own() -> None:
    config = SFTConfig(batch_size=4, epochs=3)
    steps = sft_steps(10, config, seed=0)
    assert [len(step.indices) for step in steps] == [4, 4, 2] * 3
    epochs = [[i for step in steps[start : start + 3] for i in step.indices] for start in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert steps == sft_steps(10, config, seed=0)
    assert steps != sft_steps(10, config, seed=1)


def test_wrong_demonstrations_are_dropped_and_unanswered_ones_kept() -> None:
    right, wrong, open_ended = shown("4", "Answer: 4"), shown("4", "Answer: 5"), shown("", "Hello!")
    with GradingPool(RewardsConfig(workers=1)) as grader:
        assert verified([wrong, right, open_ended, right], grader) == [right, open_ended, right]
        with pytest.raises(ProblemsError, match=r"none of 2 demonstrations is right .* rewards\.answer_form"):
            verified([wrong, wrong], grader)
        with pytest.raises(ProblemsError, match=r"none of 0 demonstrations .*there were none"):
            verified([], grader)


def test_what_a_model_wrote_in_the_run_is_learned_from(tmp_path: Path) -> None:
    source = {"kind": "generator", "generators": [{"name": "arithmetic"}]}
    recipe = Recipe.model_validate(
        {"name": "r", "model": {"name": "m"}, "problems": {"train": source, "heldout": source}, "sft": {"count": 2}}
    )
    turns = [
        [{"role": "user", "content": q}, {"role": "assistant", "content": f"Answer: {a}"}] for q, a in ("ab", "cd")
    ]
    written = tmp_path / "demonstrations.jsonl"
    written.write_text(
        "".join(json.dumps({"messages": t, "answer": t[1]["content"][-1]}) + "\n" for t in turns), encoding="utf-8"
    )
    named = tmp_path / "named.jsonl"
    named.write_text(json.dumps({"messages": turns[0], "answer": "b"}) + "\n", encoding="utf-8")
    with GradingPool(RewardsConfig()) as grader:
        assert [d.response for d in demonstrations_for(recipe, grader, written)] == ["Answer: b", "Answer: d"]
        own = recipe.model_copy(update={"sft": recipe.sft.model_copy(update={"demonstrations": str(named)})})
        assert [d.response for d in demonstrations_for(own, grader, written)] == ["Answer: b"]
        assert len(demonstrations_for(recipe, grader)) == 2
