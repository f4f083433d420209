import pytest

from perilune.rewards.answers import find_answers, last_answer, sole_box


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{18}", "18"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} no, \boxed{2}", "2"),
        (r"\boxed {3}", "3"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{a\\}", "a\\\\"),
        (r"\boxed{4} and then \boxed{unfinished", "4"),
        (r"\boxed{unfinished \boxed{5}", "5"),
        (r"\boxed{}", None),
        ("Answer: 6", None),
        ("", None),
    ],
)
def test_boxed(response, answer):
    assert last_answer(response, "boxed") == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Answer: 18", "18"),
        ("so it is.\nanswer:18\n", "18"),
        ("**Answer:** 18", "18"),
        ("**Answer: 18**", "18"),
        ("**Answer**: 18", "18"),
        ("The final ANSWER : 18 dollars\nbye", "18 dollars"),
        ("Answer: 1\nAnswer: 2", "2"),
        ("Answer: 1 Answer: 2", "2"),
        ("Answer:\n18", "18"),
        ("the answer is 18", None),
        ("Answers: 18", None),
    ],
)
def test_answer_line(response, answer):
    assert last_answer(response, "answer_line") == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"\boxed{1}" + "\nAnswer: 2", "2"),
        ("Answer: 2\n" + r"so \boxed{1}", "1"),
        (r"Answer: $\boxed{3}$.", "3"),
        (r"Answer: \boxed{3} or \boxed{4}", "4"),
    ],
)
def test_any_takes_the_last_of_either(response, answer):
    assert last_answer(response, "any") == answer


def test_positions_span_the_marks():
    response = r"x \boxed{1} y" + "\n**Answer:** 2\nz"
    found = find_answers(response, "any")
    assert [response[a.start : a.end] for a in found] == [r"\boxed{1}", "Answer:** 2"]


def test_sole_box_is_opened_only_if_it_is_everything():
    assert sole_box(r"\boxed{7}") == "7"
    assert sole_box(r"\boxed{7} or 8") == r"\boxed{7} or 8"
    assert sole_box(r"\boxed{7}\boxed{8}") == r"\boxed{7}\boxed{8}"
