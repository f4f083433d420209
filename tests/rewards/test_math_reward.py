import pytest

from perilune.rewards.math import MathReward, equal_answers
from perilune.types import Message, Problem, Stop, Verdict


def problem(answer):
    return Problem("p", (Message("user", "how much?"),), answer)


def verdict(reference, response, form="any"):
    return MathReward(form)(problem(reference), response, Stop.ENDED).verdict


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("a^2-4", "(a+2)(a-2)"),
        ("1/2", "0.5"),
        ("0.5", r"\frac{1}{2}"),
        ("1234", "1,234"),
        ("1,234", "1234.00"),
        ("18", "$18"),
        ("18", r"\$18"),
        ("18", "$18$"),
        ("18", "18."),
        ("18", "**18**"),
        ("18", "+18"),
        ("18", "18 dollars"),
        ("18", "$18.00 per week"),
        ("18", r"18\text{ cm}"),
        ("18", "x = 18"),
        ("18", "6 * 3 = 18"),
        ("18", r"\boxed{18}"),
        ("18", r"\(18\)"),
        ("-5", "−5"),
        ("50", r"50\%"),
        ("1234", "1{,}234"),
        ("x=3", "3"),
        (r"\{1,2\}", "2, 1"),
        (r"2\sqrt{3}", r"\sqrt{12}"),
        ("3x+2", "2+3x"),
        ("1 1/2", "3/2"),
        ("3/2", "1 1/2"),
        ("1.5", r"1 \frac{1}{2}"),
        ("Tuesday", "tuesday"),
        ("Tuesday", r"\text{Tuesday}"),
        ("B", "B"),
        ("3:45", "3:45"),
        ("0", "0"),
    ],
)
def test_equal(reference, answer):
    assert verdict(reference, f"thus\nAnswer: {answer}") is Verdict.RIGHT
    assert verdict(reference, rf"thus \boxed{{{answer}}}") is Verdict.RIGHT


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("18", "19"),
        ("18", "180"),
        ("18", "-18"),
        ("0.1", "0.10000000001"),
        ("1/3", "0.3333"),
        ("18", "eighteen"),
        ("18", "x"),
        ("18", "18x"),
        ("18", "18 million"),
        ("18", "18 or nineteen"),
        ("18", "18 percent of 30"),
        ("Tuesday", "Tuesady"),
        ("Tuesday", "Monday"),
        ("18", r"\frac{18"),
        ("18", "???"),
        ("1 1/2", "1 1/3"),
        ("1", "1 1/2"),
    ],
)
def test_unequal(reference, answer):
    assert verdict(reference, f"thus\nAnswer: {answer}") is Verdict.WRONG


@pytest.mark.parametrize(
    "answer",
    [
        "1 or 2 or 18",
        "18 or 19",
        "17, 18",
        "17 and 18",
        "17; 18",
        "17 18",
        "17 1",
        r"17 \quad 1",
        r"17\ {1}",
        "1 = 2 = 18",
        "17 = 18",
        "18 = 17",
        "x = 5 = 18",
        r"17$ or $18",
        r"$17$ $18$",
        r"\(17\) \(18\)",
        r"\pm 18",
        r"17 \text{ or } 18",
        r"17}, \boxed{18",
        r"17 \boxed{18}",
        "18 (or 19)",
        "x > 17",
        "17 | 18",
        "18 to 19",
    ],
)
def test_an_answer_of_several_candidates_is_never_right(answer):
    assert verdict("18", f"Answer: {answer}", "answer_line") is Verdict.WRONG


def test_only_the_last_answer_counts():
    assert verdict("18", "Answer: 18\nAnswer: 19") is Verdict.WRONG
    assert verdict("18", "Answer: 19\nAnswer: 18") is Verdict.RIGHT
    assert verdict("18", r"\boxed{18} \boxed{19}") is Verdict.WRONG


def test_the_form_is_asked_for():
    assert verdict("18", "Answer: 18", "boxed") is Verdict.WRONG
    assert verdict("18", r"\boxed{18}", "answer_line") is Verdict.WRONG
    grade = MathReward("any")(problem("18"), "it is 18", Stop.ENDED)
    assert (grade.verdict, grade.score, grade.detail) == (Verdict.WRONG, 0.0, "no answer found")


def test_scores():
    reward = MathReward("answer_line", format_weight=0.1)
    scores = [
        reward(problem("18"), text, Stop.ENDED).score
        for text in ("Answer: 18", "Answer: 19", "18", "Answer: " + "18 " * 100)
    ]
    assert scores == [1.0, 0.1, 0.0, 0.0]


def test_an_overlong_answer_is_wrong_even_if_equal():
    assert verdict("18", "Answer: " + "0" * 198 + "18") is Verdict.RIGHT
    assert verdict("18", "Answer: " + "0" * 199 + "18") is Verdict.WRONG


@pytest.mark.parametrize("reference", ["", "$$", r"\frac{", "}{", "& &"])
def test_an_unreadable_reference_is_an_error_and_not_a_wrong_answer(reference):
    grade = MathReward()(problem(reference), "Answer: 18", Stop.ENDED)
    assert grade.verdict is Verdict.ERROR
    assert "reference" in grade.detail


def test_equal_answers_raises_for_the_reference_alone():
    with pytest.raises(ValueError, match="reference"):
        equal_answers("& &", "18")
    assert not equal_answers("18", "& &")
