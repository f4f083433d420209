"""When an output counts as the expected one. Bytes are compared in the parent; the program never sees the expected.

Only ASCII whitespace separates, and only ASCII digits make a number, whatever the locale or Unicode calls a digit.
Numbers are compared as the decimals that they are, of any length, never as the machine's floating-point numbers: 7 and
7.0 are equal, 100000000000000000000 and 100000000000000000001 are not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from itertools import zip_longest

from perilune.sandbox.tasks import Checker

# Nothing is given back once it is matched: a megabyte of zeros with a letter after it must not take hours. Exponents of
# more digits are no numbers: no program prints them, and decimals have bounds of their own.
_INTEGER = re.compile(rb"[+-]?[0-9]++")
_DECIMAL = re.compile(rb"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]{1,9}+)?")
_PADDED = re.compile(rb"[+-]?0[0-9]")
_LINE_ENDS = re.compile(rb"[\r\n]+")
_NOT_NUMBERS = {b"nan", b"-nan", b"+nan"}
# Differences are taken to so many digits, far beyond what any tolerance tells apart.
_ROUNDED = Context(prec=60, Emax=10**12, Emin=-(10**12), traps=[])
_SHOWN_BYTES = 40

Same = Callable[[bytes, bytes], bool]


def difference(checker: Checker, expected: bytes, actual: bytes) -> str | None:
    """What differs by a checker that is no program; None if the outputs count as equal."""
    if checker.kind == "floats":
        return compare_floats(expected, actual, checker.absolute, checker.relative)
    if checker.kind == "sorted":
        return compare_sorted(expected, actual, checker.split_on)
    return _PLAIN.get(checker.kind, compare_tokens)(expected, actual)


def compare_tokens(expected: bytes, actual: bytes) -> str | None:
    """Equal token by token, however they are spaced; 3 and 3.0 are equal. None, or what differs first.

    A number with zeros in front, such as 007, is a text: equal only to itself.
    """
    return _first_difference(expected.split(), actual.split(), "token", _same_token)


def compare_exact_tokens(expected: bytes, actual: bytes) -> str | None:
    """Equal token by token and letter by letter, however they are spaced; None, or what differs first."""
    return _first_difference(expected.split(), actual.split(), "token")


def compare_lines(expected: bytes, actual: bytes) -> str | None:
    """Equal line by line, spaces at the end of a line and empty lines at the end aside; None, or what differs first."""
    return _first_difference(_lines(expected), _lines(actual), "line")


def compare_decimals(expected: bytes, actual: bytes) -> str | None:
    """Equal line by line, or a line of numbers that are equal as decimals; None, or what differs first.

    Spaces around a line and empty lines around the text do not count. This is how LiveCodeBench compares
    (lcb_runner/evaluation/testing_util.py), but for digits that are not ASCII.
    """
    want, got = ([line.strip() for line in text.strip().split(b"\n")] for text in (expected, actual))
    return _first_difference(want, got, "line", _same_decimals)


def compare_floats(expected: bytes, actual: bytes, absolute: float, relative: float) -> str | None:
    """Equal token by token, where numbers may be a little off if one of the two is a decimal number.

    Two whole numbers must be equal; NaN equals nothing; text must be the same text. But for whole numbers, which it
    lets be off too, this is DMOJ's checker floats.

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


def compare_sorted(expected: bytes, actual: bytes, split_on: str) -> str | None:
    """The same lines (``split_on`` lines) or tokens (whitespace) in any order; None, or the first that differs.

    Empty lines do not count, nor how the tokens of a line are spaced. This is DMOJ's checker sorted.
    """
    if split_on == "whitespace":
        return _first_difference(sorted(expected.split()), sorted(actual.split()), "in order, token")
    want, got = (sorted(b" ".join(line.split()) for line in _full_lines(text)) for text in (expected, actual))
    return _first_difference(want, got, "in order, line")


def compare_linecount(expected: bytes, actual: bytes) -> str | None:
    """Equal line by line, spaces around a line and empty lines aside; None, or how many lines are right.

    This is when DMOJ's checker linecount gives full points; fewer are no verdict here.
    """
    want, got = ([line.strip() for line in _full_lines(text)] for text in (expected, actual))
    if want == got:
        return None
    right = sum(a == b for a, b in zip(want, got, strict=False))
    return f"{right} of {len(want)} lines are right; {_first_difference(want, got, 'line')}"


_PLAIN: Mapping[str, Callable[[bytes, bytes], str | None]] = {
    "tokens": compare_tokens,
    "tokens_exact": compare_exact_tokens,
    "lines": compare_lines,
    "decimals": compare_decimals,
    "linecount": compare_linecount,
}


def _same_token(want: bytes, got: bytes) -> bool:
    if _INTEGER.fullmatch(want) and _INTEGER.fullmatch(got):
        return False
    if _PADDED.match(want) or _PADDED.match(got):
        return False
    a, b = _number(want), _number(got)
    return a is not None and b is not None and a == b


def _same_decimals(want: bytes, got: bytes) -> bool:
    wanted, given = want.split(), got.split()
    return len(wanted) == len(given) and all(
        (a := _number(x)) is not None and (b := _number(y)) is not None and a == b
        for x, y in zip(wanted, given, strict=True)
    )


def _close(want: bytes, got: bytes, absolute: float, relative: float) -> bool:
    a, b = _number(want), _number(got)
    if a is None or b is None:
        return a is b and want == got and want.lower() not in _NOT_NUMBERS
    whole = bool(_INTEGER.fullmatch(want)) + bool(_INTEGER.fullmatch(got))
    if whole == 2 or (whole and a == b):
        return a == b
    # What is beyond the machine's numbers is infinite to whoever printed it, and close to nothing.
    if not (math.isfinite(float(a)) and math.isfinite(float(b))):
        return False
    allowed = max(Decimal(absolute), _ROUNDED.multiply(Decimal(relative), a.copy_abs()))
    return _ROUNDED.subtract(a, b).copy_abs() <= allowed


def _number(token: bytes) -> Decimal | None:
    return Decimal(token.decode("ascii")) if _DECIMAL.fullmatch(token) else None


def _lines(text: bytes) -> list[bytes]:
    return [line.rstrip() for line in text.rstrip().split(b"\n")]


def _full_lines(text: bytes) -> list[bytes]:
    return [line for line in _LINE_ENDS.split(text) if line.strip()]


def _equal(want: bytes, got: bytes) -> bool:
    return want == got


def _first_difference(expected: Sequence[bytes], actual: Sequence[bytes], what: str, same: Same = _equal) -> str | None:
    if expected == actual:
        return None
    for place, (want, got) in enumerate(zip_longest(expected, actual), 1):
        if want != got and (want is None or got is None or not same(want, got)):
            return _difference(what, place, want, got)
    return None


def _difference(what: str, place: int, want: bytes | None, got: bytes | None) -> str:
    return f"{what} {place} is {_shown(got)} instead of {_shown(want)}"


def _shown(token: bytes | None) -> str:
    if token is None:
        return "missing"
    text = token[:_SHOWN_BYTES].decode("utf-8", errors="backslashreplace")
    return f"{text!r}{' …' if len(token) > _SHOWN_BYTES else ''}"
