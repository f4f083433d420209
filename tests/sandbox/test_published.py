import json

import pytest

from perilune.sandbox.tasks import FunctionTask, StdioTask, read_task

CASES = {"cases": [{"input": "3\n", "output": "9\n"}, {"input": "5\n", "output": "25\n"}]}


@pytest.mark.parametrize(
    "value",
    [
        {"inputs": ["3\n", "5\n"], "outputs": ["9\n", "25\n"]},
        {"input": ["3\n", "5\n"], "output": ["9\n", "25\n"]},
        CASES["cases"],
        [{"input": "3\n", "output": "9\n", "testtype": "stdin"}, {"input": "5\n", "output": "25\n", "id": 2}],
        json.dumps({"inputs": ["3\n", "5\n"], "outputs": ["9\n", "25\n"], "fn_name": None}),
    ],
)
def test_published_shapes_of_input_and_output_are_tasks(value) -> None:
    assert read_task(json.dumps(value)) == read_task(json.dumps(CASES))


def test_lines_and_numbers_are_texts() -> None:
    task = read_task(json.dumps({"inputs": [["2", "1 2"], "5"], "outputs": [[3], 7.5]}))
    assert isinstance(task, StdioTask)
    assert [(case.input, case.output) for case in task.cases] == [("2\n1 2", "3"), ("5", "7.5")]


@pytest.mark.parametrize(
    ("output", "kind"),
    [("9", "tokens"), ("YES 1.2.3", "tokens"), ("a.5", "tokens"), ("0.5", "floats"), ("x -.5e3", "floats")],
)
def test_decimal_numbers_are_expected_within_a_tolerance(output: str, kind: str) -> None:
    task = read_task(json.dumps([{"input": "", "output": "1"}, {"input": "", "output": output}]))
    assert isinstance(task, StdioTask) and task.checker.kind == kind


def played(task: FunctionTask, function) -> str:
    """What a task's check says of a function."""
    namespace: dict = {}
    exec(task.check, namespace)
    try:
        namespace["check"](function)
    except AssertionError as error:
        return str(error)
    return "passed"


def function(value) -> FunctionTask:
    task = read_task(json.dumps(value))
    assert isinstance(task, FunctionTask)
    return task


@pytest.mark.parametrize("inputs", [[[3], [5]], ["3", "5\n"]])
@pytest.mark.parametrize("outputs", [[[9], [25]], [9, 25]])
def test_a_functions_arguments_and_values(inputs, outputs) -> None:
    task = function({"fn_name": "square", "inputs": inputs, "outputs": outputs})
    assert task.entry_point == "Solution.square"
    assert played(task, lambda n: n * n) == "passed"
    assert played(task, lambda n: n + 6) == "case 2 of 2: 11 instead of " + repr(outputs[1])
    rote: dict = {}
    exec(task.solution, rote)
    assert played(task, rote["square"]) == "passed"


@pytest.mark.parametrize(
    ("expected", "value", "right"),
    [
        ([1, 2], (1, 2), True),
        ([[1, 2]], [(1, 2)], True),
        ([[[1, 2]]], [[1, 2]], True),
        ([1, 2], [2, 1], False),
        ([1, 2], 1, False),
        ("abc", "abc", True),
        ([[]], [], True),
        (0.3, 0.1 + 0.2, False),
        ({"1": [2]}, {1: (2,)}, True),
        (None, None, True),
        (2, 2.0, True),
        ("2", 2, False),
    ],
)
def test_values_are_compared_as_apps_does(expected, value, right) -> None:
    task = function({"fn_name": "f", "inputs": [[]], "outputs": [expected]})
    assert (played(task, lambda: value) == "passed") is right


def test_keys_that_were_numbers_are_numbers_again() -> None:
    task = function({"fn_name": "f", "inputs": [[{"1": 10, "-2": 20}], [{"a": 1}]], "outputs": [30, 1]})
    seen = []
    assert played(task, lambda table: seen.append(table) or sum(table.values())) == "passed"
    assert seen == [{1: 10, -2: 20}, {"a": 1}]
    rote: dict = {}
    exec(task.solution, rote)
    assert played(task, rote["f"]) == "passed"


def test_asserts_name_the_function_that_they_test() -> None:
    task = function(["assert set(square_all([1, 2])) == {1, 4}", "assert len(square_all([])) == 0"])
    assert task.entry_point == "square_all"
    assert played(task, lambda xs: [x * x for x in xs]) == "passed"
    assert played(task, lambda xs: [x + x for x in xs]) == "assert set(square_all([1, 2])) == {1, 4}"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"inputs": ["1"], "outputs": ["1", "2"]}, "1 inputs and 2 outputs"),
        ({"inputs": [], "outputs": []}, "no tests"),
        ({"inputs": ["1"]}, "no 'outputs'"),
        ({"inputs": "1", "outputs": "1"}, "must be lists"),
        ({"inputs": [[3]], "outputs": [[9]]}, 'no "fn_name"'),
        ({"inputs": [{"a": 1}], "outputs": ["9"]}, "must be a text"),
        ({"inputs": ["1", "2"], "outputs": ["", "\n"]}, "prints nothing would be right"),
        ({"inputs": [[1], [1]], "outputs": [[1], [2]], "fn_name": "f"}, "expected to give both"),
        ({"inputs": [[1]], "outputs": [[1]], "fn_name": "a b"}, "no name of a function"),
        ({"inputs": ["x"], "outputs": ["1"], "fn_name": "f"}, "no JSON"),
        ([{"input": "1"}], "case 1 of 1 is no"),
        ([{"input": "1", "output": "1", "testtype": "functional"}], "form = 'livecodebench'"),
        (["assert True"], "call no function"),
        (["assert f(1"], "no Python"),
        ({"tests": []}, r"there are 'tests'; the reward 'code' reads .*problems\.\*\.form"),
        ("print(1)", r"no JSON .*problems\.\*\.form"),
        (7, "no task but 7"),
    ],
)
def test_what_is_in_no_shape_says_what_to_write(value, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_task(json.dumps(value))
