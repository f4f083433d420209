"""Numbers, times, ratios, words, digits and names: what is compared by itself, without its parts."""

from __future__ import annotations

import re
from fractions import Fraction

from perilune.rewards.equality import algebra
from perilune.rewards.equality.numerals import exact
from perilune.rewards.equality.values import Clock, Digits, Formula, Number, Ratio, Words
from perilune.rewards.equality.wording import CHANGES

UNKNOWN = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?")
"""A variable."""


def clocks(wanted: Clock, given: Clock) -> bool:
    """Times of day: 4 PM is 16:00, and 4:00 may be either."""
    if wanted.half and given.half:
        return (wanted.hour % 12, wanted.minute, wanted.half) == (given.hour % 12, given.minute, given.half)
    if wanted.half or given.half:
        told, plain = (wanted, given) if wanted.half else (given, wanted)
        day = told.hour % 12 + (12 if told.half == "pm" else 0)
        return plain.minute == told.minute and plain.hour in (told.hour, day)
    return (wanted.hour, wanted.minute) == (given.hour, given.minute)


def ratios(wanted: Ratio, given: Ratio) -> bool:
    """Ratios, reduced or not."""
    if len(wanted.parts) != len(given.parts) or not all(wanted.parts) or not all(given.parts):
        return wanted.parts == given.parts
    return all(a * given.parts[0] == b * wanted.parts[0] for a, b in zip(wanted.parts, given.parts, strict=True))


def ratio_and_clock(wanted: Ratio, given: Clock) -> bool:
    """A ratio against one that looks like a time."""
    return not given.half and ratios(wanted, Ratio((Fraction(given.hour), Fraction(given.minute)), given.text))


def ratio_and_number(wanted: Ratio, given: Number) -> bool:
    """A ratio of two against their fraction."""
    return len(wanted.parts) == 2 and wanted.parts[1] != 0 and wanted.parts[0] / wanted.parts[1] == given.value


def number_and_ratio(wanted: Number, given: Ratio) -> bool:
    """A fraction against a ratio of two."""
    return ratio_and_number(given, wanted)


def clock_and_number(wanted: Clock, given: Number) -> bool:
    """A ratio that looks like a time, told as the fraction of the same two numbers."""
    return (
        not wanted.half
        and "." not in given.text
        and re.sub(r"[^\d]+", ":", given.text).strip(":") == f"{wanted.hour}:{wanted.minute:02d}"
    )


def number_and_clock(wanted: Number, given: Clock) -> bool:
    """A fraction against a ratio that looks like a time."""
    return (
        not given.half
        and given.minute != 0
        and "." not in wanted.text
        and Fraction(given.hour, given.minute) == wanted.value
    )


def words(wanted: Words, given: Words) -> bool:
    """Words, whatever their capitals; names letter for letter."""
    a, b = (re.sub(r"[\s.,'’\"/-]+", " ", words.text).strip() for words in (wanted, given))
    if wanted.exact or given.exact:
        return a == b
    a, b = (re.sub(r"^(?:the|an?) ", "", words.casefold()) for words in (a, b))
    return a == b


def word_and_formula(wanted: Words | Formula, given: Words | Formula) -> bool:
    """A letter in \\text{…}, and the same letter as a variable."""
    return re.sub(r"\\text\{([^{}]*)\}|\s", r"\1", wanted.text).strip("() ") == re.sub(
        r"\\text\{([^{}]*)\}|\s", r"\1", given.text
    ).strip("() ")


def digit_runs(wanted: Digits, given: Digits) -> bool:
    """Digits in a base against others: both must be the same."""
    return wanted.based == given.based


def digits_and_number(wanted: Digits, given: Number) -> bool:
    """The digits alone, where the question names the base."""
    return given.text.isdigit() and given.text.lstrip("0") == wanted.based.digits and (wanted.based.digits != "0")


def number_and_digits(wanted: Number, given: Digits) -> bool:
    """A number against digits whose base is named: it must be ten."""
    return given.based.base == 10 and wanted.value.denominator == 1 and str(wanted.value) == given.based.digits


def numbers(wanted: Number, given: Number) -> bool:
    """Exact values; of one that never ends, a decimal."""
    if wanted.value == given.value:
        return True
    # A decimal of six places for a fraction that has no end, as math-verify rounds; to four digits at least.
    endless = [_endless(number.value) for number in (wanted, given)]
    gap = abs(wanted.value - given.value)
    largest = max(abs(wanted.value), abs(given.value))
    return endless[0] != endless[1] and gap <= Fraction(1, 2_000_000) and gap <= largest / 10_000


def _endless(value: Fraction) -> bool:
    """Whether its decimals never end."""
    rest = value.denominator
    if rest.bit_length() > 200:
        return False
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest != 1


# f(2), |AB|, \theta, ABC, n!, \binom{n}{2}, a_{10}, [ABCD].
_STANDS_ALONE = re.compile(
    r"[A-Za-z]\w*'*(?:_\{?\w+\}?)?(?:\^?\{?-1\}?)?\s*\([^()]*\)|\|.*\||\\\w+\s*\{?[A-Za-z]{0,4}\}?|[A-Z]{1,4}|.*!|\\(?:binom|overline|angle|triangle).*|[A-Za-z]_.*|\[.*\]"
)


def is_name(text: str) -> bool:
    """Whether the left side of an equation says what the right side is the value of, and is not a thing to be solved.

    x, f(2), |AB|, m+n, a_{10}, P(A) are; 17, 2x and x^2+1 are not.
    """
    if CHANGES.search(text):
        return False
    if re.fullmatch(r"\\text\{[^{}]*\}|[^\W\d_][^\W\d_ ]*(?: [^\W\d_]+){0,5}", text):
        return True
    if exact(text) is not None:
        return False
    names = algebra.names(text)
    if names is None:
        return re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", text)) is not None
    return (
        _STANDS_ALONE.fullmatch(text.strip()) is not None
        or len(names) != 1
        or UNKNOWN.fullmatch(text.strip()) is not None
    )


def is_curve(text: str) -> bool:
    """Whether an equation with this left side is a curve's or a plane's: x^2+y^2, 2x-3y and xy are, f(x,y) is not."""
    if _STANDS_ALONE.fullmatch(text.strip()):
        return False
    names = algebra.names(text)
    return names is not None and len(names & {"x", "y", "z"}) > 1 and names <= {"x", "y", "z", "a", "b", "r"}
