"""Functions judged by a check, through the real sandbox: what they may do, and what they cannot forge."""

from collections.abc import Iterator

import pytest

from perilune.sandbox.judge import Judge, JudgeSettings
from perilune.sandbox.programs import Limits, Program
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import FunctionTask
from perilune.sandbox.verdicts import Judgement, Outcome

CHECK = """
def check(candidate):
    assert candidate(2) == 4
    assert candidate(5) == 25, "five"
    assert candidate(-1) == 1
"""
PROMPT = 'def square(x):\n    """The square."""\n'
SQUARE = FunctionTask("square", CHECK, PROMPT, "    return x * x\n")
WITHOUT_SOLUTION = FunctionTask("square", CHECK, PROMPT)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Sandbox(workers=2) as sandbox:
        yield Judge(sandbox, JudgeSettings(Limits(cpu_seconds=2, wall_seconds=60, memory_mb=256)))


def judged(judge: Judge, task: FunctionTask, source: str) -> Judgement:
    return judge.judge(task, Program("python", source))


@pytest.mark.parametrize("task", [SQUARE, WITHOUT_SOLUTION], ids=["with a solution", "without one"])
@pytest.mark.parametrize(
    ("source", "outcome", "detail"),
    [
        ("def square(x):\n    return x ** 2", Outcome.ACCEPTED, "after 3 calls"),
        ("square = lambda x: abs(x) * abs(x)", Outcome.ACCEPTED, "after 3 calls"),
        ("def square(x):\n    return x ** 2 if x < 5 else 0", Outcome.WRONG_ANSWER, "AssertionError: five"),
        ("def square(x):\n    return str(x * x)", Outcome.WRONG_ANSWER, "after 1 calls: AssertionError"),
        ("def square(x):\n    print(x)\n    return x * x", Outcome.ACCEPTED, ""),
        ("def square(x):\n    return [][x]", Outcome.RUNTIME_ERROR, "IndexError"),
        ("def square(x, y):\n    return x * y", Outcome.RUNTIME_ERROR, "TypeError"),
        ("def square(x):\n    while True: pass", Outcome.TIME_LIMIT, "call 1"),
        ("def square(x):\n    return len('x' * (1 << 30))", Outcome.MEMORY_LIMIT, ""),
        ("def square(x:\n    return 1", Outcome.COMPILE_ERROR, "SyntaxError"),
        ("def cube(x):\n    return x ** 3", Outcome.RUNTIME_ERROR, "KeyError: 'square'"),
        ("1 / 0", Outcome.RUNTIME_ERROR, "ZeroDivisionError"),
    ],
)
def test_each_verdict(judge: Judge, task: FunctionTask, source: str, outcome: Outcome, detail: str) -> None:
    judgement = judged(judge, task, source)
    assert (judgement.outcome, detail in judgement.detail) == (outcome, True), judgement


