"""A prompt that asks for another form of answer than the reward reads is told before the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from perilune.data.problems import load_problems
from perilune.recipe.recipe import load_recipe
from perilune.rewards.prompt_forms import asked_forms, disagreements
from perilune.types import Message, Problem

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


def asked(prompt: str, reward: str = "math", name: str = "p") -> Problem:
    return Problem(name, (Message("user", prompt),), "72", reward)


@pytest.mark.parametrize(
    ("form", "prompt"),
    [
        ("boxed", r"Please reason step by step, and put your final answer within \boxed{}."),
        ("boxed", "What is 2 + 2?\nPresent the answer in LaTex format: \\boxed{Your answer}"),
        ("boxed", r"Enclose the result in $\boxed{}$."),
        ("boxed", "Put your answer in a box."),
        ("boxed", "Give one boxed answer, nothing else."),
        ("boxed", r"请一步一步思考，并把最终答案放在 \boxed{} 中。"),
        ("boxed", r"请将最终结果写在\boxed{}里"),
        ("hashes", 'Think. End with "#### <answer>".'),
        ("hashes", "Output the final answer after ####"),
        ("hashes", "End your response with:\n#### <your answer>"),
        ("hashes", "Use this format:\n#### answer"),
        ("hashes", "Q: 1 + 1?\nA: It is 2.\n#### 2\n\nQ: 3 + 3?\nA:"),
        ("hashes", "最后一行写 “#### 答案”。"),
        ("hashes", "请将最终答案写在 #### 之后"),
        ("answer_tag", "reasoning and answer stand in <think> </think> and <answer> </answer> tags, respectively"),
        ("answer_tag", "Return your final answer in <answer> tags."),
        ("answer_tag", "请将答案放在<answer></answer>标签中"),
        ("answer_line", "Think step by step. End with a line 'Answer: ...'."),
        ("answer_line", "The last line should be of the form Answer: $Answer (without quotes)."),
        ("answer_line", 'Remember to put your answer on its own line after "Answer:".'),
        ("answer_line", "Finish with **Answer:** and the number."),
        ("answer_line", "Your last line must read:\nAnswer: <number>"),
        ("answer_line", "Write Final Answer: X at the end."),
        ("answer_line", "请以“答案：”开头给出最后一行"),
        ("answer_line", "最后一行请写：\n答案：<数字>"),
        ("sentence", 'End your response with "The answer is X."'),
        ("sentence", "Conclude by saying: The final answer is <number>."),
        ("sentence", "请用“答案是”给出最后的结果"),
        ("sentence", "Q: a?\nA: 3 + 5 = 8. The answer is 8.\n\nQ: b?\nA: The answer is 9.\n\nQ: c?\nA:"),
    ],
)
def test_what_a_prompt_asks_for_is_seen(form: str, prompt: str) -> None:
    assert list(asked_forms(f"What is 60 + 12?\n{prompt}")) == [form]
    other = "hashes" if form != "hashes" else "boxed"
    (found,) = disagreements([asked(prompt)], other)
    assert found.asked == (form,) and (found.prompts, found.of) == (1, 1)
    told = found.told("train", other)
    assert repr(form) in told and f"answer_form = {other!r}" in told and "problems.train.prompt" in told
    assert disagreements([asked(prompt)], form) == []
    assert disagreements([asked(prompt)], "any") == []


@pytest.mark.parametrize(
    "prompt",
    [
        "What is 2 + 2?",
        "There are 3 balls in the box and 2 on it. Give the answer in whole numbers.",
        "How many of the boxed apples are red?",
        "Question: What is 2 + 2?\nAnswer:",
        "Question: 1 + 1?\nAnswer: 2\n\nQuestion: 2 + 2?\nAnswer:",
        "问题：1 + 1 = ?\n答案：",
        "#### Problem\nFind the final answer to 2 + 2.",
        "#### Question\n2 + 2\n#### Answer\n",
        "## Task\n#### 1. Add\n2 + 2",
        "Choose the correct answer: A) 3 B) 4",
        "Give your answer: ",
        "The answer is a multiple of 3. Find it.",
        "A student says the answer is 5. Is the student right?",
        r"Do not use \boxed{} in your answer.",
        "Never write #### before the answer.",
        "Give the answer without <answer></answer> tags.",
        r"请不要使用\boxed{}。",
        "请给出答案。",
    ],
)
def test_nothing_is_taken_for_an_instruction_that_is_none(prompt: str) -> None:
    assert asked_forms(prompt) == {}


def test_a_prompt_that_asks_for_two_forms_agrees_with_either() -> None:
    prompt = r"End with a line 'Answer: \boxed{…}', the answer in the box."
    assert set(asked_forms(prompt)) == {"boxed", "answer_line"}
    assert disagreements([asked(prompt)], "boxed") == disagreements([asked(prompt)], "answer_line") == []
    (found,) = disagreements([asked(prompt)], "answer_tag")
    assert found.asked == ("boxed", "answer_line")


def test_the_denied_mark_is_not_the_one_that_is_asked_for() -> None:
    assert list(asked_forms(r"Instead of ####, put the answer in \boxed{}.")) == ["boxed"]


def test_a_pattern_of_the_users_own_agrees_with_what_it_finds() -> None:
    problems = [asked("End with '#### <answer>'.")]
    assert disagreements(problems, r"pattern: #### (\d+)") == []
    (found,) = disagreements(problems, r"pattern: Result = (\d+)")
    assert "answer_form = 'pattern: Result" in found.told("train", r"pattern: Result = (\d+)")


def test_the_system_prompt_is_read_too_and_the_most_frequent_comes_first() -> None:
    problems = [asked(f"{n} + 1?", name=str(n)) for n in range(3)]
    (found,) = disagreements(problems, "hashes", r"Put the final answer into \boxed{}.")
    assert (found.asked, found.prompts, found.of) == (("boxed",), 3, 3)
    mixed = [*problems, *(asked(f"{n}? Answer in <answer> tags.", name=f"t{n}") for n in range(2))]
    mixed += [asked("End with '#### <answer>'.", name="h")]
    assert [(d.asked, d.prompts, d.of) for d in disagreements(mixed, "boxed")] == [
        (("answer_tag",), 2, 6),
        (("hashes",), 1, 6),
    ]


def test_rewards_that_read_no_such_answer_are_left_alone() -> None:
    prompt = r"Put the final answer into \boxed{}."
    assert disagreements([asked(prompt, "code"), asked(prompt, "my_rewards:exact")], "hashes") == []
    assert disagreements([asked(prompt, "countdown")], "hashes")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_our_own_recipes_agree_with_themselves(path: Path) -> None:
    recipe = load_recipe(path)
    for source in (recipe.problems.train, recipe.problems.heldout):
        if source.kind == "generator":
            problems = load_problems(source.model_copy(update={"count": 20}), "train")
        else:
            problems = [asked(source.prompt.replace("{question}", "What is 2 + 2?"))]
        assert disagreements(problems, recipe.rewards.answer_form, recipe.model.system_prompt) == []


@pytest.mark.parametrize("piece", ["#### ", "Answer: ", "the answer is ", "put ", r"\boxed", "“", " "])
def test_a_long_prompt_is_read_to_its_end(piece: str) -> None:
    """Reading that is quadratic in the length would take minutes here."""
    assert "answer_tag" in asked_forms(piece * 40_000 + " <answer></answer> holds the answer.")
