"""What a program has to do, and how that is judged: the reference answer of a code problem, as JSON.

{"cases": [{"input": "3\\n", "output": "9\\n"}], "checker": {"kind": "floats"}}
{"entry_point": "double", "prompt": "def double(x): ...", "check": "def check(candidate): ...", "solution": "..."}
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, replace
from textwrap import dedent
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from perilune.sandbox.programs import Limits
from perilune.sandbox.published import as_task

Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Case:
    """One test: what the program reads and what it should print."""

    __pydantic_config__ = _STRICT
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Checker:
    """When an output is right."""

    __pydantic_config__ = _STRICT
    kind: Literal["tokens", "tokens_exact", "lines", "floats", "decimals", "sorted", "linecount", "special"] = "tokens"
    """tokens: equal but for spacing, 7 and 7.0 alike; tokens_exact: letter by letter; lines: equal but for trailing
    spaces and empty last lines; floats: tokens, decimal numbers within a tolerance; decimals: line by line, numbers by
    value; sorted: lines or tokens in any order; linecount: lines but for empty ones; special: a program decides."""
    absolute: Tolerance = 1e-6
    """floats: absolute tolerance."""
    relative: Tolerance = 1e-6
    """floats: tolerance relative to the expected value; the laxer of the two holds."""
    split_on: Literal["lines", "whitespace"] = "lines"
    """sorted: what may stand in any order."""
    program: str = ""
    """special: the deciding program's text; :mod:`perilune.sandbox.special` says how it is spoken to."""
    language: str = "python"
    """special: the deciding program's language."""


@dataclass(frozen=True, slots=True)
class StdioTask:
    """Read standard input, write standard output."""

    __pydantic_config__ = _STRICT
    cases: tuple[Case, ...]
    checker: Checker = Checker()
    language: str = "python"
    """The language that a response is expected in."""
    cpu_seconds: float | None = None
    """The problem's own time limit for each case, where it has one."""
    memory_mb: int | None = None
    """The problem's own memory limit, where it has one."""


@dataclass(frozen=True, slots=True)
class FunctionTask:
    """Write a Python function that a check function accepts (HumanEval's form)."""

    __pydantic_config__ = _STRICT
    entry_point: str
    """The function's name; "Class.method" for a fresh instance's method, or a function of that name without a class."""
    check: str
    """Python that defines ``check(candidate)``, which raises unless the candidate is right."""
    prompt: str = ""
    """Python that comes before the response's own text: imports, helper functions, the signature with its docstring."""
    solution: str = ""
    """A right solution, in the form of a response; spares the judge a run for each call."""
    cpu_seconds: float | None = None
    """The problem's own time limit for all calls together, where it has one."""
    memory_mb: int | None = None
    """The problem's own memory limit, where it has one."""


Task = StdioTask | FunctionTask
_STDIO = TypeAdapter(StdioTask)
_FUNCTION = TypeAdapter(FunctionTask)


def task_json(task: Task) -> str:
    """The task as a problem carries it; :func:`read_task` reads it back. What is left at its default is left out."""
    return json.dumps(_sparse(asdict(task), asdict(_blank(task))), ensure_ascii=False)


def read_task(text: str) -> Task:
    """The task that a problem carries, as ours are written or in a shape that :mod:`perilune.sandbox.published` knows.

    Raises:
        ValueError: it is none, or can accept nothing; says why.
    """
    value = as_task(text)
    is_function = isinstance(value, dict) and "entry_point" in value
    try:
        task = _FUNCTION.validate_python(value) if is_function else _STDIO.validate_python(value)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'task'}: {fault['msg']}" for fault in error.errors()]
        raise ValueError("; ".join(faults)) from None
    check_task(task)
    return task


def check_task(task: Task) -> None:
    """Raise ValueError unless the task can tell right from wrong."""
    if isinstance(task, StdioTask):
        if not task.cases:
            raise ValueError("a task needs at least one case: without any, every program would be right")
        if task.checker.kind == "special" and not task.checker.program.strip():
            raise ValueError("a special judge needs its program in checker.program")
    elif not 1 <= len(parts := task.entry_point.split(".")) <= 2 or not all(part.isidentifier() for part in parts):
        raise ValueError(f"entry_point {task.entry_point!r} is no name of a function")
    elif not task.check.strip():
        raise ValueError("a function's task needs its check")
    if task.cpu_seconds is not None and not (math.isfinite(task.cpu_seconds) and task.cpu_seconds > 0):
        raise ValueError(f"cpu_seconds = {task.cpu_seconds} is no time limit")


def complete_program(task: Task, text: str) -> str:
    """The whole program that a response's text stands for.

    For a function, the task's prompt comes first: a text whose first line is indented goes on where the prompt ends, as
    HumanEval's own solutions do; any other text is a module that defines the function anew. Indentation that all lines
    of a module have, from a list that its block stood in, is taken off.
    """
    first = next((line for line in text.split("\n") if line.strip()), "")
    indented = first[:1] in {" ", "\t"}
    whole = dedent(text) if indented else text
    if isinstance(task, StdioTask) or not task.prompt:
        return whole
    prompt = task.prompt if task.prompt.endswith("\n") else f"{task.prompt}\n"
    if indented:
        name = re.escape(task.entry_point.partition(".")[0])
        if not re.search(rf"^(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b", whole, re.MULTILINE):
            return prompt + text
    # A signature without a docstring is no module by itself.
    return prompt + (f"{_body_indent(prompt)}pass\n" if prompt.rstrip().endswith(":") else "") + whole


def _body_indent(prompt: str) -> str:
    last = prompt.rstrip().rpartition("\n")[2]
    return last[: len(last) - len(last.lstrip())] + "    "


def lowered(limits: Limits, cpu_seconds: float | None, memory_mb: int | None) -> Limits:
    """Limits with a problem's own, where those are lower."""
    return replace(
        limits,
        cpu_seconds=min(limits.cpu_seconds, cpu_seconds or limits.cpu_seconds),
        memory_mb=min(limits.memory_mb, memory_mb or limits.memory_mb),
    )


def _blank(task: Task) -> Task:
    """A task of the same kind with nothing but defaults."""
    return StdioTask(()) if isinstance(task, StdioTask) else FunctionTask("", "")


def _sparse(value: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    kept = {name: given for name, given in value.items() if given != default.get(name)}
    inner = {name: _sparse(kept[name], default[name]) for name in kept if isinstance(default.get(name), dict)}
    return kept | inner
