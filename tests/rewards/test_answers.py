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


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("**Answer:**\n\n$18$", "$18$"),
        ("### Answer\n72", "72"),
        ("## Final Answer:\n\n**72**", "72"),
        ("**Final Answer**\n\n$$\n72\n$$", "72"),
        ("Answer：72", "72"),
        ("所以\n答案：72", "72"),
        ("最终答案是：72", "72"),
        ("Final Answer: The final answer is $72$. I hope it is correct.", "$72$"),
        ("Answer (in cm): 72", "72"),
        ("Answer: Mia has 18 pens.", "18 pens"),
        ("Answer: Mia has 18 pens and 3 books.", "Mia has 18 pens and 3 books."),
    ],
)
def test_an_answer_line_with_what_models_put_around_it(response, answer):
    assert last_answer(response, "answer_line") == answer


@pytest.mark.parametrize(
    ("form", "response", "answer"),
    [
        ("boxed", r"so \fbox{18}", "18"),
        ("boxed", r"so \boxed 18.", "18"),
        ("boxed", "so \x08oxed{18}", "18"),
        ("hashes", "2*36=72.\n#### 72", "72"),
        ("hashes", "##### 72", None),
        ("hashes", "#### Step 2: add 3", None),
        ("answer_tag", "<answer>72</answer>", "72"),
        ("answer_tag", r"<answer>So \boxed{72}.</answer>", "72"),
        ("answer_tag", "<answer>72", None),
        ("sentence", "So we add. The answer is 72.", "72"),
        ("sentence", "The answer is 1.5 because 3 / 2 = 1.5.", "1.5"),
        ("sentence", "The answer to the first part is 3. The final answer is therefore $x = 4$.", "$x = 4$"),
        ("sentence", "因此答案是 72。", "72"),
        ("pattern: Result = (.+)", "Result = 7\nResult = 8", "8"),
        ("pattern: Result = (.+)", "Answer: 8", None),
    ],
)
def test_each_form_alone(form, response, answer):
    assert last_answer(response, form) == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"\boxed{72}" + "\nThe answer is 73.", "72"),
        ("#### 72\nso the answer is 73.", "72"),
        ("<answer>72</answer> The answer is 73.", "72"),
        (r"\boxed{72}. Answer: see the box", "72"),
        ("#### Step 2: add 3\nThe answer is 5.", "5"),
        (r"\boxed{1}" + "\n#### 2", "2"),
        (r"<answer>\boxed{3}</answer>", "3"),
        (r"<answer>\boxed{3} or so</answer>" + "\nAnswer: 4", "4"),
        ("The answer is 5. No, the answer is 6.", "6"),
    ],
)
def test_marks_come_before_sentences_and_the_last_value_counts(response, answer):
    assert last_answer(response, "any") == answer


@pytest.mark.parametrize(
    ("response", "answer", "with_thinking"),
    [
        (r"<think>\boxed{42}</think> \boxed{41}", "41", "41"),
        (r"<think>\boxed{42}</think> I cannot tell.", None, "42"),
        (r"<think>\boxed{42}", None, "42"),
        (r"\boxed{42}</think> So it is.", None, "42"),
        (r"◁think▷\boxed{42}◁/think▷\boxed{41}", "41", "41"),
        (r"\boxed{40}<think>\boxed{42}</think>", "40", "42"),
        ("<think>Answer: 7</think>", None, "7"),
    ],
)
def test_thinking_is_no_answer_unless_it_is_to_count(response, answer, with_thinking):
    assert last_answer(response, "any") == answer
    assert last_answer(response, "any", in_thinking=True) == with_thinking


def test_places_in_a_response_with_thinking_are_those_of_the_response():
    response = r"<think>\boxed{1}</think> so \boxed{2}"
    (found,) = find_answers(response, "any")
    assert response[found.start : found.end] == r"\boxed{2}"


@pytest.mark.parametrize(
    "unit",
    ["Answer: 1 ", "Answer:\n", r"\boxed{", "$", "(", "<think>", "#### ", "the answer is ", "<answer>", " ", "*"],
)
def test_finding_takes_time_linear_in_the_length(unit):
    # A rule that took 9 s for 28,000 characters, as ours once did, would take a day for these two million.
    find_answers(unit * (2_000_000 // len(unit)), "any")
