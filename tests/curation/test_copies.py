"""Copied stories, next questions, near-duplicates."""

from __future__ import annotations

import pytest

from perilune.curation.copies import NearDuplicates, Stories, foreign_name, next_question
from perilune.curation.similarity import similarity

OWN = "Tom has 30 eggs. Tom buys 12 more. How many eggs does Tom have?"
OTHER = "Priya has 52 ribbons. She sells 19 of the ribbons to Anton. How many ribbons does Priya have now?"


def test_a_story_with_foreign_numbers_is_copied() -> None:
    stories = Stories([OWN, OTHER])
    assert stories.copied("She has 52 ribbons. She sells 19, so 33.", OWN) == "has 52 ribbons she sells"
    assert stories.copied("Tom has 30 eggs. Tom buys 12 more. 30 + 12 = 42.", OWN) is None
    # The same words with one's own numbers, and words without numbers, tell no other story.
    assert Stories(["Ann has 30 eggs and paints"]).copied("Ann has 30 eggs and paints", OWN) is None
    assert stories.copied("How many ribbons does Priya have now?", OWN) is None


def test_chinese_stories() -> None:
    assert Stories(["小明有52个苹果，又买了19个。"]).copied("小明有52个苹果。", "小红有30个鸡蛋。") == "小 明 有 52 个"


def test_names_of_the_examples() -> None:
    assert foreign_name("Anton has 33 left.", OWN, [OTHER]) == "Anton"
    assert foreign_name("Tom has 42. Now he is glad.", OWN, [OTHER]) is None
    assert foreign_name("Anton has 33 left.", OWN + " Anton counts.", [OTHER]) is None


@pytest.mark.parametrize(
    ("response", "asks"),
    [
        ("30 + 12 = 42\nAnswer: 42\n\nQuestion: Ann has 3 cats.", "Question:"),
        ("30 + 12 = 42\nAnswer: 42\nuser: And now?", "user:"),
        ("30 + 12 = 42\nAnswer: 42\nHow many does Ann have?", "How many does Ann have?"),
        ("答案见下。\nAnswer: 42\n题目：小明有三只猫。", "题目："),
        ("Question: a\nx\nQuestion: b\nAnswer: 4", "Question:"),
    ],
)
def test_next_questions(response: str, asks: str) -> None:
    assert next_question(response, "answer_line") == asks


@pytest.mark.parametrize(
    "response",
    [
        "What is asked? The sum: 30 + 12 = 42.\nAnswer: 42",
        "Question: the sum of 30 and 12.\n30 + 12 = 42\nAnswer: 42",
        "Answer: 42\nThat is all.",
        "Answer: 32\nIs that right? No.\nAnswer: 42",
        "no answer at all",
    ],
)
def test_no_next_question(response: str) -> None:
    assert next_question(response, "answer_line") is None


def test_near_duplicates_by_exact_similarity() -> None:
    known = NearDuplicates(0.8)
    first = "Plan: start with 30 eggs, then add the 12 that he buys. 30 + 12 = 42. Check: 42 - 12 = 30."
    assert known.add("a", first) is None
    assert known.add("b", first.upper().replace(" ", "  ")) == "a"
    assert known.add("c", first + " Yes.") == "a"
    assert known.add("d", first.replace("30", "31").replace("12", "17").replace("42", "48")) is None
    assert known.add("e", "Another way: 12 + 30 = 42, as before.") is None
    assert known.add("f", "") is None
    assert known.add("g", "ab") is None
    assert known.add("h", "ab") == "g"


def test_similarity_by_hand() -> None:
    assert similarity(frozenset("abc"), frozenset("bcd")) == 0.5
    assert similarity(frozenset(), frozenset()) == 1.0
    assert similarity(frozenset(), frozenset("a")) == 0.0
