"""From answers to bands, by hand."""

from __future__ import annotations

import pytest

from perilune.curation.asking import Answer, Ask
from perilune.curation.difficulty import measure_difficulty, to_confirm
from perilune.recipe.curation import DifficultyConfig
from perilune.types import Grade, Message, Problem, Stop, Verdict


def answers(marks: str) -> tuple[Answer, ...]:
    """One answer a letter: r right, w wrong, e error."""
    verdicts = {"r": Verdict.RIGHT, "w": Verdict.WRONG, "e": Verdict.ERROR}
    return tuple(Answer("", 1, Stop.ENDED, Grade(verdicts[mark], 0.0, "the judge is out")) for mark in marks)


def asks(*names: str) -> list[Ask]:
    return [Ask(Problem(name, (Message("user", name),), "1", difficulty=3.0), (1,)) for name in names]


GIVEN = {
    "always": answers("r" * 10),
    "nearly": answers("r" * 9 + "w"),
    "easy": answers("r" * 7 + "w" * 3),
    "medium": answers("rw" * 5),
    "hard": answers("r" * 3 + "w" * 7),
    "never": answers("w" * 10),
    "half an error": answers("rrrrreeeee"),
    "all errors": answers("e" * 10),
}


def test_bands_rates_and_what_is_dropped() -> None:
    measured, dropped = measure_difficulty(asks(*GIVEN), GIVEN, DifficultyConfig())
    assert {name: found.band.value for name, found in measured.items()} == {
        "always": "trivial",
        "nearly": "trivial",
        "easy": "easy",
        "medium": "medium",
        "hard": "hard",
        "never": "hopeless",
        # An error is left out of the rate: five of five are right.
        "half an error": "trivial",
    }
    assert measured["easy"].problem.pass_rate == 0.7
    assert measured["easy"].problem.difficulty == pytest.approx(0.3)
    assert {fate.problem.id: fate.reason.value for fate in dropped} == {
        "always": "trivial",
        "nearly": "trivial",
        "half an error": "trivial",
        "all errors": "ungradable",
    }
    details = {fate.problem.id: fate.detail for fate in dropped}
    assert details["nearly"] == "right in 9 of 10 answers"
    assert "the judge is out" in details["all errors"]


def test_hopeless_ones_go_by_setting() -> None:
    _, dropped = measure_difficulty(asks("never", "hard"), GIVEN, DifficultyConfig(drop_hopeless=True))
    assert [(fate.problem.id, fate.reason.value) for fate in dropped] == [("never", "hopeless")]


def test_what_would_be_dropped_is_asked_again() -> None:
    doubtful = {ask.problem.id for ask in to_confirm(asks(*GIVEN), GIVEN, DifficultyConfig())}
    assert doubtful == {"always", "nearly", "half an error"}
    both = DifficultyConfig(drop_hopeless=True)
    assert {ask.problem.id for ask in to_confirm(asks(*GIVEN), GIVEN, both)} == doubtful | {"never"}


def test_answers_that_were_added_count_in_the_rate_and_not_in_the_histogram() -> None:
    more = {"nearly": answers("r" * 9 + "w" + "r" * 6 + "w" * 4)}
    measured, dropped = measure_difficulty(asks("nearly"), more, DifficultyConfig())
    found = measured["nearly"]
    assert (found.problem.pass_rate, found.right, found.band.value, dropped) == (0.75, 9, "easy", [])


@pytest.mark.parametrize("rates", [{"hard_rate": 0.7}, {"easy_rate": 0.95}, {"trivial_rate": 0.6}])
def test_edges_must_rise(rates: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="hard_rate < easy_rate <= trivial_rate"):
        DifficultyConfig.model_validate(rates)
