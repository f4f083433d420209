"""The four behaviours: texts that show them, and texts that merely use their words."""

from __future__ import annotations

import pytest

from perilune.curation.behaviours import Behaviour, behaviours, counts, evidence

PLANNING, EVALUATION = Behaviour.PLANNING, Behaviour.EVALUATION
REFLECTION, EXPLORATION = Behaviour.REFLECTION, Behaviour.EXPLORATION


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Plan: add the 12 eggs, then halve the result.\n30 + 12 = 42\n42 / 2 = 21", {PLANNING}),
        ("**Plan:** add the eggs, then halve.\n30 + 12 = 42", {PLANNING}),
        ("First we find the total, then we divide it by the children.\n30 + 12 = 42\n42 / 2 = 21.", {PLANNING}),
        ("My approach is to count the corners and the sides.\n4 + 4 = 8", {PLANNING}),
        ("Let me plan the solution: first the tax, then the sum.\n2 + 8 = 10", {PLANNING}),
        ("To solve this, I will find the speed first and then the time.\n60 / 2 = 30", {PLANNING}),
        ("计划：先求出总数，然后除以三。\n12 + 6 = 18\n18 / 3 = 6", {PLANNING}),
        ("首先求出鸡蛋的总数，然后再平均分。\n12 + 6 = 18", {PLANNING}),
        ("30 + 12 = 42.\nCheck: 42 - 12 = 30, as at the start.", {EVALUATION}),
        ("30 + 12 = 42. Let me check: 42 - 12 = 30. Good.", {EVALUATION}),
        ("x = 3.\nTo verify, put it in: 2 * 3 + 1 = 7.", {EVALUATION}),
        ("x = 3.\nSubstituting back, we get 2 * 3 + 1 = 7.", {EVALUATION}),
        ("Each gets 40. Does this make sense? 40 is more than the 30 there are, so it cannot be.", {EVALUATION}),
        ("30 + 12 = 42。\n验算：42 - 12 = 30。", {EVALUATION}),
        ("30 + 12 = 32. Wait, 30 + 12 is 42, not 32.", {REFLECTION}),
        ("30 + 12 = 32.\nHold on, I forgot the ten: it should be 42.", {REFLECTION}),
        ("30 + 12 = 32. That is wrong, since 2 + 0 is 2 and 30 + 10 = 40.", {REFLECTION}),
        ("30 + 12 = 32。\n不对，30 + 12 应该是 42。", {REFLECTION}),
        ("30 + 12 = 42.\nAnother way: 12 + 30 = 42.", {EXPLORATION}),
        ("30 + 12 = 42.\nAlternatively, 10 + 30 = 40 and 40 + 2 = 42.", {EXPLORATION}),
        ("换一种方法：12 + 30 = 42。", {EXPLORATION}),
        (
            "Plan: add the eggs, then check.\n30 + 12 = 32. Wait, 30 + 12 is 42, not 32.\nCheck: 42 - 12 = 30.\n"
            "Another way: 12 + 30 = 42.",
            set(Behaviour),
        ),
    ],
)
def test_texts_that_show_a_behaviour(text: str, shown: set[Behaviour]) -> None:
    assert behaviours(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30 + 12 = 42",
        # Planning: the word alone, the plan that comes at the end, and steps that are already taken.
        "The floor plan has 12 rooms. 12 * 2 = 24",
        "Plan:\n30 + 12 = 42",
        "30 + 12 = 42.\n" * 20 + "Plan: add the eggs, then halve the result.",
        "First 30 + 12 = 42, then 42 / 2 = 21.",
        # Evaluation: a check that shows nothing, one that is a thing, and one that is only announced.
        "30 + 12 = 42. Check.",
        "Check check check. The answer is right. Check!",
        "Let me check. Yes, it is right.",
        "She pays the check of 42 dollars. 42 + 8 = 50.",
        "He checks 12 of the 42 boxes, 42 - 12 = 30.",
        "I will check it at the end. 30 + 12 = 42.",
        "30 + 12 = 42.\nCheck: 30 + 12 = 42. Good.",
        # Reflection: the story waits, nothing is corrected, or the correction takes nothing back.
        "He has to wait 12 minutes, 30 + 12 = 42.",
        "Wait.",
        "Wait, 30 + 12 is 42.",
        "30 + 12 = 42. Wait, 30 + 12 is 42, not 42.",
        "No, he did come.",
        "No eggs are left: 12 - 12 = 0, which is not a problem.",
        # Exploration: another way that is not gone, or is one through a town.
        "Another way would be possible.",
        "She took another way home and walked 12 km.",
        "30 + 12 = 42.\nAlternatively, one could draw it.",
        "30 + 12 = 42.\nAnother way: 30+12 = 42. Both ways give 42.",
    ],
)
def test_texts_that_merely_use_the_words(text: str) -> None:
    assert behaviours(text) == set()


def test_what_is_repeated_word_for_word_counts_once() -> None:
    text = "Check: 42 - 12 = 30.\n" * 5 + "Check: 30 + 12 = 42.\n"
    assert counts(text)[EVALUATION] == 2
    assert evidence(text)[EVALUATION] == ("Check: 42 - 12 = 30.", "Check: 30 + 12 = 42.")
    assert counts(text)[REFLECTION] == 0
