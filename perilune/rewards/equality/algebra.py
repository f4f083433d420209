"""Formulas: read by latex2sympy2, tried at points with high precision, decided by math-verify where that says nothing.

Guards around both libraries (versions and behaviours: docs/rewards.md):

- letters keep their case, and what is one name to a reader (x_1, f', \\overline{AB}, \\text{…}) is one symbol;
- what would have too many digits, or is nested too deeply, never reaches the algebra system;
- values are compared relatively, to thirty digits: the library takes what is nearer than 1e-15 for equal.
"""

from __future__ import annotations

import logging
import math
import re
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, NormalizationConfig, latex2sympy, normalize_latex
from math_verify import verify
from math_verify.grader import should_treat_as_complex
from sympy.core.function import AppliedUndef

# It warns in every process that its time limits are off. They rely on SIGALRM; the grading pool bounds the time.
logging.getLogger("math_verify").setLevel(logging.ERROR)
logging.getLogger("latex2sympy2_extended.math_normalization").setLevel(logging.ERROR)

_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
)
_CONVERSION = ConversionConfig(lowercase_symbols=False)
_LONGEST = 400
_DEEPEST = 8
_LARGEST_EXPONENT = 10_000
_DIGITS = 30
_MOST_PARTS = 120
_HIGHEST_POWER = 6
_TINY = sympy.Float("1e-24", _DIGITS)
_ROUNDED = sympy.Float("0.5e-6", _DIGITS)
_NAMES = re.compile(
    r"\\(?:overline|overrightarrow|overleftrightarrow|vec|hat|widehat|bar|tilde|mathbb|mathcal|mathfrak|widetilde|dot|ddot)\s*(?:\{\s*[A-Za-z]{1,4}\s*\}|[A-Za-z](?![A-Za-z]))"
    r"|\\text\{[^{}]*\}(?:_(?:\{[^{}]*\}|\w))?"
    r"|(?<!\\)(?<![A-Za-z\\])[A-Za-z](?:'{1,3}|\^\{?\\prime\}?)(?![A-Za-z'])"
    r"|(?<![A-Za-z\\])(?:[A-Za-z]|\\[a-z]+(?![A-Za-z]))\s*_\s*(?:\{[A-Za-z0-9, +-]{1,12}\}|[A-Za-z0-9])"
    r"|\\(?:Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega|Upsilon)(?![A-Za-z])"
    r"|\\(?:angle|triangle)\s*(?:[A-Z]{1,4}|\{[A-Z]{1,4}\})"
)
_BRACKETED_FACTORIAL = re.compile(r"(?<!\^)\(([^(){}]*)\)\s*!")
_NO_NAME = re.compile(
    r"\\(?:log|lim|sum|int|prod|max|min|sup|inf|binom)\s*_|\\dot\s*\d|\\bar\s*\d|\\overline\s*\{\s*\d"
)
_LETTERS = re.compile(r"\\(?:begin|end)\{[a-z]+\}|\\[A-Za-z]+|[A-Za-z]+_\{[^{}]*\}|e")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*\^\s*\{?\s*\\circ\s*\}?")
_EULER = "z_{8999}"
_SPACES = re.compile(r"\s+|\\(?=\s)")
_SYMBOLS: dict[str, str] = {}
_MOST_SYMBOLS = 5_000


def readable(text: str) -> bool:
    """Whether the text can be read as a formula."""
    return _parsed(text) is not None


def canonical(text: str) -> str:
    """The text without what no reader sees: spaces, and braces around one letter or digit."""
    text = re.sub(r"(?<=\\[A-Za-z])\s(?=[A-Za-z])|(?<=\\[A-Za-z]{2})\s(?=[A-Za-z])|(?<=\d)\s+(?=\{?\d)", "\x00", text)
    text = re.sub(r"(?<![A-Za-z}])\{(\w)\}|(?<=[\^_])\{(\w)\}", lambda m: m[1] or m[2], _SPACES.sub("", text))
    return text.replace("\x00", " ")


def equal(reference: str, answer: str) -> bool:
    """Whether two formulas are one value, or one relation, set or matrix."""
    if canonical(reference) == canonical(answer):
        return True
    wanted, given = _parsed(reference), _parsed(answer)
    if wanted is None or given is None:
        return False
    if _scalar(wanted) and _scalar(given) and (found := _tried(wanted, given)) is not None:
        return found
    equation = _proportional(wanted, given)
    return equation or (_light(wanted) and _light(given) and _by_library(wanted, given))


def number(text: str) -> Any | None:
    """The value of a formula without variables, to thirty digits; None if it has any, or no real value."""
    parsed = _parsed(text)
    if parsed is None or not _scalar(parsed) or parsed.free_symbols:
        return None
    value = _value(parsed, {})
    return value if value is not None and value.is_real else None


def names(text: str) -> frozenset[str] | None:
    """The variables of a formula; None if it cannot be read."""
    parsed = _parsed(text)
    return None if parsed is None else frozenset(str(symbol) for symbol in getattr(parsed, "free_symbols", ()))


