import json
from fractions import Fraction

import pytest

from perilune.protocols import Explains, ReadsReferences
from perilune.rewards.countdown import CountdownReward, evaluate, read_reference
from perilune.types import Grade, Message, Problem, Stop, Verdict

JSON = json.dumps({"numbers": [3, 5, 7, 9], "target": 12})
EXPRESSION = "(9 - 3) * (7 - 5)"


def grade(response, reference=JSON, form="any", weight=0.0):
    problem = Problem("p", (Message("user", "reach the target"),), reference, "countdown")
    return CountdownReward(form, weight)(problem, response, Stop.ENDED)


@pytest.mark.parametrize("reference", [JSON, EXPRESSION])
@pytest.mark.parametrize(
    "answer",
    [
        "(9 - 3) * (7 - 5)",
        "(9-3)*(7-5) = 12",
        "(7 - 5) * (9 - 3).",
        "(9 − 3) × (7 − 5)",
        r"$(9 - 3) \times \left(7 - 5\right)$",
        r"\boxed{(9-3)\cdot(7-5)}",
        "(-3 + 9) * (7 - 5)",
        "**(9-3)*(7-5)**",
    ],
)
def test_right(reference, answer):
    assert grade(f"let me see\nAnswer: {answer}", reference).verdict is Verdict.RIGHT


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("12", "uses [12]"),
        ("(9 - 3) * 2", "uses [2, 3, 9]"),
        ("9 + 3 + 7 - 7", "uses"),
        ("(9 - 3) * (7 - 5) + 3 - 3", "uses"),
        ("9 + 3 + 7 + 5", "gives 24 instead of 12"),
        ("(9 - 3) * (7 - 5) = 24", "claims"),
        ("(9 - 3) * (7 - 5) = 12 = 12", "claims"),
        ("(9 - 3) * (7 - 5) = 24/2 + 0", "claims"),
        ("9 ** 3 * 7 - 5", "only"),
        ("9 // 3 * 7 - 5", "only"),
        ("9 / (3 - 3) + 7 + 5", "zero"),
        ("(9 - 3) * (7 - 5", "well-formed"),
        ("9 3", "well-formed"),
        ("3(9 - 5) + 7", "only"),
        ("9 - 3, 7 - 5", "not an expression"),
        ("__import__('os').getcwd()", "not an expression"),
        ("(lambda: 12)()", "not an expression"),
        ("1.2e1", "not an expression"),
        ("= 12", "not an expression"),
    ],
)
def test_wrong_and_why(answer, reason):
    found = grade(f"Answer: {answer}")
    assert found.verdict is Verdict.WRONG
    assert reason in found.detail


def test_division_is_exact():
    reference = json.dumps({"numbers": [8, 3, 8, 3], "target": 24})
    assert grade("Answer: 8 / (3 - 8 / 3)", reference).verdict is Verdict.RIGHT


def test_deep_or_long_expressions_end_quickly():
    assert grade("Answer: " + "(" * 99 + "9" + ")" * 99).verdict is Verdict.WRONG
    assert grade("Answer: " + "-" * 190 + "9").verdict is Verdict.WRONG
    assert grade("Answer: " + "9" * 201).detail == "answer of 201 characters"
    with pytest.raises(ValueError, match="not an expression"):
        evaluate("1+" * 150 + "1")


def test_scores_and_forms():
    assert grade("Answer: 9 + 3", weight=0.1).score == 0.1
    assert grade(f"Answer: {EXPRESSION}", weight=0.1).score == 1.0
    assert grade(EXPRESSION, weight=0.1).score == 0.0
    assert grade(f"Answer: {EXPRESSION}", form="boxed").detail == "no answer found"


def test_references():
    assert read_reference(JSON) == ([3, 5, 7, 9], Fraction(12))
    assert read_reference("9 / 4") == ([9, 4], Fraction(9, 4))
    assert read_reference('{"numbers": [9, 4], "target": "9/4"}') == ([9, 4], Fraction(9, 4))


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "twelve",
        "{",
        "{}",
        '{"numbers": [], "target": 3}',
        '{"numbers": [1.5], "target": 3}',
        '{"numbers": [1], "target": null}',
        '{"numbers": [1], "target": true}',
        "1 / 0",
    ],
)
def test_an_unreadable_reference_is_an_error(reference):
    found = grade(f"Answer: {EXPRESSION}", reference)
    assert found.verdict is Verdict.ERROR
    assert "reference" in found.detail


def test_it_says_how_it_came_to_a_grade():
    problem = Problem("p", (Message("user", "reach the target"),), JSON, "countdown")
    told = CountdownReward().explain(problem, "so \\boxed{(9 - 3) × (7 - 5)}", Stop.ENDED)
    assert told.grade == Grade(Verdict.RIGHT, 1.0, "(9 - 3) × (7 - 5)")
    assert (told.found, told.answer) == ("(9 - 3) × (7 - 5)", "(9 - 3) * (7 - 5)") and "boxed" in told.where
    assert told.reference == "3, 5, 7, 9, each once, make 12"
    assert CountdownReward().explain(problem, "no idea", Stop.ENDED).rule == "no answer found"


def test_a_reference_is_read_before_anything_is_graded():
    reward = CountdownReward()
    assert isinstance(reward, ReadsReferences) and isinstance(reward, Explains)
    reward.check_reference(Problem("p", (), EXPRESSION, "countdown"))
    with pytest.raises(ValueError, match="'numbers' must be"):
        reward.check_reference(Problem("p", (), "{}", "countdown"))


def test_what_stands_in_the_thinking_is_no_answer_unless_it_counts():
    problem = Problem("p", (Message("user", "reach the target"),), JSON, "countdown")
    response = f"<think>Answer: {EXPRESSION}\n</think> done"
    assert CountdownReward()(problem, response, Stop.ENDED).detail == "no answer found"
    assert CountdownReward(thinking_counts=True)(problem, response, Stop.ENDED).verdict is Verdict.RIGHT
