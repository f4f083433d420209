"""False steps of a path."""

from __future__ import annotations

import pytest

from perilune.curation.equations import false_equations


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("34 + 27 = 62.", ("34 + 27 = 62",)),
        ("So 7 × 8 = 54 apples", ("7 × 8 = 54",)),
        ("2 + 3 = 6, 6 * 2 = 12.", ("2 + 3 = 6",)),
        ("70 / 6 = 11", ("70 / 6 = 11",)),
        ("70 / 6 = 11 and then", ("70 / 6 = 11",)),
        ("60 - 18 - 2 = 42", ("60 - 18 - 2 = 42",)),
        ("Check: 13 - 17 = 13. Good.", ("13 - 17 = 13",)),
        ("1,200 + 300 = 1,600", ("1,200 + 300 = 1,600",)),
        ("3 / 8 = 0.5", ("3 / 8 = 0.5",)),
    ],
)
def test_false_steps_are_found(text: str, found: tuple[str, ...]) -> None:
    assert false_equations(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "34 + 27 = 61.",
        "2 + 3 * 4 = 14 and 20 - 8 / 2 = 16",
        "10 / 3 = 3.33",
        "3 / 8 = 0.4",
        "3 - 5 = -2",
        "34 + 20 = 64. Wait, 34 + 20 is 54, not 64.",
        "34 + 20 = 64，不对，是 54。",
        # Not whole expressions of plain numbers: what stands beside them may make them true.
        "x + 3 + 4 = 8",
        "2x + 3 = 9",
        "(2 + 3) * 4 = 20",
        "2 + 3 = 1 + 4",
        "2^3 + 1 = 9",
        "6 / 0 = 0",
        "17 / 5 = 3 remainder 2",
        "17 / 5 = 3 R 2 and 17 / 5 = 3 with 2 left",
        "17 ÷ 5 = 3 余 2",
        "10 / 3 = 3 1/3",
        "7 + 8 = 3 (mod 12)",
        "12:30 - 1:15 = 11:15",
        "f(3) = 4 and 3 = 3",
    ],
)
def test_true_steps_those_taken_back_and_other_mathematics_are_not(text: str) -> None:
    assert false_equations(text) == ()
