"""Times, ratios, words and digits: what is compared without algebra."""

from __future__ import annotations

import re
from fractions import Fraction

from perilune.rewards.equality.values import Clock, Digits, Formula, Number, Ratio, Words


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
    return not wanted.half and re.sub(r"[^\d]+", ":", given.text).strip(":") == f"{wanted.hour}:{wanted.minute:02d}"


def number_and_clock(wanted: Number, given: Clock) -> bool:
    """A fraction against a ratio that looks like a time."""
    return not given.half and given.minute != 0 and Fraction(given.hour, given.minute) == wanted.value


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
