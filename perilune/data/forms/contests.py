"""Rows of APPS, TACO, CodeContests, Eurus-2-RL, LiveCodeBench, and of sets of statements with lists of cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perilune.data.forms.private_tests import read_private_tests
from perilune.data.forms.row import Formed, Row, asked, decoded, field, level, megabytes, seconds, statement, texts
from perilune.sandbox.published import as_task, function_task, stdio_task

_PYTHON_3 = 3
"""CodeContests' number for the language of a solution."""
_TEST_SETS = ("public_tests", "private_tests", "generated_tests")


def apps(row: Row) -> Formed:
    """APPS: question, input_output (JSON: inputs, outputs, and fn_name for functions), solutions, starter_code."""
    return _input_output(row, texts(row.get("difficulty")))


def taco(row: Row) -> Formed:
    """TACO: as APPS, with tags, skill_types, source, time_limit and memory_limit."""
    tags = [*texts(row.get("source")), *texts(row.get("tags")), *texts(row.get("skill_types"))]
    time_limit, memory_limit = seconds(row.get("time_limit")), megabytes(row.get("memory_limit"))
    return _input_output(row, (*tags, *texts(row.get("difficulty"))), time_limit, memory_limit)


def code_contests(row: Row) -> Formed:
    """CodeContests: description, public, private and generated tests, time_limit, memory_limit_bytes, solutions.

    Raises:
        ValueError: its programs read and write files.
    """
    for name in ("input_file", "output_file"):
        if row.get(name):
            raise ValueError(f"its programs use a file ({name} = {row[name]!r}), not standard input and output")
    inputs: list[Any] = []
    outputs: list[Any] = []
    for name in _TEST_SETS:
        tests = decoded(row.get(name) or {}, name)
        given, wanted = list(tests.get("input") or []), list(tests.get("output") or [])
        if len(given) != len(wanted):
            raise ValueError(f"{name}: there are {len(given)} inputs and {len(wanted)} outputs: which belong together?")
        inputs += given
        outputs += wanted
    if not inputs:
        raise ValueError("there are no tests: public, private and generated ones are empty")
    time_limit, memory_limit = seconds(row.get("time_limit")), megabytes(row.get("memory_limit_bytes"))
    rating = row.get("cf_rating")
    return Formed(
        question=asked(statement(row, "description")),
        task=stdio_task(inputs, outputs, cpu_seconds=time_limit, memory_mb=memory_limit),
        id=str(row.get("name") or ""),
        tags=texts(row.get("cf_tags")),
        difficulty=float(rating) if rating else None,
        solution=_contest_solution(row.get("solutions")),
    )


def eurus(row: Row) -> Formed:
    """Eurus-2-RL (PRIME): prompt (chat messages), reward_model.ground_truth (JSON as APPS'), data_source, ability.

    Raises:
        ValueError: it is a row of mathematics.
    """
    if str(row.get("ability") or "code") != "code":
        raise ValueError(f"its ability is {row['ability']!r}: the form is for programs alone")
    model = decoded(field(row, "reward_model"), "reward_model")
    truth = field(model, "ground_truth") if isinstance(model, dict) else None
    return Formed(
        question=decoded(field(row, "prompt"), "prompt"),
        task=as_task(truth),
        tags=texts(row.get("data_source")),
    )


def livecodebench(row: Row) -> Formed:
    """LiveCodeBench: question_content, starter_code, public_test_cases, private_test_cases, metadata.func_name."""
    public = decoded(row.get("public_test_cases") or [], "public_test_cases")
    cases = [*public, *read_private_tests(row.get("private_test_cases") or [])]
    if not cases:
        raise ValueError("there are no tests: public_test_cases and private_test_cases are empty")
    inputs, outputs = (
        [field_of_case(case, "input") for case in cases],
        [field_of_case(case, "output") for case in cases],
    )
    function = (decoded(row.get("metadata") or {}, "metadata") or {}).get("func_name")
    if function is None and any(case.get("testtype") == "functional" for case in cases):
        raise ValueError("its tests call a function, and metadata has no func_name that says which")
    if function:
        task = function_task(function, inputs, outputs, as_apps=False)
    else:
        task = stdio_task(inputs, outputs, checker="decimals")
    return Formed(
        question=_asked(row, statement(row, "question_content"), function),
        task=task,
        id=str(row.get("question_id") or ""),
        tags=(*texts(row.get("platform")), *texts(row.get("difficulty"))),
        difficulty=level(row.get("difficulty")),
    )


def case_list(row: Row) -> Formed:
    """A statement with its cases: question, problem, statement or description; tests, test_cases, cases, examples.

    Cases are a list of {"input", "output"}, {"inputs", "outputs"}, or whatever else the reward code reads.
    """
    task = as_task(field(row, "tests", "test_cases", "cases", "input_output", "examples"))
    function = str(task.get("entry_point", "")).rpartition(".")[2]
    question = statement(row, "question", "problem", "statement", "description", "prompt")
    return Formed(
        question=_asked(row, question, function),
        task=task,
        id=str(row.get("id") or ""),
        tags=texts(row.get("tags")),
        difficulty=level(row.get("difficulty")),
        solution=first_solution(row.get("solutions") or row.get("solution")),
    )


def field_of_case(case: Any, name: str) -> Any:
    """A case's input or output.

    Raises:
        ValueError: it has none.
    """
    if not isinstance(case, dict) or name not in case:
        raise ValueError(f"a case is no {{'input': …, 'output': …}}: {str(case)[:80]}")
    return case[name]


def first_solution(value: Any) -> str:
    """The first of the right programs that a row brings, nothing without."""
    try:
        solutions = decoded(value, "solutions") if isinstance(value, str) and value.startswith("[") else value
    except ValueError:
        return ""
    if isinstance(solutions, Sequence) and not isinstance(solutions, str):
        return next((str(text) for text in solutions if isinstance(text, str) and text.strip()), "")
    return str(solutions or "")


def _input_output(
    row: Row, tags: tuple[str, ...], cpu_seconds: float | None = None, memory_mb: int | None = None
) -> Formed:
    tests = decoded(row.get("input_output") or {}, "input_output")
    if not isinstance(tests, dict) or not (tests.get("inputs") or tests.get("outputs")):
        raise ValueError("there are no tests: input_output is empty")
    function = tests.get("fn_name")
    inputs, outputs = tests.get("inputs"), tests.get("outputs")
    if function:
        # The time limit is of one call, ours of all.
        task = function_task(function, inputs, outputs, memory_mb=memory_mb)
    else:
        task = stdio_task(inputs, outputs, cpu_seconds=cpu_seconds, memory_mb=memory_mb)
    return Formed(
        question=_asked(row, statement(row, "question"), function),
        task=task,
        id=str(row.get("problem_id", row.get("id", row.get("url"))) or ""),
        tags=tags,
        difficulty=level(row.get("difficulty")),
        solution=first_solution(row.get("solutions")),
    )


def _asked(row: Row, question: str, function: str | None) -> str:
    starter = str(row.get("starter_code") or "")
    kind = "the method" if "class Solution" in starter else "the function"
    return asked(question, function=f"{kind} {function}" if function else "", starter=starter)


def _contest_solution(value: Any) -> str:
    """The first solution in Python 3: a dictionary of lists, or a list of dictionaries."""
    if isinstance(value, dict):
        pairs = list(zip(value.get("language") or [], value.get("solution") or [], strict=False))
    else:
        pairs = [(one.get("language"), one.get("solution")) for one in value or [] if isinstance(one, dict)]
    return next((str(text) for language, text in pairs if language in {_PYTHON_3, "PYTHON3"}), "")
