import pytest

from perilune.protocols import Explains
from perilune.rewards.format import FormatReward
from perilune.types import Message, Problem, Stop, Verdict

PROBLEM = Problem("p", (Message("user", "?"),), "18")


def grade(response, form="any", think_tags=False):
    return FormatReward(form, think_tags)(PROBLEM, response, Stop.ENDED)


@pytest.mark.parametrize("response", ["so\nAnswer: 7", "**Answer: 7**\n", r"it is $\boxed{7}$.", r"\[\boxed{7}\]"])
def test_the_form_is_right_whatever_the_answer(response):
    assert grade(response).verdict is Verdict.RIGHT
    assert grade(response).score == 1.0


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        ("it is 7", "no answer found"),
        ("Answer: 7\nAnswer: 8", "2 answers"),
        (r"\boxed{7} \boxed{8}", "2 answers"),
        ("Answer: 7\nI hope this helps", "text after"),
        ("Answer: " + "7" * 201, "201 characters"),
    ],
)
def test_the_form_is_wrong(response, fault):
    found = grade(response)
    assert (found.verdict, found.score) == (Verdict.WRONG, 0.0)
    assert fault in found.detail


def test_forms_differ():
    assert grade("Answer: 7", "boxed").verdict is Verdict.WRONG
    assert grade(r"\boxed{7}", "answer_line").verdict is Verdict.WRONG


def test_think_tags():
    assert grade("<think>3 + 4</think>\nAnswer: 7", think_tags=True).verdict is Verdict.RIGHT
    for response in (
        "Answer: 7",
        "<think>3 + 4\nAnswer: 7",
        "<think> </think>\nAnswer: 7",
        "first <think>3 + 4</think>\nAnswer: 7",
        "<think>3 + 4\nAnswer: 7</think>",
        "<think>3</think><think>4</think>\nAnswer: 7",
    ):
        assert grade(response, think_tags=True).verdict is Verdict.WRONG, response


def test_it_says_how_it_came_to_a_grade():
    reward = FormatReward("any", think_tags=True)
    assert isinstance(reward, Explains)
    told = reward.explain(PROBLEM, "<think>hm</think>\\boxed{18} or so", Stop.ENDED)
    assert (told.grade.detail, told.found) == ("text after the answer", "18") and "boxed" in told.where
    assert told.rule.startswith("one <think>…</think> at the beginning")
    assert reward.explain(PROBLEM, "Answer: 18", Stop.ENDED).found == ""


def test_what_stands_in_the_thinking_is_no_answer_unless_it_counts():
    response = "<think>Answer: 17</think>\nAnswer: 18"
    assert grade(response).verdict is Verdict.RIGHT
    assert FormatReward("any", thinking_counts=True)(PROBLEM, response, Stop.ENDED).detail == "2 answers"