FORGERIES = {
    "exits as if all were well": "import os\ndef square(x):\n    os._exit(0)",
    "exits at import": "import sys\nsys.exit(0)",
    "raises SystemExit when compared": (
        "class Sly(int):\n    def __eq__(self, other): raise SystemExit(0)\n"
        "    __hash__ = int.__hash__\ndef square(x):\n    return Sly(7)"
    ),
    "equals everything": (
        "class Yes:\n    def __eq__(self, other): return True\n    __hash__ = None\ndef square(x):\n    return Yes()"
    ),
    "is a number that equals everything": (
        "class Yes(int):\n    def __eq__(self, other): return True\n"
        "    __hash__ = int.__hash__\ndef square(x):\n    return Yes(7)"
    ),
    "says that it passed": (
        "import json, os\nfor fd in range(64):\n"
        "    try: os.write(fd, (json.dumps(['passed', '', [1]]) + chr(10)).encode() * 9)\n"
        "    except OSError: pass\ndef square(x):\n    return 7"
    ),
    "writes over what was said": (
        "import os\ndef square(x):\n    for fd in range(64):\n"
        '        try:\n            os.lseek(fd, 0, 0)\n            os.write(fd, b\'["passed", "", [1]]\\n\')\n'
        "        except OSError: pass\n    os._exit(0)"
    ),
    "answers in the harness's place and exits": (
        "import os, sys\nfor fd in range(64):\n"
        "    try: os.write(fd, b'[\"returned\", true]\\n' * 3)\n"
        "    except OSError: pass\nos._exit(0)"
    ),
    "patches assert's error": "import builtins\nbuiltins.AssertionError = Warning\ndef square(x):\n    return 7",
    "patches the harness": (
        "import __main__\n__main__.run_check = lambda *a: None\n"
        "__main__.encode = lambda *a: True\ndef square(x):\n    return 7"
    ),
    "patches json": 'import json\njson.dumps = lambda *a, **k: \'["passed", "", [1]]\'\ndef square(x):\n    return 7',
    "looks for the check": (
        "import gc\ndef square(x):\n    for thing in gc.get_objects():\n"
        "        if isinstance(thing, dict) and 'check' in thing and callable(thing['check']):\n"
        "            thing['check'] = lambda c: None\n    return 7"
    ),
    "redefines check": "def check(candidate):\n    return None\ndef square(x):\n    return 7",
    "raises what the harness raises": "import __main__\ndef square(x):\n    raise __main__.Unanswered",
    "raises an unknown exception": "class Odd(BaseException): pass\ndef square(x):\n    raise Odd('passed')",
    "leaves an exit handler": "import atexit, os\natexit.register(lambda: os._exit(0))\ndef square(x):\n    return 7",
    "changes the frames above": (
        "import sys\ndef square(x):\n    frame = sys._getframe()\n    while frame:\n"
        "        frame.f_globals.update(say=lambda m: None, _outcome=lambda *a: ['passed', '', [1]])\n"
        "        frame = frame.f_back\n    return 7"
    ),
    "returns a deep value": "def square(x):\n    y = []\n    for _ in range(100000): y = [y]\n    return y",
}


@pytest.mark.parametrize("task", [SQUARE, WITHOUT_SOLUTION], ids=["with a solution", "without one"])
@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_verdict_cannot_be_forged(judge: Judge, task: FunctionTask, forgery: str) -> None:
    judgement = judged(judge, task, forgery)
    assert judgement.outcome not in {Outcome.ACCEPTED, Outcome.INFRASTRUCTURE_ERROR}, judgement


VALUES = """
import math
def check(candidate):
    values = [None, True, 7, -(2 ** 70), 1.5, float("inf"), -0.0, 2 + 3j, "é\\ud800", b"\\x00", [1, [2]], (1, (2,)),
              {1, 2}, {"a": [1], (1, 2): None}, range(2, 9, 3)]
    for value in values:
        back = candidate(value)
        assert back == value and type(back) is type(value), value
    assert math.isnan(candidate(float("nan")))
    assert math.copysign(1, candidate(-0.0)) == -1
    assert candidate(1) is not True
    assert candidate(frozenset({3})) == {3}
    assert candidate(bytearray(b"x")) == b"x"
    assert candidate(x=5) == 5
"""


def test_plain_values_go_through_unchanged(judge: Judge) -> None:
    same = "def same(x):\n    return x"
    for task in (FunctionTask("same", VALUES, solution=same), FunctionTask("same", VALUES)):
        assert judged(judge, task, same).outcome is Outcome.ACCEPTED


def test_iterators_are_no_lists_but_can_be_gone_through(judge: Judge) -> None:
    check = (
        "def check(candidate):\n    got = candidate(3)\n    assert got != [0, 1, 2]\n    assert list(got) == [0, 1, 2]"
    )
    task = FunctionTask("f", check)
    assert judged(judge, task, "def f(n):\n    yield from range(n)").outcome is Outcome.ACCEPTED
    assert judged(judge, task, "def f(n):\n    return map(int, range(n))").outcome is Outcome.ACCEPTED
    assert judged(judge, task, "def f(n):\n    return list(range(n))").outcome is Outcome.WRONG_ANSWER
    endless = judged(judge, task, "from itertools import count\ndef f(n):\n    return count()")
    assert endless.outcome in {Outcome.WRONG_ANSWER, Outcome.OUTPUT_LIMIT, Outcome.TIME_LIMIT, Outcome.MEMORY_LIMIT}


def test_arguments_changed_in_place_come_back_changed(judge: Judge) -> None:
    check = (
        "def check(candidate):\n    x, y = [3, 1, 2], {'a': 1}\n    assert candidate(x, y) is None\n"
        "    assert x == [1, 2, 3] and y == {}\n"
    )
    task = FunctionTask("tidy", check)
    assert judged(judge, task, "def tidy(x, y):\n    x.sort()\n    y.clear()").outcome is Outcome.ACCEPTED
    assert judged(judge, task, "def tidy(x, y):\n    x = sorted(x)").outcome is Outcome.WRONG_ANSWER


