"""What a row of a public data set says, in one form for all sets; and its parts, as sets write them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
_LEVELS = {"easy": 1.0, "medium": 2.0, "medium_hard": 3.0, "hard": 4.0, "very_hard": 5.0}
_LEVELS |= {"introductory": 1.0, "interview": 2.0, "competition": 3.0}
_LEAST_MEMORY_MB = 256
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)[ \t]*([a-zA-Z]*)")
_IMAGE = re.compile(r"!\[[^\]]{0,500}+\]\([^)]{0,2000}+\)|<img\b[^>]{0,2000}+>|\[image\]|<image>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Formed:
    """What a row says."""

    question: str | list[Any]
    """The statement, or chat messages."""
    task: Mapping[str, Any]
    """How programs are judged, as :func:`perilune.sandbox.tasks.read_task` reads it."""
    id: str = ""
    tags: tuple[str, ...] = ()
    difficulty: float | None = None
    solution: str = ""
    """A right program, where there is one."""


def field(row: Row, *names: str) -> Any:
    """The first of several columns that is there and not empty.

    Raises:
        ValueError: none is.
    """
    for name in names:
        if row.get(name) not in (None, "", [], {}):
            return row[name]
    what = " or ".join(map(repr, names))
    raise ValueError(f"no field {what}" if all(name not in row for name in names) else f"the field {what} is empty")


def decoded(value: Any, name: str) -> Any:
    """A value that some editions of a set write as JSON, or as Python, into a text.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise ValueError(f"the field {name!r} is no JSON: {error}") from None


def statement(row: Row, *names: str) -> str:
    """The problem's text.

    Raises:
        ValueError: there is none, or it is images alone, which no text stands in for.
    """
    text = str(field(row, *names))
    if len(_IMAGE.sub("", text).split()) < 3 and _IMAGE.search(text):
        raise ValueError("the statement is an image without words")
    return text.strip()


def asked(question: str, *, function: str = "", starter: str = "", tests: Sequence[str] = ()) -> str:
    """A statement with what must be known to answer it: how the program is called, what it begins with.

    Args:
        question: the statement.
        function: what is to be written, as "the function f"; a program on standard input and output without.
        starter: code to begin with.
        tests: statements that the program must pass.
    """
    parts = [question]
    if starter.strip():
        parts.append(f"Begin with this code:\n```python\n{starter.strip()}\n```")
    if tests:
        parts.append("It must pass these tests:\n```python\n" + "\n".join(test.strip() for test in tests) + "\n```")
    program = "a Python program that reads standard input and writes standard output"
    parts.append(f"Write {f'{function} in Python' if function else program}.")
    return "\n\n".join(parts)


def texts(value: Any) -> tuple[str, ...]:
    """Tags: a list, a list as a text, or one text; nothing without."""
    if value in (None, "", "[]"):
        return ()
    if isinstance(value, str) and value.startswith("["):
        try:
            value = decoded(value, "tags")
        except ValueError:
            return (value,)
    return tuple(str(item) for item in value if item) if isinstance(value, list | tuple) else (str(value),)


def level(name: Any) -> float | None:
    """A difficulty's number, from 1; None for a name that is not known."""
    return _LEVELS.get(str(name or "").strip().lower())


def seconds(value: Any) -> float | None:
    """A time limit: a number, "2 seconds", "1500 ms", or {"seconds": 2, "nanos": 0}; None where it says none."""
    if isinstance(value, Mapping):
        return (value.get("seconds") or 0) + (value.get("nanos") or 0) / 1e9 or None
    found = _quantity(value)
    if found is None:
        return None
    number, unit = found
    return (number / 1000 if unit.startswith(("ms", "milli")) else number) or None


def megabytes(value: Any) -> int | None:
    """A memory limit in megabytes: bytes, "256 megabytes", "65536 KB"; None where it says none.

    Never less than an interpreter with its modules needs.
    """
    found = _quantity(value)
    if found is None or not found[0]:
        return None
    number, unit = found
    scale = {"k": 1e3, "m": 1e6, "g": 1e9}.get(unit[:1], 1.0)
    return max(_LEAST_MEMORY_MB, int(number * scale / 1e6))


def _quantity(value: Any) -> tuple[float, str] | None:
    match = _NUMBER.search(str(value)) if value is not None else None
    return (float(match[1]), match[2].lower()) if match else None