def _by_library(wanted: Any, given: Any) -> bool:
    try:
        return bool(verify([wanted], [given], timeout_seconds=None, raise_on_error=False))
    except (ValueError, TypeError, RecursionError, OverflowError):
        return False


def _scalar(value: Any) -> bool:
    return isinstance(value, sympy.Expr) and not isinstance(value, sympy.MatrixBase | sympy.MatrixExpr)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any | None:
    """The formula as the library reads it; None where it cannot be read, or must not be."""
    if not _modest(text):
        return None
    named = _with_symbols(text)
    try:
        normalized = normalize_latex(named, config=_NORMALIZATION)
        value = latex2sympy(
            normalized,
            is_real=not should_treat_as_complex(normalized),
            convert_degrees=False,
            normalization_config=None,
            conversion_config=_CONVERSION,
        )
    except (
        Exception
    ):  # The library raises plain Exception for what it cannot read, and others for what it did not foresee.
        return None
    if not isinstance(value, sympy.Basic | sympy.MatrixBase):
        return None
    # The library keeps i as a letter like others.
    constants = {"i": sympy.I, _EULER: sympy.E}
    units = {symbol: constants[str(symbol)] for symbol in value.free_symbols if str(symbol) in constants}
    return value.subs(units) if units else value


def _modest(text: str) -> bool:
    """Whether a text may be given to the algebra system: short, flat, balanced, and without giant powers."""
    if not text or len(text) > _LONGEST or not balanced(text, _DEEPEST):
        return False
    if any(len(digits) > 60 for digits in re.findall(r"\d+", text)):
        return False
    if not _modest_factorials(text) or text.count("^") > 12:
        return False
    sizes = [int(exponent) for exponent in re.findall(r"\^\s*[{(]*\s*-?\s*(\d+)", text)]
    if math.prod(max(size, 1) for size in sizes) > _LARGEST_EXPONENT or re.search(r"\\[dt]?binom\s*\{\s*\d{5}", text):
        return False
    # A tower of numbers: 9^{9^{9}}.
    return not re.search(r"\^\s*\{[^{}]*\d\s*\^|\^\s*\d\s*\^|\^\s*\{[^{}]*\d\s*!", text)


def _modest_factorials(text: str) -> bool:
    """Whether no factorial is of a large number: the library works it out as it reads."""
    if "!" not in text:
        return True
    inside = "".join(_BRACKETED_FACTORIAL.findall(text))
    rest = _BRACKETED_FACTORIAL.sub("", text)
    return not (re.search(r"\d{3}|[\^!]", inside) or re.search(r"\d{4,}\s*!|!\s*!|[)}\]]\s*!", rest))


def balanced(text: str, deepest: int = 40) -> bool:
    """Whether every brace and parenthesis closes, none is nested too deeply, and no command is cut off."""
    depth = parentheses = 0
    for mark in re.finditer(r"\\.|[{}()\[\]]", text, re.DOTALL):
        sign = mark.group()
        depth += (sign == "{") - (sign == "}")
        parentheses += (sign in "([") - (sign in ")]")
        if depth < 0 or depth > deepest or parentheses > deepest:
            return False
    return depth == 0 and not text.endswith("\\")


def _with_symbols(text: str) -> str:
    """The text with every name that is more than a letter as one symbol of our own."""
    if len(_SYMBOLS) > _MOST_SYMBOLS:
        _SYMBOLS.clear()
        _parsed.cache_clear()

    def symbol(match: re.Match[str]) -> str:
        name = match.group()
        if _NO_NAME.match(name):
            return name
        key = re.sub(r"[\s{}]", "", name).replace("^\\prime", "'")
        return f" {_SYMBOLS.setdefault(key, f'z_{{{9000 + len(_SYMBOLS)}}}')} "

    named = _NAMES.sub(symbol, _DEGREES.sub(r"(\\frac{\1\\pi}{180})", text))
    # The library takes "2e - 7" for 2e-7.
    return _LETTERS.sub(lambda match: f" {_EULER} " if match.group() == "e" else match.group(), named)


_POINTS = tuple(
    tuple(sympy.Rational(number) for number in numbers.split())
    for numbers in (
        "7/5 13/11 17/7 23/9 11/13 29/12",
        "3 5 2 7 4 9",
        "-9/7 5/3 -8/5 12/7 -3/4 6/5",
        "2/9 -7/12 3/8 -5/11 4/13 -1/6",
        "31/8 9/2 41/6 15/4 27/5 19/3",
        "6 4 3 2 8 5",
    )
)
"""Where formulas are tried: whole numbers, for what is true of those alone, and others, of either sign."""


