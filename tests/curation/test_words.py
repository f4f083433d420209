from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest

from perilune.curation.words import numbers, operators, rational, tokens, without_lead_in


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tom’s “new” bike costs 1,200 dollars.", 'tom\'s "NEW" bike costs 1200 dollars'),
        ("A 120-page book", "a 120 page  book!"),
        ("What is $34 + 27$?", "What is 34+27 ?"),
        (r"\(\frac{3}{4} \times x\)", "3/4 * x"),
        (r"$\dfrac{1}{2}$", "½"),
        ("x² ≤ 5", r"$x^{2} \leq 5$"),
        ("It costs 3.50", "it costs 3.5"),
        (r"1{,}000 \text{ m}", "1000 m"),
        ("20 percent", "20 %"),
        ("２０人，每人３个。", "20人,每人3个"),
    ],
)
def test_what_differs_in_typography_alone_is_the_same(one: str, other: str) -> None:
    assert tokens(one) == tokens(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12 + 5", "12 - 5"),
        ("x²", "x2"),
        ("2½", "21/2"),
        (r"\frac{a+b}{c}", r"a+\frac{b}{c}"),
        ("x^{n+1}", "x^n+1"),
        ("5!", "5"),
        ("ratio 3:4", "ratio 3 4"),
        ("3.5", "35"),
    ],
)
def test_what_differs_in_meaning_is_not(one: str, other: str) -> None:
    assert tokens(one) != tokens(other)


def test_tokens_are_words_numbers_signs_and_single_chinese_characters() -> None:
    assert tokens("Don't pay $1,234.50 (twice), 小明!") == ("don't", "pay", "1234.5", "(", "twice", ")", "小", "明")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Two of 3 apples, twenty-one pears and 1,000.5 g", [2, 3, 21, Fraction(2001, 2)]),
        ("two hundred and five, a hundred", [205, 100]),
        ("one apple, but this one and one of them", [1]),
        ("买了两个，又买二十五个，共三百零二元", [2, 25, 302]),
        ("统一价格，一起走", []),
    ],
)
def test_numbers_are_found_as_digits_and_as_words(text: str, found: list[Fraction]) -> None:
    assert numbers(text, tokens(text)) == Counter(Fraction(number) for number in found)


def test_signs_count_between_terms_and_dashes_do_not() -> None:
    assert operators(tokens("What is 5 - 3 * x - a well-known sum - worth?")) == Counter("-*-")
    assert not operators(tokens("He came - as ever - late, on a two-day trip."))


def test_digits_without_end_are_no_number() -> None:
    assert not numbers("9" * 5000, tokens("9" * 5000))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$1,000.0", 1000),
        (r"-\frac{1}{2}", Fraction(-1, 2)),
        ("3/4", Fraction(3, 4)),
        ("1/0", None),
        ("x", None),
        ("", None),
    ],
)
def test_values_of_plain_numbers(text: str, value: Fraction | None) -> None:
    assert rational(tokens(text)) == value


@pytest.mark.parametrize(
    "text",
    [
        "Please solve: How many?",
        "Question 12. How many?",
        "Solve the following math problem.\nHow many?",
        "Q: How many?",
    ],
)
def test_lead_ins_are_cut_off(text: str) -> None:
    assert without_lead_in(text) == "How many?"


def test_a_question_that_begins_like_a_lead_in_is_left_whole() -> None:
    assert without_lead_in("Solve x + 1 = 3.") == "Solve x + 1 = 3."
