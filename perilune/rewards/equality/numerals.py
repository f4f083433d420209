"""Numbers as they are written, to exact values: grouped digits, decimals that repeat, powers of ten, arithmetic.

Sizes are bounded before anything is computed: what would have more than a hundred thousand bits is no number here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

MOST_BITS = 100_000
_MOST_FACTORIAL = 5_000
_MOST_TOKENS = 200
_PARTS = re.compile(
    r"\s*(?:"
    r"(?P<repeating>(?:\d+)?\.\d*?(?:\\(?:overline|bar|dot|overset\{\\(?:dot|cdot)\})\s*\{\d+\}|\\dot\s*\d|\(\d+\)))"
    r"|(?P<endless>\d*\.\d*?(?P<period>\d{1,6}?)(?P=period){2,}\d{0,5}\.\.\.)"
    r"|(?P<power>(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+(?![\d.]))"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,]\d)|\d+\.\d+|\.\d+|\d+\.?(?!\d))"
    r"|(?P<frac>\\frac(?![A-Za-z]))|(?P<binom>\\[dt]?binom(?![A-Za-z]))"
    r"|(?P<operator>\\times|\\cdot|\\div|[-+*/^!(){}\[\]%])"
    r")"
)
_DIGITS = re.compile(r"(\d*)\.(\d*?)(?:\\[a-z]+(?:\{\\[a-z]+\})?\s*\{(\d+)\}|\\dot\s*(\d)|\((\d+)\))")
_SCIENTIFIC = re.compile(r"(.*?)[eE]([-+]?\d+)")
_BASED = re.compile(
    r"\(?\s*(-?[0-9A-Za-z]+)\s*\)?\s*_\s*(?:\{\s*)?(?:\\text\{)?\s*(\d{1,2}|[a-z]+)\s*\}?\s*\}?"
    r"|([0-9A-Fa-f]+),?\s*\(?(?:\\text\{)?\(?\s*(?:in )?base[ -](\d{1,2}|[a-z]+)\)?\}?\)?"
)
_CHOSEN = re.compile(r"(?<![A-Za-z])(?:\\text\{C\}|C)_\s*(?:(\d)|\{(\d{1,4})\})\s*\^\s*(?:(\d)|\{(\d{1,4})\})")
_BASES = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "sixteen": 16,
}


class TooLarge(ValueError):
    """A number that is not worked out: it would have too many digits."""


@dataclass(frozen=True, slots=True)
class Based:
    """Digits in a base that is named."""

    digits: str
    base: int


def exact(text: str) -> Fraction | None:
    """The value of a number or of arithmetic with numbers; None if the text is anything else.

    Args:
        text: cleaned.

    Raises:
        TooLarge: the value, or one on the way to it, has too many digits.
    """
    if not any(map(str.isdigit, text)):
        return None
    tokens = _tokens(_CHOSEN.sub(_binom, text))
    if tokens is None:
        return None
    try:
        arithmetic = _Arithmetic(tokens)
        value = arithmetic.sum()
        return value if arithmetic.done else None
    except (_NoArithmetic, ZeroDivisionError, RecursionError):
        return None


def _binom(match: re.Match[str]) -> str:
    """C_{12}^{5} as a binomial coefficient, where it can be one."""
    top, bottom = int(match[1] or match[2]), int(match[3] or match[4])
    return rf"\binom{{{top}}}{{{bottom}}}" if top >= max(bottom, 2) else match.group()


def based(text: str) -> Based | None:
    """Digits with a base: 2516_8, 101_{two}, (A5)_{16}, 101 (base 2)."""
    match = _BASED.fullmatch(re.sub(r"\\text\{([0-9A-F]+)\}", r"\1", text))
    if match is None:
        return None
    digits, name = (match[1], match[2]) if match[1] else (match[3], match[4])
    base = int(name) if name.isdigit() else _BASES.get(name, 0)
    if not 2 <= base <= 36 or (base <= 10 and not any(map(str.isdigit, digits))):
        return None
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    if any(int(digit, 36) >= base for digit in digits) and not digits.isdigit():
        return None
    return Based(sign + (digits.lower().lstrip("0") or "0"), base)


class _NoArithmetic(Exception):
    pass


def _tokens(text: str) -> list[str | Fraction] | None:
    found: list[str | Fraction] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _PARTS.match(text, position)
        if match is None or len(found) > _MOST_TOKENS:
            return None
        position = match.end()
        if match["operator"] or match["frac"] or match["binom"]:
            found.append(match["operator"] or ("frac" if match["frac"] else "binom"))
            continue
        if found and isinstance(found[-1], Fraction) and not re.match(r"\s*/\s*\d", text[position:]):
            return None  # Two numbers in a row are no product; a mixed number is one.
        found.append(_number(match))
    return found


def _number(match: re.Match[str]) -> Fraction:
    if match["repeating"]:
        digits = _DIGITS.fullmatch(match["repeating"])
        assert digits is not None
        return _repeating(digits[1], digits[2], digits[3] or digits[4] or digits[5])
    if match["endless"]:
        whole, _, decimals = match["endless"].rstrip(".").partition(".")
        period = match["period"]
        fixed = decimals[: decimals.index(period * 3)]
        rest = decimals[len(fixed) :]
        if (period * len(rest))[: len(rest)] != rest:
            raise _NoArithmetic
        return _repeating(whole, fixed, period)
    if match["power"]:
        scientific = _SCIENTIFIC.fullmatch(match["power"])
        assert scientific is not None
        exponent = int(scientific[2][:7])
        _bounded(abs(exponent) * 4)
        return Fraction(scientific[1] if scientific[1] != "." else "0") * Fraction(10) ** exponent
    if len(match["number"]) > MOST_BITS // 4:
        raise TooLarge(f"a number of {len(match['number'])} digits")
    whole, _, decimals = match["number"].replace(",", "").partition(".")
    return Fraction(_long_int(whole + decimals), 10 ** len(decimals))


def _long_int(digits: str) -> int:
    """int() without the limit of 4,300 digits that it has against hostile input; the length is bounded already."""
    value = 0
    for start in range(0, len(digits), 4000):
        part = digits[start : start + 4000]
        value = value * 10 ** len(part) + int(part)
    return value


def _repeating(whole: str, fixed: str, period: str) -> Fraction:
    if len(whole) + len(fixed) + len(period) > 200:
        raise TooLarge("a repeating decimal of more than 200 digits")
    start = Fraction(int((whole + fixed) or "0"), 10 ** len(fixed))
    return start + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(fixed))


def _bounded(bits: float) -> None:
    if bits > MOST_BITS:
        raise TooLarge(f"a number of about {bits:.3g} bits")


class _Arithmetic:
    """Recursive descent over the tokens; every step is bounded before it is taken."""

    def __init__(self, tokens: list[str | Fraction]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    @property
    def done(self) -> bool:
        return self._place == len(self._tokens)

    def _next(self) -> str | Fraction | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _take(self, *wanted: str) -> str | None:
        token = self._next()
        if isinstance(token, str) and token in wanted:
            self._place += 1
            return token
        return None

    def sum(self) -> Fraction:
        value = self._product()
        while sign := self._take("+", "-"):
            other = self._product()
            value = _sized(value + other if sign == "+" else value - other)
        return value

    def _product(self) -> Fraction:
        sign = -1 if self._take("+", "-") == "-" else 1
        value = self._power()
        while True:
            if self._take("\\times", "\\cdot", "*"):
                negative = self._take("-") is not None
                value = _sized(value * self._power() * (-1 if negative else 1))
            elif self._take("/", "\\div"):
                negative = self._take("-") is not None
                value = value / self._power() * (-1 if negative else 1)
            elif self._next() in ("(", "frac", "binom", "["):
                mixed = self._next() == "frac" and self._mixed_before()
                other = self._power()
                value = value + other if mixed else _sized(value * other)
            elif isinstance(self._next(), Fraction) and self._mixed_ahead():
                value += self._power() / self._after_slash()
            else:
                return sign * value

    def _mixed_before(self) -> bool:
        """Whether the token before a fraction is a whole number: 1 \\frac{1}{2} is 1.5."""
        before = self._tokens[self._place - 1] if self._place else None
        return isinstance(before, Fraction) and before.denominator == 1

    def _mixed_ahead(self) -> bool:
        """1 1/2."""
        ahead = self._tokens[self._place : self._place + 3]
        before = self._tokens[self._place - 1]
        return (
            len(ahead) == 3
            and ahead[1] == "/"
            and isinstance(ahead[2], Fraction)
            and isinstance(before, Fraction)
            and before.denominator == 1
        )

    def _after_slash(self) -> Fraction:
        self._take("/")
        return self._power()

    def _power(self) -> Fraction:
        base = self._suffixed(self._atom())
        if not self._take("^"):
            return base
        negative = self._take("-") is not None
        exponent = self._power() * (-1 if negative else 1)
        return _sized(_raised(base, exponent))

    def _suffixed(self, value: Fraction) -> Fraction:
        while mark := self._take("!", "%"):
            if mark == "%":
                value /= 100
                continue
            if value.denominator != 1 or value < 0:
                raise _NoArithmetic
            if value > _MOST_FACTORIAL:
                raise TooLarge(f"the factorial of {value}")
            value = Fraction(math.factorial(int(value)))
        return value

    def _atom(self) -> Fraction:
        self._depth += 1
        if self._depth > 500:
            raise _NoArithmetic
        token = self._next()
        if isinstance(token, Fraction):
            self._place += 1
            return token
        if self._take("frac"):
            top, bottom = self._braced(), self._braced()
            return top / bottom
        if self._take("binom"):
            return _binomial(self._braced(), self._braced())
        for opening, closing in (("(", ")"), ("{", "}"), ("[", "]")):
            if self._take(opening):
                value = self.sum()
                if not self._take(closing):
                    raise _NoArithmetic
                return value
        raise _NoArithmetic

    def _braced(self) -> Fraction:
        if not self._take("{"):
            raise _NoArithmetic
        value = self.sum()
        if not self._take("}"):
            raise _NoArithmetic
        return value


def _sized(value: Fraction) -> Fraction:
    _bounded(value.numerator.bit_length() + value.denominator.bit_length())
    return value


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise _NoArithmetic
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if base not in (0, 1, -1):
        _bounded(size * float(abs(exponent)) if abs(exponent) < 10**9 else math.inf)
    elif abs(exponent) > 10**9:
        exponent = exponent % 2 + 2
    return Fraction(base ** int(exponent))


def _binomial(top: Fraction, bottom: Fraction) -> Fraction:
    if top.denominator != 1 or bottom.denominator != 1 or top < 0 or bottom < 0:
        raise _NoArithmetic
    if top > _MOST_FACTORIAL:
        raise TooLarge(f"a binomial coefficient of {top}")
    return Fraction(math.comb(int(top), int(bottom)))
