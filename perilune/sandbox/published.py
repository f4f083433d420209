"""Tests in the shapes that public data sets have, rewritten as tasks of ours.

    {"inputs": ["3\\n"], "outputs": ["9\\n"]}                       standard input and output (APPS, TACO, Eurus)
    {"fn_name": "square", "inputs": [[3]], "outputs": [[9]]}        a function, or a method of class Solution
    [{"input": "3\\n", "output": "9\\n"}]                            a list of cases (LiveCodeBench)
    {"input": ["3\\n"], "output": ["9\\n"]}                          a list of each (CodeContests)
    ["assert square(3) == 9"]                                       statements that call the function (MBPP)

Values are JSON throughout: these functions know nothing of tasks, whose reader calls them.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

WHAT_TO_WRITE = (
    'the reward \'code\' reads a dictionary {"cases": [{"input": …, "output": …}]}, {"entry_point": …, "check": …}, '
    '{"inputs": […], "outputs": […]} with or without "fn_name", or a list of {"input": …, "output": …} or of asserts; '
    "rows of a public data set are read by naming it: problems.*.form = 'apps' and others, see docs/code.md"
)
_DECIMAL = re.compile(r"(?<![\w.])[+-]?+\d*+\.\d++(?:[eE][+-]?+\d++)?(?![\w.])")
_IMPORTS = ast.Import | ast.ImportFrom
_FUNCTION_CHECK = '''\
import json

CASES = json.loads({cases!r})


def plain(value):
    """Sequences as lists, keys as texts: what is left of a value in JSON."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {{key if isinstance(key, str) else str(key): plain(item) for key, item in value.items()}}
    return value


def same(got, expected):
    return plain(got) == plain(expected){wrapped}


def check(candidate):
    for number, (arguments, expected) in enumerate(CASES, 1):
        got = candidate(*{arguments})
        assert same(got, expected), f"case {{number}} of {{len(CASES)}}: {{got!r:.80}} instead of {{expected!r:.80}}"
'''
_WRAPPED = " or (isinstance(expected, list) and len(expected) == 1 and plain(got) == plain(expected[0]))"
_WHOLE_KEYS = '''

def whole_keys(value):
    """JSON has texts for keys; where all of them are whole numbers, they were that."""
    if isinstance(value, dict) and value and all(key.removeprefix("-").isdecimal() for key in value):
        return {int(key): item for key, item in value.items()}
    return value
