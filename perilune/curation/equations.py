"""False steps of a path: equations between plain numbers that do not hold, and are not taken back."""

from __future__ import annotations

import re
from fractions import Fraction

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_SIGNS = {"+": "+", "-": "-", "−": "-", "–": "-", "*": "*", "×": "*", "x": "*", "X": "*", "·": "*", "/": "/", "÷": "/"}
_SIGN = "[" + re.escape("".join(_SIGNS)) + "]"
# What makes another number of the result: more of an expression, a remainder, a modulus, a mixed number.
_GOES_ON = (
    r"(?![\d.,]*\d)(?!\s*[/*×÷^+]\s*\d)(?!\s*-\s*\d)"
    r"(?!\s*(?:\d|[rR](?:em(?:ainder)?)?\b|(?:with|and) (?:an? )?(?:rem|\d|left)|\(?mod|余))"
)
# A chain of operations on the left, one number on the right; what stands around it may not belong to the expression.
_EQUATION = re.compile(
    rf"(?<![\w.,/*×÷^()=+−-])(?<![+*/×÷=−-]\s)({_NUMBER}(?:\s*{_SIGN}\s*{_NUMBER})+)\s*=\s*\$?(-?{_NUMBER})"
    rf"{_GOES_ON}"
)
_PART = re.compile(rf"({_NUMBER})|({_SIGN})")
_TAKEN_BACK = re.compile(
    r"\b(?:wait|no|not|wrong|mistake|incorrect|actually|oops|hold on|hmm+|instead)\b|不对|不是|错|等等", re.IGNORECASE
)
_REACH = 80
"""Characters after a false equation within which it must be taken back."""


def false_equations(text: str) -> tuple[str, ...]:
    """Equations such as "34 + 27 = 62" that are false and that the text does not take back at once.

    Only whole expressions of plain numbers and + - * / are judged; a result may be rounded to the digits that it shows.
    """
    false = []
    for match in _EQUATION.finditer(text):
        if not _holds(match.group(1), match.group(2)):
            after = text[match.end() : match.end() + _REACH]
            if not _TAKEN_BACK.search(after):
                false.append(match.group(0))
    return tuple(false)


def _holds(left: str, right: str) -> bool:
    value = _value(left)
    if value is None:
        return True  # A division by zero is none of our business.
    shown = right.replace(",", "")
    digits = len(shown.partition(".")[2])
    return abs(value - Fraction(shown)) < Fraction(1, 10**digits) if digits else value == Fraction(shown)


def _value(expression: str) -> Fraction | None:
    """The value, multiplication and division first; None if it divides by zero."""
    numbers: list[Fraction] = []
    sign = "+"
    for number, operation in _PART.findall(expression):
        if operation:
            sign = _SIGNS[operation]
            continue
        value = Fraction(number.replace(",", ""))
        if sign in "+-":
            numbers.append(value if sign == "+" else -value)
        elif sign == "*":
            numbers[-1] *= value
        elif value == 0:
            return None
        else:
            numbers[-1] /= value
    return sum(numbers, Fraction(0))
