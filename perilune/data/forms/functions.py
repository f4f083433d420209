"""Rows of MBPP, HumanEval, KodCode and BigCodeBench, and of their enlarged editions: functions with tests in Python."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from perilune.data.forms.row import Formed, Row, asked, decoded, field, level, statement, texts
from perilune.sandbox.published import asserts_task
from perilune.sandbox.unit_tests import OFFERED, OFFERED_MARKS

_RUNNER = files("perilune.sandbox").joinpath("unit_tests.py").read_text(encoding="utf-8")
_TEXT_CHECK = """\
{runner}

{imports}

SOURCE = {source!r}


def check(candidate):
    run_tests(SOURCE, {{{name!r}: candidate}}, {module!r})
"""
_PLUS_CHECK = '''\
import copy
import json
import math

INPUTS = json.loads({inputs!r})
REFERENCE: dict = {{}}
exec({reference!r}, REFERENCE)


def same(got, expected):
    """Equal, or of the same type and near, as EvalPlus compares numbers."""
    if got == expected:
        return True
    if isinstance(expected, float) and isinstance(got, (int, float)):
        return math.isclose(got, expected, rel_tol=1e-7, abs_tol={tolerance})
    if isinstance(expected, (list, tuple)) and type(got) is type(expected):
        return len(got) == len(expected) and all(map(same, got, expected))
    return False


def check(candidate):
    for arguments in INPUTS:
        expected = REFERENCE[{name!r}](*copy.deepcopy(arguments))
        got = candidate(*copy.deepcopy(arguments))
        assert same(got, expected), f"{{arguments!r:.80}} gives {{got!r:.80}} instead of {{expected!r:.80}}"
'''


def mbpp(row: Row) -> Formed:
    """MBPP and MBPP+: text or prompt, code, test_list, test_setup_code or test_imports; MBPP+ has a program in test.

    Raises:
        ValueError: it is EvalPlus' own file, whose inputs are not of JSON's types.
    """
    if "plus_input" in row:
        raise ValueError("EvalPlus' own file loses tuples and sets; take the set evalplus/mbppplus, which has 'test'")
    shown = [str(test) for test in decoded(field(row, "test_list"), "test_list")]
    tests = [str(row["test"])] if row.get("test") else shown
    setup = "\n".join([*_more(row.get("test_imports")), str(row.get("test_setup_code") or "")]).strip()
    code = str(field(row, "code"))
    name = asserts_task(shown, setup=setup, solution=code)["entry_point"]
    return Formed(
        question=asked(statement(row, "text", "prompt"), function=f"the function {name}", tests=shown),
        task=asserts_task(tests, setup=setup, solution=code, name=name),
        id=str(row.get("task_id", "")),
        solution=code,
    )


def humaneval(row: Row) -> Formed:
    """HumanEval and HumanEval+: prompt, entry_point, test or EvalPlus' inputs, canonical_solution, task_id."""
    prompt, name = str(field(row, "prompt")), str(field(row, "entry_point"))
    solution = str(row.get("canonical_solution") or "")
    check = str(row["test"]) if row.get("test") else _plus_check(row, prompt + solution, name)
    return Formed(
        question=f"Complete the Python function {name}.\n```python\n{prompt.strip()}\n```",
        task={"entry_point": name, "check": check, "prompt": prompt, "solution": solution},
        id=str(row.get("task_id") or ""),
        solution=solution,
    )


def kodcode(row: Row) -> Formed:
    """KodCode: question, solution, test (for pytest, importing from solution), test_info, question_id.

    Raises:
        ValueError: the tests take several functions, or more of pytest than is offered.
    """
    test = str(field(row, "test"))
    info = _first(decoded(row.get("test_info") or [], "test_info"))
    names = sorted(
        {alias.name for alias in _imported(_parsed(test), "solution")} or {str(info.get("function_name", ""))}
    )
    if len(names) != 1 or not names[0].isidentifier():
        raise ValueError(f"its tests take {len(names)} names from the solution ({', '.join(names)}), not one function")
    declared = str(info.get("function_declaration") or f"the function {names[0]}").removesuffix(":")
    function = f"`{declared}`" if declared.startswith(("def ", "class ", "async ")) else declared
    solution = str(row.get("solution") or "")
    return Formed(
        question=asked(statement(row, "question"), function=function),
        task={"entry_point": names[0], "check": _text_check(test, names[0], "solution"), "solution": solution},
        id=str(row.get("question_id") or ""),
        tags=(*texts(row.get("subset")), *texts(row.get("style"))),
        difficulty=level(row.get("gpt_difficulty")),
        solution=solution,
    )


