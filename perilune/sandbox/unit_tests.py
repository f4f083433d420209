"""Runs the tests of a text as pytest and unittest would, where there is neither pytest nor a program beside it.

This stands inside the check of a function's task, so it imports nothing of Perilune. The text's ``pytest`` offers what
:data:`OFFERED` names; its tests are functions and classes named test… and Test…, and classes of unittest. The first
test that fails ends the check.
"""

from __future__ import annotations

import cmath
import inspect
import itertools
import re
import sys
import types
import unittest
from collections.abc import Callable, Iterator
from typing import Any

OFFERED = {"raises", "approx", "mark", "param", "fixture", "fail"}
"""What a text may ask of pytest."""
OFFERED_MARKS = {"parametrize"}
"""What a text may ask of ``pytest.mark``."""


class Raises:
    """``pytest.raises``: what is within must raise such an exception."""

    def __init__(self, expected: Any, match: str | None = None) -> None:
        self.expected = expected
        self.match = match
        self.value: BaseException | None = None

    def __enter__(self) -> Raises:
        """What holds the exception afterwards, as ``value``."""
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        """Whether it was the right one."""
        if error is None:
            raise AssertionError(f"{self.expected} was not raised")
        if not isinstance(error, self.expected):
            return False
        self.value = error
        if self.match is not None and not re.search(self.match, str(error)):
            raise AssertionError(f"{str(error)!r} does not match {self.match!r}")
        return True


class Approx:
    """``pytest.approx``: equal to what is near; relative 1e-6 or absolute 1e-12, as there."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, expected: Any, rel: float | None = None, abs: float | None = None, nan_ok: bool = False) -> None:
        self.expected = expected
        self.tolerances = (rel, abs)
        self.nan_ok = nan_ok

    def __eq__(self, other: object) -> bool:
        """Whether a value, or each of a list or a dictionary, is near."""
        return self._near(self.expected, other)

    def __repr__(self) -> str:
        """For the message of an assertion."""
        return f"approx({self.expected!r})"

    def _near(self, want: Any, got: Any) -> bool:
        if isinstance(want, dict):
            return (
                isinstance(got, dict) and want.keys() == got.keys() and all(self._near(want[k], got[k]) for k in want)
            )
        if isinstance(want, list | tuple):
            same = isinstance(got, list | tuple) and len(want) == len(got)
            return same and all(self._near(a, b) for a, b in zip(want, got, strict=True))
        numbers = (int, float, complex)
        if not (isinstance(want, numbers) and isinstance(got, numbers)) or isinstance(want, bool):
            return bool(want == got)
        if cmath.isnan(want) or cmath.isnan(got):
            return self.nan_ok and cmath.isnan(want) and cmath.isnan(got)
        return want == got or self._within(want, got)

    def _within(self, want: Any, got: Any) -> bool:
        rel, absolute = self.tolerances
        if cmath.isinf(want) or cmath.isinf(got):
            return False
        allowed = 1e-12 if absolute is None else absolute
        if absolute is None or rel is not None:
            allowed = max(allowed, (1e-6 if rel is None else rel) * abs(want))
        return bool(abs(want - got) <= allowed)


class Failed(AssertionError):
    """``pytest.fail`` was called."""


def raises(expected: Any, *call: Any, match: str | None = None, **named: Any) -> Raises:
    """``pytest.raises``, as a context or with the call itself."""
    context = Raises(expected, match)
    if call:
        with context:
            call[0](*call[1:], **named)
    return context


def parametrize(names: Any, rows: Any, **_: Any) -> Callable[[Any], Any]:
    """``pytest.mark.parametrize``."""
    columns = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)

    def marked(test: Any) -> Any:
        values = [row if len(columns) > 1 or isinstance(row, Param) else (row,) for row in rows]
        sets = [dict(zip(columns, row, strict=True)) for row in values]
        test.parameter_sets = [*getattr(test, "parameter_sets", []), sets]
        return test

    return marked


class Param(tuple[Any, ...]):
    """``pytest.param``: one row of parameters."""


def param(*values: Any, **_: Any) -> Param:
    """One row of parameters; its id and marks do not count."""
    return Param(values)


def fixture(*function: Any, **_: Any) -> Any:
    """``pytest.fixture``, made anew for each test."""

    def marked(made: Any) -> Any:
        made.is_fixture = True
        return made

    return marked(function[0]) if function else marked


def fail(reason: str = "", **_: Any) -> None:
    """``pytest.fail``."""
    raise Failed(reason)


def run_tests(source: str, names: dict[str, Any], module: str) -> None:
    """Run all tests of a text; raises what the first one that fails raises.

    Args:
        source: the text.
        names: what it tests, by name.
        module: the name of the module from which the text imports these; they are there without, too.
    """
    tested = types.ModuleType(module)
    tested.__dict__.update(names)
    pytest = types.ModuleType("pytest")
    pytest.__dict__.update(raises=raises, approx=Approx, param=param, fixture=fixture, fail=fail)
    pytest.__dict__["mark"] = types.SimpleNamespace(parametrize=parametrize)
    pytest.__dict__["__path__"] = []
    sys.modules.update({module: tested, "pytest": pytest})
    namespace: dict[str, Any] = {"__name__": "tests", **names}
    exec(compile(source, "<tests>", "exec", dont_inherit=True), namespace)
    count = sum(1 for _ in _each(namespace))
    if not count:
        raise AssertionError("there is no test")


def _each(namespace: dict[str, Any]) -> Iterator[None]:
    """Run one test after another."""
    fixtures = {name: value for name, value in namespace.items() if getattr(value, "is_fixture", False)}
    for name, value in list(namespace.items()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            yield from _run_cases(value)
        elif isinstance(value, type) and name.startswith("Test"):
            for method in [method for method in vars(value) if method.startswith("test")]:
                instance = value()
                getattr(instance, "setup_method", lambda *_: None)(*[None][: _wanted(instance, "setup_method")])
                own = {n: getattr(instance, n) for n, f in vars(value).items() if getattr(f, "is_fixture", False)}
                yield from _run(getattr(instance, method), fixtures | own)
        elif name.startswith("test") and inspect.isfunction(value):
            yield from _run(value, fixtures)


def _wanted(instance: Any, method: str) -> int:
    return len(inspect.signature(getattr(instance, method)).parameters) if hasattr(instance, method) else 0


def _run(test: Any, fixtures: dict[str, Any]) -> Iterator[None]:
    for chosen in itertools.product(*getattr(test, "parameter_sets", [])):
        given: dict[str, Any] = {}
        for row in chosen:
            given |= row
        missing = [name for name in inspect.signature(test).parameters if name not in given]
        test(**given, **{name: _made(name, fixtures) for name in missing})
        yield


def _made(name: str, fixtures: dict[str, Any]) -> Any:
    made = fixtures[name](**{inner: _made(inner, fixtures) for inner in inspect.signature(fixtures[name]).parameters})
    return next(made) if inspect.isgenerator(made) else made


def _run_cases(cases: type[unittest.TestCase]) -> Iterator[None]:
    for name in unittest.TestLoader().getTestCaseNames(cases):
        # debug() lets the exception through, which says whether the function raised it.
        cases(name).debug()
        yield