'''
_ROTE = """\
import json

# Right by rote: from it, all calls of the check are learnt at once.
ANSWERS = json.loads({answers!r})


def {name}(*arguments):
    return ANSWERS[json.dumps(arguments)]
"""
_ASSERTS_CHECK = """\
{setup}

TESTS = {tests!r}


def check(candidate):
    globals()[{name!r}] = candidate
    for test in TESTS:
        try:
            exec(compile(test, "<test>", "exec"), globals())
        except AssertionError as error:
            if error.args or "\\n" in test.strip():
                raise
            raise AssertionError(test.strip()[:200]) from None
"""


def as_task(value: Any) -> Any:
    """A task as ours are written; what is written so already is left as it is, for its reader to check.

    Raises:
        ValueError: it is in no shape that is known, or its parts do not fit together; says what to write instead.
    """
    for _ in range(2):  # Some sets write JSON into a text of JSON.
        value = _decoded(value) if isinstance(value, str) else value
    if isinstance(value, list):
        return _of_list(value)
    if not isinstance(value, dict):
        raise ValueError(f"no task but {_kind(value)}: {WHAT_TO_WRITE}")
    if "cases" in value or "entry_point" in value:
        return value
    if "inputs" in value or "outputs" in value:
        return _of_pairs(value)
    if isinstance(value.get("input"), list) or isinstance(value.get("output"), list):
        return stdio_task(_field(value, "input"), _field(value, "output"))
    raise ValueError(f"no task: there are {', '.join(map(repr, value)) or 'no fields'}; {WHAT_TO_WRITE}")


def stdio_task(
    inputs: Any, outputs: Any, *, checker: str = "", cpu_seconds: float | None = None, memory_mb: int | None = None
) -> dict[str, Any]:
    """A task on standard input and output, from as many inputs as outputs.

    Args:
        inputs: texts, or lists of lines.
        outputs: likewise.
        checker: its kind; by default floats where an output holds a decimal number, else tokens.
        cpu_seconds: the problem's limit for each case, if it has one.
        memory_mb: likewise.

    Raises:
        ValueError: they are none, of different number, no texts, or no program could fail on them.
    """
    pairs = _paired(inputs, outputs)
    if any(isinstance(given, list) and not all(isinstance(line, str) for line in given) for given, _ in pairs):
        raise ValueError('inputs are lists of values, as for a function, but there is no "fn_name" that says which')
    cases = [{"input": _text(given, "input"), "output": _text(wanted, "output")} for given, wanted in pairs]
    if not any(case["output"].strip() for case in cases):
        raise ValueError("every expected output is empty: a program that prints nothing would be right")
    if not checker and any(_DECIMAL.search(case["output"]) for case in cases):
        checker = "floats"
    task = {"cases": cases, "checker": {"kind": checker or "tokens"}}
    limits = {"cpu_seconds": cpu_seconds, "memory_mb": memory_mb}
    return task | {name: limit for name, limit in limits.items() if limit is not None}


def function_task(
    name: str, inputs: Any, outputs: Any, *, as_apps: bool = True, memory_mb: int | None = None
) -> dict[str, Any]:
    """A task on a function's arguments and values, or on those of a method of class Solution.

    Values are compared as APPS' and LiveCodeBench's graders do: exactly, tuples as lists (these graders: at the top
    alone; here: everywhere).

    Args:
        name: the function's.
        inputs: lists of arguments; or texts with one argument as JSON on each line.
        outputs: the values, of texts as JSON.
        as_apps: a value may be the only item of the expected list; keys that are all whole numbers are numbers.
        memory_mb: the problem's limit, if it has one.

    Raises:
        ValueError: they are none, of different number, or contradict each other.
    """
    if not (isinstance(name, str) and name.isidentifier()):
        raise ValueError(f"fn_name {name!r} is no name of a function")
    cases = [_call(given, wanted) for given, wanted in _paired(inputs, outputs)]
    answers: dict[str, Any] = {}
    for arguments, expected in cases:
        key = json.dumps(arguments)
        if answers.setdefault(key, expected) != expected:
            raise ValueError(f"the arguments {key[:80]} are expected to give both {answers[key]!r} and {expected!r}")
    check = _FUNCTION_CHECK.format(
        cases=json.dumps(cases),
        wrapped=_WRAPPED if as_apps else "",
        arguments="map(whole_keys, arguments)" if as_apps else "arguments",
    )
    return {
        "entry_point": f"Solution.{name}",
        "check": check + (_WHOLE_KEYS if as_apps else ""),
        "solution": _ROTE.format(answers=json.dumps(answers), name=name),
        **({} if memory_mb is None else {"memory_mb": memory_mb}),
    }


def asserts_task(tests: Sequence[str], *, setup: str = "", solution: str = "", name: str = "") -> dict[str, Any]:
    """A task of statements that call a function by its name, as MBPP's are.

    Args:
        tests: Python, each statement or program raises unless the function is right.
        setup: Python that comes before them.
        solution: a right program, if there is one.
        name: the function's; by default the one that the tests call, and the solution defines.

    Raises:
        ValueError: there is none, or it cannot be told which function they test.
    """
    tests = [test for test in tests if test.strip()]
    if not tests:
        raise ValueError("there is no test")
    name = name or called_name(tests, setup, solution)
    # Once more at the top, where whoever asks what a check needs finds them.
    imports = [ast.unparse(node) for test in tests for node in ast.walk(_parsed(test)) if isinstance(node, _IMPORTS)]
    setup = "\n".join(dict.fromkeys([*imports, setup.strip()])).strip()
    check = _ASSERTS_CHECK.format(setup=setup, tests=tests, name=name)
    return {"entry_point": name, "check": check, "solution": solution}


def called_name(tests: Sequence[str], setup: str = "", solution: str = "") -> str:
    """The function that tests call and that is not theirs: the one called most, the first of them where several are.

    Raises:
        ValueError: they call none, or are no Python.
    """
    defined = re.findall(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", solution, re.MULTILINE)
    calls: Counter[str] = Counter()
    for test in tests:
        calls.update(_called(test))
    own = set(dir(builtins)) | set(re.findall(r"(?:def|class|import|as)[ \t]+(\w+)", "\n".join([setup, *tests])))
    names = [name for name, _ in calls.most_common() if name not in own and (not defined or name in defined)]
    if not names:
        raise ValueError(
            f"the tests call no function{' of the solution' if defined else ''}: {tests[0].strip()[:80]!r}"
        )
    return names[0]


def _called(test: str) -> Iterable[str]:
    calls = (node.func for node in ast.walk(_parsed(test)) if isinstance(node, ast.Call))
    return (called.id for called in calls if isinstance(called, ast.Name))


def _parsed(test: str) -> ast.Module:
    try:
        return ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"a test is no Python ({error}): {test.strip()[:80]!r}") from None


def _of_list(value: list[Any]) -> dict[str, Any]:
    if not value:
        raise ValueError(f"an empty list holds no case; a dictionary or a list is needed: {WHAT_TO_WRITE}")
    if all(isinstance(item, str) for item in value):
        return asserts_task(value)
    for place, item in enumerate(value, 1):
        if not (isinstance(item, dict) and "input" in item and "output" in item):
            raise ValueError(f"case {place} of {len(value)} is no {{'input': …, 'output': …}}: {str(item)[:80]}")
    if any(item.get("testtype") == "functional" for item in value):
        raise ValueError(
            "these cases are calls of a function that is not named here; write problems.*.form = 'livecodebench', "
            'or {"fn_name": …, "inputs": […], "outputs": […]}'
        )
    return stdio_task([item["input"] for item in value], [item["output"] for item in value])


def _of_pairs(value: dict[str, Any]) -> dict[str, Any]:
    inputs, outputs = _field(value, "inputs"), _field(value, "outputs")
    if name := value.get("fn_name"):
        return function_task(name, inputs, outputs)
    return stdio_task(inputs, outputs)


def _field(value: dict[str, Any], name: str) -> Any:
    if name not in value:
        raise ValueError(f"there is no {name!r} beside {', '.join(map(repr, value))}; {WHAT_TO_WRITE}")
    return value[name]


def _paired(inputs: Any, outputs: Any) -> list[tuple[Any, Any]]:
    if not (isinstance(inputs, list) and isinstance(outputs, list)):
        raise ValueError(f"inputs and outputs must be lists, they are {_kind(inputs)} and {_kind(outputs)}")
    if len(inputs) != len(outputs):
        raise ValueError(f"there are {len(inputs)} inputs and {len(outputs)} outputs: which belong together?")
    if not inputs:
        raise ValueError("there are no tests: inputs and outputs are empty")
    return list(zip(inputs, outputs, strict=True))


def _text(value: Any, what: str) -> str:
    if isinstance(value, list):
        return "\n".join(_text(line, what) for line in value)
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"an {what} must be a text or a list of lines, this is {_kind(value)}: {str(value)[:80]}")


def _call(given: Any, wanted: Any) -> tuple[list[Any], Any]:
    """A call's arguments and value; where the arguments are a text, the value is one too."""
    if isinstance(given, str):
        lines = [line for line in given.split("\n") if line.strip()]
        return [_decoded(line) for line in lines], _decoded(wanted) if isinstance(wanted, str) else wanted
    if isinstance(given, list):
        return given, wanted
    raise ValueError(f"a function's input must be a list of arguments, this is {_kind(given)}: {str(given)[:80]}")


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON ({error}): {text[:80]!r}; {WHAT_TO_WRITE}") from None


def _kind(value: Any) -> str:
    return {dict: "a dictionary", list: "a list", str: "a text", type(None): "null"}.get(type(value), repr(value)[:40])
