"""The prompts of the warm-up set, and the worked examples in them."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import get_args

import pytest

from perilune.curation.behaviours import behaviours
from perilune.curation.equations import false_equations
from perilune.curation.warmup_prompts import INSTRUCTIONS, SHOWN, WarmupPrompts, WorkedExample, load_examples
from perilune.data import arithmetic
from perilune.data.generators import split_of, stated
from perilune.errors import ProblemsError
from perilune.recipe.curation import WarmupConfig, WarmupVariant
from perilune.rewards.math import MathReward
from perilune.types import Message, Problem, Stop, Verdict

VARIANTS: tuple[WarmupVariant, ...] = get_args(WarmupVariant)
PROBLEM = Problem("p", (Message("user", "Tom sells 5 of 30 eggs. How many are left?"),), "25")


def example(variant: WarmupVariant, question: str) -> WorkedExample:
    return WorkedExample(variant, question, f"Plan: solve {question}", "1")


@pytest.mark.parametrize("worked", load_examples(), ids=lambda e: f"{e.variant}: {e.question[:20]}")
def test_each_example_is_right_and_shows_what_its_variant_asks_for(worked: WorkedExample) -> None:
    problem = Problem("example", (Message("user", worked.question),), worked.answer)
    for form in ("answer_line", "boxed"):
        response = f"{worked.response}\n{stated(worked.answer, form)}"
        assert MathReward(form)(problem, response, Stop.ENDED).verdict is Verdict.RIGHT
    assert false_equations(worked.response) == ()
    assert behaviours(worked.response) == SHOWN[worked.variant]


def test_no_example_shares_its_numbers_with_the_generators_heldout_problems() -> None:
    for worked in load_examples():
        numbers = re.findall(r"\d+", worked.question)
        assert 2 <= len(numbers) <= 4
        for operations in itertools.product("+-*/", repeat=len(numbers) - 1):
            content = numbers[0] + "".join(o + n for o, n in zip(operations, numbers[1:], strict=True))
            assert split_of(f"arithmetic:{content}") == "train" or not _is_told(content), worked.question


def _is_told(content: str) -> bool:
    """Whether the generator's stories can tell it: whole numbers all the way, none below one."""
    start, *steps = re.findall(r"^\d+|[-+*/]\d+", content)
    value = int(start)
    for step in steps:
        operation, number = step[0], int(step[1:])
        if operation == "/" and value % number:
            return False
        value = arithmetic.apply(value, operation, number)
        if value < 1:
            return False
    return True


def test_the_examples_use_none_of_the_generators_names_and_things() -> None:
    words = set(re.findall(r"\w+", " ".join(worked.question for worked in load_examples())))
    assert words.isdisjoint(arithmetic.NAMES) and words.isdisjoint(arithmetic.THINGS)


def test_every_variant_has_an_instruction_and_examples_for_the_default_shots() -> None:
    assert set(INSTRUCTIONS) == set(SHOWN) == set(VARIANTS)
    config = WarmupConfig()
    WarmupPrompts(load_examples(), config.variants, config.shots, "answer_line")


def test_examples_are_chat_turns_before_the_plain_problem() -> None:
    prompts = WarmupPrompts([example("plan", "A?"), example("plan", "B?")], ("plan",), 2, "boxed")
    asked = prompts.ask(PROBLEM, "plan")
    assert [message.role for message in asked.messages] == ["user", "assistant"] * 2 + ["user"]
    assert asked.messages[0].content == f"{INSTRUCTIONS['plan']}\n\nA?"
    assert asked.messages[1].content == "Plan: solve A?\n\\boxed{1}"
    assert asked.messages[-1] == PROBLEM.messages[0]
    assert (asked.id, asked.answer) == (PROBLEM.id, PROBLEM.answer)


def test_without_examples_the_problem_has_the_instruction() -> None:
    prompts = WarmupPrompts([], ("check",), 0, "answer_line")
    (message,) = prompts.ask(PROBLEM, "check").messages
    assert message.content == f"{INSTRUCTIONS['check']}\n\n{PROBLEM.messages[0].content}"


def test_a_system_message_stays_in_front() -> None:
    problem = Problem("p", (Message("system", "Be brief."), *PROBLEM.messages), "25")
    roles = [
        m.role for m in WarmupPrompts([example("plan", "A?")], ("plan",), 1, "boxed").ask(problem, "plan").messages
    ]
    assert roles == ["system", "user", "assistant", "user"]


def test_the_nearest_examples_are_shown_the_nearest_last() -> None:
    far, near, nearest = "How long is the rope?", "How many eggs does Ann find?", "Ann sells eggs. How many are left?"
    prompts = WarmupPrompts([example("plan", q) for q in (nearest, far, near)], ("plan",), 2, "boxed")
    assert [e.question for e in prompts.examples(PROBLEM, "plan")] == [near, nearest]


def test_too_few_examples_are_told() -> None:
    with pytest.raises(ProblemsError, match=r"warmup\.shots = 2, but there are 1 worked examples of .*'plan'"):
        WarmupPrompts([example("plan", "A?")], ("plan",), 2, "boxed")


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_ones_own_examples(tmp_path: Path) -> None:
    row = {"variant": "full", "question": "小明有3个苹果？", "response": "计划：数一数。", "answer": "3"}
    path = write(tmp_path / "own.jsonl", row)
    assert load_examples(path) == (WorkedExample("full", "小明有3个苹果？", "计划：数一数。", "3"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variant": "think"}, "line 2: variant = 'think' is none of plan, check, reflect, explore, full"),
        ({"question": " "}, "line 2: a worked example needs a text in the field 'question'"),
        ({"answer": 3}, "line 2: a worked example needs a text in the field 'answer'"),
    ],
)
def test_faults_of_ones_own_examples_are_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    row = {"variant": "full", "question": "3?", "response": "Plan: count.", "answer": "3"}
    path = write(tmp_path / "own.jsonl", row, {**row, **change})
    with pytest.raises(ProblemsError, match=re.escape(str(path)) + ".*" + re.escape(message)):
        load_examples(path)
    with pytest.raises(ProblemsError, match="no problem file"):
        load_examples(tmp_path / "none.jsonl")