def bigcodebench(row: Row) -> Formed:
    """BigCodeBench: instruct_prompt or complete_prompt, code_prompt, test (classes of unittest), entry_point.

    Raises:
        ValueError: the tests replace parts of the program, which runs in a process of its own.
    """
    name, test = str(field(row, "entry_point")), str(field(row, "test"))
    prompt = str(row.get("code_prompt") or row.get("complete_prompt") or "")
    solution = str(row.get("canonical_solution") or "")
    question = statement(row, "instruct_prompt", "complete_prompt")
    if "instruct_prompt" not in row:
        question = f"Complete the Python function {name}.\n```python\n{question}\n```"
    elif name not in question:
        question = asked(question, function=f"the function {name}", starter=prompt)
    check = _text_check(test, name, "solution")
    return Formed(
        question=question,
        task={"entry_point": name, "check": check, "prompt": prompt, "solution": solution},
        id=str(row.get("task_id") or ""),
        tags=texts(row.get("libs")),
        solution=solution,
    )


def _text_check(test: str, name: str, module: str) -> str:
    """A check that runs a text of tests.

    Raises:
        ValueError: the text needs what is not there.
    """
    tree = _parsed(test)
    _refuse_what_is_missing(tree)
    # At the top, where whoever looks for what a check needs finds them.
    imports = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    outside = [line for line in imports if line.split()[1].partition(".")[0] not in {module, "pytest", "__future__"}]
    return _TEXT_CHECK.format(
        runner=_RUNNER, imports="\n".join(dict.fromkeys(outside)), source=test, name=name, module=module
    )


def _refuse_what_is_missing(tree: ast.Module) -> None:
    modules = {name.partition(".")[0] for name in _modules(tree)}
    if any(name.startswith("unittest.mock") for name in _modules(tree)) or "mock" in modules:
        raise ValueError("its tests replace parts of the program (unittest.mock), which runs in a process of its own")
    asked_of_pytest = {node.attr for node in _attributes(tree, "pytest")} | {a.name for a in _imported(tree, "pytest")}
    if missing := sorted(asked_of_pytest - OFFERED):
        raise ValueError(f"its tests use pytest.{missing[0]}; offered are {', '.join(sorted(OFFERED))}")
    marks = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_mark(node.value)}
    if missing := sorted(marks - OFFERED_MARKS):
        raise ValueError(f"its tests use pytest.mark.{missing[0]}; offered is {', '.join(sorted(OFFERED_MARKS))}")
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    known = {node.name for node in functions} | {"self", "cls"} | _parameters(tree)
    tests = [node for node in functions if node.name.startswith("test")]
    if not tests:
        raise ValueError("there are no tests: no function's name begins with test")
    if any(isinstance(test, ast.AsyncFunctionDef) for test in tests):
        raise ValueError("its tests are asynchronous, which is not offered")
    for argument in (argument.arg for test in tests for argument in test.args.args):
        if argument not in known:
            raise ValueError(f"its tests use pytest's fixture {argument}, which is not offered")


def _parameters(tree: ast.Module) -> set[str]:
    """Names that are given by parametrize."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "parametrize":
            for text in ast.walk(node.args[0]) if node.args else ():
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    found |= {name.strip() for name in text.value.split(",")}
    return found


def _is_mark(node: ast.AST) -> bool:
    named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pytest"
    return named and isinstance(node, ast.Attribute) and node.attr == "mark"


def _attributes(tree: ast.Module, module: str) -> Iterator[ast.Attribute]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module:
            yield node


def _imported(tree: ast.Module, module: str) -> Iterator[ast.alias]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == module:
            yield from node.names


def _modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _parsed(test: str) -> ast.Module:
    try:
        return ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise ValueError(f"the tests are no Python {version}: {error}") from None


def _plus_check(row: Row, reference: str, name: str) -> str:
    inputs = [*decoded(field(row, "base_input"), "base_input"), *decoded(row.get("plus_input") or [], "plus_input")]
    tolerance = float(row.get("atol") or 1e-6)
    return _PLUS_CHECK.format(inputs=json.dumps(inputs), reference=reference, name=name, tolerance=tolerance)


def _more(value: Any) -> Sequence[str]:
    return [str(item) for item in decoded(value, "tests")] if value else []


def _first(value: Any) -> dict[str, Any]:
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, dict) else {}
