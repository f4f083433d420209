import json
from itertools import islice
from random import Random

import pytest

from perilune.data import programs
from perilune.data.generators import generate, split_of
from perilune.sandbox.extraction import extract_program
from perilune.sandbox.tasks import FunctionTask, StdioTask, read_task


@pytest.mark.parametrize("difficulty", [1, 2, 3, 4, 9])
def test_steps_are_as_the_difficulty_says_and_each_condition_matters(difficulty):
    rng = Random(difficulty)
    for _ in range(100):
        content = programs.random_content(difficulty, rng)
        assert (len(content.conditions), len(content.changes)) == [(1, 0), (1, 1), (2, 1), (3, 1)][
            min(difficulty, 4) - 1
        ]
        assert len({step.code for step in content.conditions}) == len(content.conditions)


def test_the_code_of_a_step_is_what_is_done():
    # The expression that a solution shows, and the function that made the tests, are written apart.
    rng = Random(1)
    for _ in range(400):
        content = programs.random_content(rng.randint(1, 4), rng)
        values = programs.example(content, rng, rng.randint(1, 9))
        names: dict[str, object] = {}
        exec(programs.solution(content, "function"), names)
        assert names["solve"](values) == content.answer(values), content.canonical


def test_a_problem_and_its_tests_are_of_one_content():
    content = programs.Content(
        "numbers",
        (programs.Step("are even", "x % 2 == 0", lambda x: x % 2 == 0),),
        (programs.Step("square each", "x * x", lambda x: x * x),),
        programs.Step("their sum", "sum(kept)", sum),
    )
    question = programs.ask(content, "program", Random(0))
    assert "Take the numbers that are even, square each. The answer is their sum." in question
    given, _, answer = question.rpartition("Example output:\n")
    values = [int(word) for word in given.split("Example input:\n5\n")[1].split()]
    assert int(answer) == sum(x * x for x in values if x % 2 == 0)
    task = programs.task(content, "program", Random(0))
    assert isinstance(task, StdioTask)
    for case in task.cases:
        count, *numbers = map(int, case.input.split())
        assert count == len(numbers)
        assert int(case.output) == sum(x * x for x in numbers if x % 2 == 0)
    assert len({case.output for case in task.cases}) > 4


def test_both_kinds_and_forms_are_drawn():
    shown = list(islice(generate("programs", 2, 0, "train"), 200))
    tags = {d.problem.tags for d in shown}
    assert tags == {("programs", kind, form) for kind in ("numbers", "words") for form in ("program", "function")}
    for d in shown:
        task = read_task(d.problem.answer)
        assert isinstance(task, FunctionTask) == (d.problem.tags[2] == "function")
        assert (d.problem.reward, d.problem.difficulty) == ("code", 2.0)
        program = extract_program(d.response, "python")
        assert program is not None and "kept = [" in program


def test_styles():
    for style in ("long", "brief", "short", "direct"):
        shown = next(generate("programs", 2, 0, "train", style=style))
        assert shown.response.startswith("Plan: ") == (style == "long")
        assert shown.response.endswith("\n```")


def test_train_and_heldout_share_no_content_whatever_the_form():
    def solutions(split, seed):
        for d in islice(generate("programs", 2, seed, split), 150):
            program = extract_program(d.response, "python")
            kept = program.split("kept = ")[1].split("\n")
            words = "split()\nkept" in program or "words" in d.problem.tags
            yield words, kept[0], kept[1].strip().removeprefix("print").removeprefix("return ").strip("()")

    assert not {*solutions("train", 0), *solutions("train", 5)} & {*solutions("heldout", 1), *solutions("heldout", 2)}
    assert split_of("programs:numbers: x > 3; ; sum(kept)") in ("train", "heldout")


def test_function_checks_hold_the_empty_list():
    rng = Random(3)
    for _ in range(20):
        content = programs.random_content(2, rng)
        task = programs.task(content, "function", rng)
        assert f"assert candidate([]) == {content.answer([])!r}" in task.check
        assert json.loads(json.dumps(task.check)) == task.check
