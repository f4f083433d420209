"""What counts as a guess, and how it is asked for."""

from __future__ import annotations

import pytest

from perilune.curation.guessing import guess_of, guess_prompt, stated_guess
from perilune.rewards.math import MathReward
from perilune.types import Message, Problem, Stop, Verdict


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("61", "61"),
        ("Answer: 61.", "61"),
        ("x = 61", "61"),
        ("34 + 27 = 61\nSo", "61"),
        ("$61", "61"),
        ("61 marbles", "61"),
        ("34 + 27", ""),
        ("34 + 27 =", ""),
        ("61 or 62", ""),
        ("It is hard to say", ""),
        ("", ""),
    ],
)
def test_only_a_finished_number_guesses_a_number(text: str, guess: str) -> None:
    assert guess_of(text, "61") == guess


def test_words_are_guessed_as_they_stand() -> None:
    assert guess_of(" Paris.\nIt is", "Paris") == "Paris"
    assert guess_of("yes", "yes") == "yes"


@pytest.mark.parametrize("form", ["boxed", "answer_line", "any"])
def test_a_guess_is_stated_in_the_form_of_the_recipe(form: str) -> None:
    problem = Problem("p", (Message("user", "What is 34 + 27?"),), "61")
    reward = MathReward(form)  # type: ignore[arg-type]
    state = stated_guess(form)  # type: ignore[arg-type]
    assert reward(problem, state(problem, "61"), Stop.ENDED).verdict is Verdict.RIGHT
    assert reward(problem, state(problem, "62"), Stop.ENDED).verdict is Verdict.WRONG
    # The expression has the value and is no guess of it.
    assert reward(problem, state(problem, "34 + 27"), Stop.ENDED).verdict is Verdict.WRONG


@pytest.mark.parametrize(("answer", "shown"), [("61", {"0", "1"}), ("yes", {"yes", "no"}), ("错", {"yes", "no"})])
def test_the_shots_are_of_the_references_kind_and_the_question_comes_last(answer: str, shown: set[str]) -> None:
    problem = Problem("p", (Message("user", "the question"),), answer)
    asked = guess_prompt(problem)
    assert {m.content for m in asked.messages if m.role == "assistant"} == shown
    assert asked.messages[-1] == problem.messages[-1]
    assert (asked.id, asked.answer, asked.reward) == (problem.id, problem.answer, problem.reward)
