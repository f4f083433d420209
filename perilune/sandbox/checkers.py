"""When an output counts as the expected one. Bytes are compared in the parent; the program never sees the expected.

Only ASCII whitespace separates, and only ASCII digits make a number, whatever the locale or Unicode calls a digit.
"""

from __future__ import annotations

import math
import re
from itertools import zip_longest

from perilune.sandbox.tasks import Checker

# Nothing is given back once it is matched: a megabyte of zeros with a letter after it must not take hours.
_INTEGER = re.compile(rb"([+-]?)([0-9]++)")
_DECIMAL = re.compile(rb"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_SHOWN_BYTES = 40


def difference(checker: Checker, expected: bytes, actual: bytes) -> str | None:
    """What differs by a checker that is no program; None if the outputs count as equal."""
    if checker.kind == "floats":
        return compare_floats(expected, actual, checker.absolute, checker.relative)
    if checker.kind == "lines":
        return compare_lines(expected, actual)
    return compare_tokens(expected, actual)


def compare_tokens(expected: bytes, actual: bytes) -> str | None:
    """Equal token by token, however they are spaced; None, or what differs first."""
    return _first_difference(expected.split(), actual.split(), "token")


def compare_lines(expected: bytes, actual: bytes) -> str | None:
    """Equal line by line, spaces at the end of a line and empty lines at the end aside; None, or what differs first."""
    return _first_difference(_lines(expected), _lines(actual), "line")


def compare_floats(expected: bytes, actual: bytes, absolute: float, relative: float) -> str | None:
    """Equal token by token, where a token that is expected to be a decimal number may be a little off.

    A whole number is expected exactly, as a whole number; NaN equals nothing; text must be the same text.

    Args:
        expected: the expected output.
        actual: the program's output.
        absolute: largest absolute difference that is let pass.
        relative: largest difference relative to the expected value that is let pass; the laxer of the two holds.

    Returns:
        None, or what differs first.
    """
    for place, (want, got) in enumerate(zip_longest(expected.split(), actual.split()), 1):
        if want is None or got is None or not _close(want, got, absolute, relative):
            return _difference("token", place, want, got)
    return None


def _close(want: bytes, got: bytes, absolute: float, relative: float) -> bool:
    if whole := _INTEGER.fullmatch(want):
        other = _INTEGER.fullmatch(got)
        return other is not None and _digits(whole) == _digits(other)
    if not _DECIMAL.fullmatch(want):
        return want == got and want.lower() not in {b"nan", b"-nan", b"+nan"}
    if not _DECIMAL.fullmatch(got):
        return False
    a, b = float(want), float(got)
    # Both are finite unless an exponent overflows; infinity is close to nothing.
    return math.isfinite(a) and math.isfinite(b) and abs(a - b) <= max(absolute, relative * abs(a))


def _digits(number: re.Match[bytes]) -> tuple[bool, bytes]:
    """Sign and digits, so that numbers of any length are compared without being converted."""
    digits = number.group(2).lstrip(b"0")
    return number.group(1) == b"-" and digits != b"", digits


def _lines(text: bytes) -> list[bytes]:
    return [line.rstrip() for line in text.rstrip().split(b"\n")]


def _first_difference(expected: list[bytes], actual: list[bytes], what: str) -> str | None:
    if expected == actual:
        return None
    for place, (want, got) in enumerate(zip_longest(expected, actual), 1):
        if want != got:
            return _difference(what, place, want, got)
    raise AssertionError("unequal lists differ somewhere")


def _difference(what: str, place: int, want: bytes | None, got: bytes | None) -> str:
    return f"{what} {place} is {_shown(got)} instead of {_shown(want)}"


def _shown(token: bytes | None) -> str:
    if token is None:
        return "missing"
    text = token[:_SHOWN_BYTES].decode("utf-8", errors="backslashreplace")
    return f"{text!r}{' …' if len(token) > _SHOWN_BYTES else ''}"
