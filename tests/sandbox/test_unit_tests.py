"""Tests of public data sets, judged in the sandbox by the tasks that their rows become."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from perilune.data.forms.reading import FORMS
from perilune.sandbox.judge import Judge
from perilune.sandbox.programs import Program
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import complete_program, read_task
from perilune.sandbox.verdicts import Judgement, Outcome

ROOTS = '''\
import math

def roots(numbers):
    """Square roots."""
    if not isinstance(numbers, list):
        raise TypeError("a list is needed")
    if any(number < 0 for number in numbers):
        raise ValueError(f"negative: {min(numbers)}")
    return [math.sqrt(number) for number in numbers]
'''
PYTEST = """\
import math
import pytest
from pytest import approx
from solution import roots

@pytest.fixture
def four():
    return [4, 4]

@pytest.fixture
def sixteen(four):
    yield [number * 4 for number in four]

@pytest.mark.parametrize("number, root", [(4, 2), pytest.param(2, math.sqrt(2), id="two")])
@pytest.mark.parametrize("count", [1, 2])
def test_each(number, root, count):
    assert roots([number] * count) == approx([root] * count)

def test_fixtures(sixteen):
    assert roots(sixteen) == [4, 4]

class TestErrors:
    def setup_method(self):
        self.bad = [-1]

    def test_negative(self):
        with pytest.raises(ValueError, match="negative: -1") as caught:
            roots(self.bad)
        assert "negative" in str(caught.value)

    def test_type(self):
        pytest.raises(TypeError, roots, 4)
"""
UNITTEST = """\
import unittest

class TestCases(unittest.TestCase):
    def setUp(self):
        self.numbers = [1, 4]

    def test_roots(self):
        self.assertEqual(roots(self.numbers), [1, 2])

    def test_errors(self):
        for numbers in ([-1], [4, -4]):
            with self.subTest(numbers=numbers), self.assertRaises(ValueError):
                roots(numbers)
"""
METHOD = "class Solution:\n    def total(self, xs):\n        return BODY\n"


@pytest.fixture(scope="module")
def judge(isolation) -> Iterator[Judge]:
    if isolation:
        pytest.skip(isolation)
    with Sandbox(workers=1) as sandbox:
        yield Judge(sandbox)


def judged(judge: Judge, form: str, row: dict, text: str) -> Judgement:
    task = read_task(json.dumps(FORMS[form](row).task))
    return judge.judge(task, Program("python", complete_program(task, text)))


ROWS = {
    "kodcode": {"question": "Take square roots.", "solution": ROOTS, "test": PYTEST},
    "bigcodebench": {"instruct_prompt": "Take square roots with roots.", "code_prompt": "", "canonical_solution": ROOTS}
    | {"test": UNITTEST, "entry_point": "roots"},
    "mbpp": {"text": "Take square roots.", "code": ROOTS}
    | {"test_list": ["assert roots([4, 9]) == [2, 3]", "assert math.isclose(roots([2])[0], 2 ** 0.5)"]}
    | {"test_setup_code": "import math"},
    "humaneval_plus": {"prompt": "import math\n\ndef roots(numbers):\n", "entry_point": "roots"}
    | {"canonical_solution": "    return [math.sqrt(number) for number in numbers]\n"}
    | {"base_input": [[[4, 9]]], "plus_input": [[[2, 3, 5]], [[]]]},
}  # fmt: skip


@pytest.mark.parametrize("form", ROWS)
def test_right_functions_pass_and_wrong_ones_do_not(judge, form) -> None:
    assert judged(judge, form, ROWS[form], ROOTS).outcome is Outcome.ACCEPTED
    near = ROOTS.replace("math.sqrt(number)", "number ** 0.5 * (1 + 1e-15)")
    assert judged(judge, form, ROWS[form], near).outcome is (
        Outcome.ACCEPTED if form == "humaneval_plus" else Outcome.WRONG_ANSWER
    )
    for wrong in (ROOTS.replace("math.sqrt(number)", "number / 2"), "def roots(numbers):\n    return None\n"):
        assert judged(judge, form, ROWS[form], wrong).outcome is Outcome.WRONG_ANSWER


@pytest.mark.parametrize("form", ["kodcode", "bigcodebench"])
def test_an_exception_that_is_expected_must_be_raised(judge, form) -> None:
    silent = ROOTS.replace("raise ValueError(", "return list(")
    assert judged(judge, form, ROWS[form], silent).outcome is Outcome.WRONG_ANSWER


@pytest.mark.parametrize(
    ("body", "outcome"), [("sum(xs)", Outcome.ACCEPTED), ("max(xs) + min(xs)", Outcome.WRONG_ANSWER)]
)
@pytest.mark.parametrize("form", ["apps", "livecodebench"])
def test_methods_are_called_by_their_name(judge, form, body, outcome) -> None:
    row = {"question": "Add numbers up.", "question_content": "Add numbers up.", "starter_code": METHOD}
    inputs = [[[n, 2, n]] for n in range(100)]
    pairs = {"inputs": inputs, "outputs": [2 * n + 2 for n in range(100)], "fn_name": "total"}
    row["input_output"] = json.dumps(pairs)
    row["metadata"] = json.dumps({"func_name": "total"})
    row["public_test_cases"] = json.dumps(
        [{"input": json.dumps(given[0]), "output": json.dumps(2 * n + 2), "testtype": "functional"}
         for n, given in enumerate(inputs)]
    )  # fmt: skip
    assert judged(judge, form, row, METHOD.replace("BODY", body)).outcome is outcome
    plain = f"def total(xs):\n    return {body}\n"
    assert judged(judge, form, row, plain).outcome is outcome