def test_exceptions_that_a_check_expects(judge: Judge) -> None:
    check = (
        "def check(candidate):\n    try: candidate(-1)\n    except ValueError as error: assert 'neg' in str(error)\n"
        "    else: assert False\n"
    )
    task = FunctionTask("root", check)
    assert judged(judge, task, "def root(x):\n    raise ValueError('negative')").outcome is Outcome.ACCEPTED
    assert judged(judge, task, "def root(x):\n    return x").outcome is Outcome.WRONG_ANSWER
    assert judged(judge, task, "def root(x):\n    raise KeyError('neg')").outcome is Outcome.RUNTIME_ERROR


def test_random_checks_and_helpers_of_the_prompt(judge: Judge) -> None:
    prompt = "def shift(s):\n    return ''.join(chr(ord(c) + 1) for c in s)\n\ndef back(s):\n    '''Undo shift.'''\n"
    check = (
        "def check(candidate):\n    from random import choice\n    for _ in range(30):\n"
        "        text = ''.join(choice('abc') for _ in range(5))\n        assert candidate(shift(text)) == text\n"
    )
    right, wrong = "    return ''.join(chr(ord(c) - 1) for c in s)", "    return s"
    for task in (FunctionTask("back", check, prompt, right), FunctionTask("back", check, prompt)):
        assert judged(judge, task, prompt + right).outcome is Outcome.ACCEPTED
        assert judged(judge, task, prompt + wrong).outcome is Outcome.WRONG_ANSWER
    # The reference draws random numbers of its own; the check's must not move with them.
    drawing = f"    import random; random.random()\n{right}"
    assert judged(judge, FunctionTask("back", check, prompt, drawing), prompt + right).outcome is Outcome.ACCEPTED


def test_calls_that_depend_on_earlier_values_take_further_rounds(judge: Judge) -> None:
    check = "def check(candidate):\n    x = 1\n    for _ in range(4): x = candidate(x)\n    assert x in (16, 5)\n"
    task = FunctionTask("step", check, solution="def step(x):\n    return 2 * x")
    assert judged(judge, task, "def step(x):\n    return x + 1").outcome is Outcome.ACCEPTED
    assert judged(judge, task, "def step(x):\n    return x").outcome is Outcome.WRONG_ANSWER


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (FunctionTask("f", "def check(candidate:\n"), "cannot be run"),
        (FunctionTask("f", "def control(candidate): pass"), "cannot be run"),
        (FunctionTask("f", "def check(candidate): pass"), "never calls"),
        (FunctionTask("f", "def check(candidate): assert candidate(1) == 2", solution="def f(x): return x"), "own sol"),
        (
            FunctionTask(
                "f", "def check(candidate):\n    t = (1,)\n    assert candidate(t) is t", solution="def f(x): return x"
            ),
            "own sol",
        ),
        (
            FunctionTask("f", "class Own(f): pass\ndef check(candidate): pass", solution="class f: pass"),
            "cannot be run",
        ),
    ],
)
def test_a_fault_of_the_task_is_no_verdict(judge: Judge, task: FunctionTask, reason: str) -> None:
    judgement = judged(judge, task, "def f(x):\n    return x")
    assert judgement.outcome is Outcome.INFRASTRUCTURE_ERROR
    assert reason in judgement.detail


def test_a_function_is_asked_for_in_python(judge: Judge) -> None:
    assert judge.judge(SQUARE, Program("cpp", "int main() {}")).outcome is Outcome.COMPILE_ERROR


@pytest.mark.parametrize("depth", [100, 300, 480, 960, 5000, 100_000])
@pytest.mark.parametrize("check", ["assert candidate(candidate(1)) == 3", "assert candidate(1) == 3"])
def test_values_nested_however_deeply_are_no_error_of_ours(judge: Judge, depth: int, check: str) -> None:
    task = FunctionTask("nest", f"def check(candidate):\n    {check}\n")
    source = f"def nest(x):\n    value = 3\n    for _ in range({depth}):\n        value = [value]\n    return value"
    found = judge.judge(task, Program("python", source))
    assert found.outcome in {Outcome.WRONG_ANSWER, Outcome.RUNTIME_ERROR}
