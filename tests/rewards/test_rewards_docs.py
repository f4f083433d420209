"""Every example of docs/rewards.md is graded as the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from perilune.recipe.rewards import ANSWER_FORMS
from perilune.rewards.math import MathReward
from perilune.types import Message, Problem, Stop, Verdict

PAGE = Path(__file__).parents[2] / "docs" / "rewards.md"


def rows(header: str) -> list[list[str]]:
    """The cells of the table under that header line."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = lines.index(header) + 2
    found = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def examples(cell: str) -> list[str]:
    return [text.replace("⏎", "\n") for text in re.findall(r"`([^`]+)`", cell)]


def example(cell: str) -> str:
    (text,) = examples(cell)
    return text


FORMS = rows("| form | response | answer |")
ORDER = rows("| response | answer with `any` | why |")
EQUAL = rows("| kind | reference | right | wrong |")
OTHERS = rows("| grader | what it does | reference | answer | there | here |")
REFUSED = rows("| reference | why it is refused |")


def problem(reference: str) -> Problem:
    return Problem("p", (Message("user", "?"),), reference)


def found(form: str, response: str) -> str:
    return MathReward(form).explain(problem("72"), response, Stop.ENDED).found


def graded() -> Iterator[tuple[str, str, Verdict]]:
    for kind, reference, right, wrong in EQUAL:
        assert examples(right) and examples(wrong), kind
        for cell, verdict in ((right, Verdict.RIGHT), (wrong, Verdict.WRONG)):
            yield from ((example(reference), answer, verdict) for answer in examples(cell))


@pytest.mark.parametrize(("form", "response", "answer"), [[example(cell) for cell in row] for row in FORMS])
def test_each_form_finds_its_answer(form: str, response: str, answer: str) -> None:
    assert found(form, response) == answer
    if not form.startswith("pattern"):
        assert found("any", response) == answer


def test_every_form_has_an_example() -> None:
    shown = {example(form) for form, _, _ in FORMS}
    assert {form for form in ANSWER_FORMS if form != "any"} <= shown
    assert any(form.startswith("pattern:") for form in shown)


@pytest.mark.parametrize(("response", "answer"), [(example(row[0]), row[1]) for row in ORDER])
def test_the_order_is_as_told(response: str, answer: str) -> None:
    assert found("any", response) == ("" if answer == "none" else example(answer))


@pytest.mark.parametrize(("reference", "answer", "verdict"), list(graded()))
def test_what_is_equal(reference: str, answer: str, verdict: Verdict) -> None:
    assert MathReward()(problem(reference), rf"Thus \boxed{{{answer}}}.", Stop.ENDED).verdict is verdict


@pytest.mark.parametrize(("reference", "why"), [(example(row[0]), row[1]) for row in REFUSED])
def test_references_that_are_refused(reference: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        MathReward().check_reference(problem(reference))
    assert MathReward()(problem(reference), r"\boxed{1}", Stop.ENDED).verdict is Verdict.ERROR


@pytest.mark.parametrize(("reference", "answer", "there", "here"), [row[2:] for row in OTHERS])
def test_what_others_do_is_not_done_here(reference: str, answer: str, there: str, here: str) -> None:
    assert {there, here} == {"right", "wrong"}
    response = rf"Thus \boxed{{{example(answer)}}}."
    assert MathReward()(problem(example(reference)), response, Stop.ENDED).verdict is Verdict(here)
