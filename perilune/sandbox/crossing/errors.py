"""Exceptions on their way: of a class that the other side has, or of one made for it with the same built-in bases."""

from __future__ import annotations

import builtins
import re
from typing import Any

LONGEST_MESSAGE = 300
_SWALLOWED = (StopIteration, StopAsyncIteration, LookupError, AttributeError)
"""What Python itself takes for an ordinary end, in ``map``, in a loop, in ``getattr`` with a default."""


class CandidateError(Exception):
    """The program raised what the check cannot have meant to let pass."""

    def __init__(self, kind: str, message: str, *arguments: object) -> None:
        super().__init__(*arguments)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return self.message


def told(error: BaseException) -> str:
    """Kind and message of an error, for people."""
    if isinstance(error, CandidateError):
        return f"{error.kind}: {error.message}"[:LONGEST_MESSAGE]
    try:
        return f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE]
    except Exception:
        return type(error).__name__


def describe(error: BaseException) -> list[Any]:
    """Name of the class, its nearest built-in bases, and the message."""
    kind = type(error)
    builtin = [base for base in kind.__mro__ if getattr(builtins, base.__name__, None) is base and base is not object]
    nearest = [base for base in builtin if not any(base is not other and issubclass(other, base) for other in builtin)]
    try:
        message = str(error)[:LONGEST_MESSAGE]
    except Exception:
        message = ""
    return [kind.__name__, [base.__name__ for base in nearest], message]


_made: dict[tuple[str, tuple[str, ...]], type[BaseException]] = {}


def error_class(name: str, bases: list[str], ours: Any) -> type[BaseException] | None:
    """The class to raise over here; None where the original is no ordinary exception.

    Args:
        name: of the original class.
        bases: names of its built-in bases.
        ours: our own class of that name, if there is one.
    """
    if isinstance(ours, type) and issubclass(ours, Exception):
        return ours
    found = [getattr(builtins, base, None) for base in bases]
    classes = tuple(base for base in found if isinstance(base, type) and issubclass(base, Exception))
    if not classes or len(classes) < len(found):
        return None
    if [name] == bases:
        return classes[0]
    key = (name, tuple(bases))
    if key not in _made:
        for some in (classes, classes[:1]):
            try:
                _made[key] = type(name, some, {"__str__": _message, "__module__": "program"})
                break
            except TypeError:  # built-in layouts that cannot be one class
                continue
    return _made.get(key)


def _message(error: BaseException) -> str:
    message = error.__dict__.get("_message")
    return message if isinstance(message, str) else BaseException.__str__(error)


def make_error(kind: type[BaseException], arguments: tuple[Any, ...], message: str) -> BaseException:
    """An instance; its own ``__init__`` is not run where it is one of ours or made up."""
    if kind.__module__ == "builtins":
        try:
            return kind(*arguments)
        except Exception:
            return CandidateError(kind.__name__, message)
    error = kind.__new__(kind)
    error.args = arguments
    if kind.__module__ == "program":
        error.__dict__["_message"] = message
    return error


def as_meant(error: BaseException, check: str) -> BaseException:
    """The error to raise in the check for a call of the program.

    What ends a loop or a lookup by itself, so that nothing after it would be looked at, does so only where the check's
    text names it; else it is an error like others.
    """
    if isinstance(error, CandidateError) or not isinstance(error, _SWALLOWED):
        return error
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind not in (Exception, BaseException, object)]
    if re.search(rf"\b(?:{'|'.join(map(re.escape, kinds))})\b", check):
        return error
    return CandidateError(type(error).__name__, str(error), *error.args)