def _tried(wanted: Any, given: Any) -> bool | None:
    """Whether two formulas agree wherever both have a value; None where no point tells."""
    symbols = sorted(wanted.free_symbols | given.free_symbols, key=str)
    if any(_heavy(side) for side in (wanted, given)) or len(symbols) > len(_POINTS[0]):
        return None
    if not symbols:
        return _same_value(wanted, given)
    agreed = 0
    for point in _POINTS:
        places = dict(zip(symbols, point, strict=False))
        a, b = _value(wanted, places), _value(given, places)
        if a is None or b is None or bool(a.is_real) != bool(b.is_real):
            continue
        if not _near(a, b, loose=wanted.has(sympy.Float) or given.has(sympy.Float)):
            return False
        agreed += 1
    return True if agreed >= 2 else None


def _proportional(wanted: Any, given: Any) -> bool:
    """Whether one equation is a multiple of the other."""
    if not (isinstance(wanted, sympy.Eq) and isinstance(given, sympy.Eq)):
        return False
    try:
        sides = [equation.lhs - equation.rhs for equation in (wanted, given)]
    except TypeError:
        return False
    symbols = sorted(wanted.free_symbols | given.free_symbols, key=str)
    if not symbols or any(_heavy(side) for side in sides) or len(symbols) > len(_POINTS[0]):
        return False
    ratios = []
    for point in _POINTS:
        a, b = (_value(side, dict(zip(symbols, point, strict=False))) for side in sides)
        if a is not None and b is not None and a != 0 and b != 0:
            ratios.append(a / b)
    return len(ratios) > 2 and all(_near(ratio, ratios[0], loose=True) for ratio in ratios)


def _light(formula: Any) -> bool:
    """Whether the library, which solves and simplifies, comes to an end soon: few parts, and small powers."""
    if _heavy(formula):
        return False
    nodes = list(sympy.preorder_traversal(formula))
    powers = (node.exp for node in nodes if isinstance(node, sympy.Pow) and node.base.free_symbols)
    return len(nodes) <= _MOST_PARTS and all(not exp.is_Number or abs(exp) <= _HIGHEST_POWER for exp in powers)


def _same_value(wanted: Any, given: Any) -> bool | None:
    a, b = _value(wanted, {}), _value(given, {})
    if a is None or b is None:
        return None
    rounded = wanted.has(sympy.Float) != given.has(sympy.Float)
    if _near(a, b, loose=wanted.has(sympy.Float) and given.has(sympy.Float)):
        return True
    # A decimal for what has none: right to six places, as math-verify rounds, and to four digits.
    return bool(rounded and abs(a - b) <= _ROUNDED and abs(a - b) <= sympy.Float("1e-4") * max(abs(a), abs(b)))


def _near(a: Any, b: Any, *, loose: bool) -> bool:
    largest = max(abs(a), abs(b))
    if largest < sympy.Float("1e-100", _DIGITS):
        return True
    return bool(abs(a - b) <= (sympy.Float("1e-12", _DIGITS) if loose else _TINY) * largest)


def _value(formula: Any, places: dict[Any, Any]) -> Any | None:
    try:
        placed = formula.subs(places) if places else formula
        if isinstance(placed, sympy.Basic) and placed.has(AppliedUndef):
            return None
        value = (
            placed.doit().evalf(_DIGITS, maxn=120)
            if places or not formula.is_number
            else placed.doit().evalf(_DIGITS, maxn=200)
        )
        if not value.is_number or not value.is_finite or value.has(sympy.nan, sympy.zoo, sympy.oo):
            return None
        real, imaginary = value.as_real_imag()
    except (
        TypeError,
        ValueError,
        ZeroDivisionError,
        OverflowError,
        AttributeError,
        RecursionError,
        NotImplementedError,
        KeyError,
    ):
        return None
    if not (real.is_Float or real.is_Number) or not (imaginary.is_Float or imaginary.is_Number):
        return None
    if abs(imaginary) <= _TINY * abs(real):
        return real
    return value


def _heavy(formula: Any) -> bool:
    """Whether working a formula out could take long: sums and integrals, giant powers and factorials."""
    if not isinstance(formula, sympy.Basic):
        return False
    for number_of_nodes, node in enumerate(sympy.preorder_traversal(formula)):
        if number_of_nodes > 400:
            return True
        if isinstance(node, sympy.Integral | sympy.Sum | sympy.Product | sympy.Limit | sympy.Derivative):
            return True
        if isinstance(node, sympy.Pow) and node.exp.is_number and _large(node.exp, _LARGEST_EXPONENT):
            return True
        if isinstance(node, sympy.factorial | sympy.binomial | sympy.gamma) and any(
            arg.is_number and _large(arg, 5_000) for arg in node.args
        ):
            return True
    return False


def _large(value: Any, limit: int) -> bool:
    if value.is_Number:
        return bool(abs(value) > limit)
    if value.has(sympy.Pow):
        # Of a tower not even the sign of its logarithm is worth the risk.
        return any(
            part.is_Pow and part.exp.is_Number and abs(part.exp) > 12 for part in sympy.preorder_traversal(value)
        )
    return bool(value.has(sympy.factorial))
