"""The warm-up: its demonstrations are right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perilune.errors import ProblemsError
from perilune.recipe.recipe import Recipe
from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.pool import GradingPool
from perilune.stages.sft import demonstrations_for, verified
from perilune.types import Demonstration, Message, Problem


def shown(answer: str, response: str) -> Demonstration:
    return Demonstration(Problem(f"{answer}/{response}", (Message("user", "?"),), answer), response)


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
