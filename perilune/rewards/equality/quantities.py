"""Values with units: 18 cm, $18.50, 30^\\circ, 72 km/h, 5\\sqrt{2} m, 1 hour 30 minutes."""

from __future__ import annotations

import re

from perilune.rewards.equality import algebra
from perilune.rewards.equality.cleaning import CURRENCY
from perilune.rewards.equality.numerals import exact
from perilune.rewards.equality.units import Unit, comparable, read_unit
from perilune.rewards.equality.values import Formula, Number, Quantity

_DECIMAL = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_HEAD = re.compile(
    rf"[-+]?\s*(?:{_DECIMAL}[eE][-+]?\d+|{_DECIMAL}\s*(?:\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{{\s*-?\d+\s*\}}|-?\d+)|(?:\d+\s*)?\\frac\{{\d+\}}\{{\d+\}}"
    rf"|\d+\s+\d+/\d+|\d+/\d+|{_DECIMAL})"
)
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SCALES |= {"百": 100, "千": 1000, "万": 10**4, "百万": 10**6, "千万": 10**7, "亿": 10**8}
_SCALE = re.compile(
    r"\s*(?:(?:\\text\{\s*)?(hundred|thousand|million|billion|trillion|dozen)\b|(百万|千万|百|千(?![米克瓦卡赫帕])|万|亿))",
    re.IGNORECASE,
)
_MONEY = re.compile(
    rf"(-?)\s*(?:US|U\.S\.|A|C|AU|CA|HK|NZ)?\s*([{CURRENCY}€£¥₹]|Rs\.?\s)\s*(?=[-\d.\\])(.*)", re.IGNORECASE
)
_TAIL = re.compile(
    r"(?P<value>.*[^\s\\])\s*(?P<unit>\\text\{[^{}]*\}(?:\s*\^\s*\{?\s*-?\d\s*\}?)?(?:\s*/\s*\\text\{[^{}]*\}(?:\s*\^\s*\{?\s*-?\d\s*\}?)?)*|\{?\^\s*\{?\\circ\}?\}?(?:\s*\\text\{[CF]\})?|%)"
)
_BETWEEN = re.compile(r"\s*(?:,?\s*(?:\\text\{\s*)?\band\b(?:\s*\})?|,)?\s*")


def read_quantity(text: str) -> Quantity | None:
    """A value with a unit or words after it, or several that add up; None if the text is none."""
    if not any(map(str.isdigit, text)) and "\\" not in text:
        return None
    return _money(text) or _number_first(text) or _unit_last(text)


def _number_first(text: str) -> Quantity | None:
    head = _HEAD.match(text)
    number = exact(head.group()) if head is not None and head.end() < len(text) else None
    if head is None or number is None:
        return None
    rest = text[head.end() :]
    if head.group().endswith("}") and rest[:1].isalpha() and "\\text" not in rest:
        return None  # \frac{1}{2}mv is a product
    if scale := _SCALE.match(rest):
        number, rest = (
            number * _SCALES[(scale[1] or scale[2]).lower()],
            rest[scale.end() :].rstrip("}") if scale[1] else rest[scale.end() :],
        )
    unit = read_unit(rest, spaced=rest[:1] in (" ", "-"))
    if unit is None:
        return _compound(text)
    return Quantity(Number(number, str(number) if scale else head.group()), unit, text)


def _unit_last(text: str) -> Quantity | None:
    """A formula with a unit: 5\\sqrt{2} cm."""
    tail = _TAIL.fullmatch(text)
    unit = read_unit(tail["unit"]) if tail is not None else None
    if tail is None or unit is None or not (unit.dimensions or unit.words):
        return None
    value = tail["value"].strip()
    if re.search(r"[=<>,]|\\text|\\in(?![a-z])|\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])", value) or not algebra.balanced(
        value
    ):
        return None
    if (number := exact(value)) is not None:
        return Quantity(Number(number, value), unit, text)
    return Quantity(Formula(value), unit, text) if algebra.readable(value) else None


def _money(text: str) -> Quantity | None:
    money = _MONEY.fullmatch(text)
    if money is None:
        return None
    sign, mark, rest = money[1], money[2].strip(), money[3]
    unit = read_unit(mark)
    head = _HEAD.match(rest)
    if unit is None or head is None:
        return None
    number = exact(sign + head.group())
    # What follows may name the currency again, or be words: $18 per week, $18 dollars, $18 USD.
    words = read_unit(rest[head.end() :], spaced=True)
    if number is None or words is None:
        return None
    kinds = [kind for kind, _ in words.dimensions if kind.startswith("money") or kind == "percent"]
    if kinds and kinds != [kind for kind, _ in unit.dimensions]:
        return None
    return Quantity(Number(number, text), Unit(unit.size, unit.dimensions, words.words), text)


def _compound(text: str) -> Quantity | None:
    """1 hour 30 minutes, 5 feet and 3 inches, 3 years, 2 months: the sum, in the first one's unit."""
    total: Number | None = None
    first: Unit | None = None
    last_size = None
    position = 0
    while position < len(text):
        head = _HEAD.match(text, position)
        number = exact(head.group()) if head else None
        if head is None or number is None:
            return None
        following = re.search(r"\d", text[head.end() :])
        end = head.end() + following.start() if following else len(text)
        said = text[head.end() : end]
        said = re.sub(r",\s*\}\s*$", "}", said.rstrip()) if following else said
        said = (
            re.sub(r"(?:,|\\text\{\s*and\s*\}|\band\b|\\text\{\s*,?\s*and\s*\})\s*$", "", said.rstrip())
            if following
            else said
        )
        said = re.sub(r"\b(?:and)\s*\}\s*$", "}", said.rstrip()) if following else said
        unit = read_unit(said)
        if unit is None or not unit.dimensions or unit.words or (last_size is not None and unit.size >= last_size):
            return None
        if first is None:
            first, total = unit, Number(number, text)
        elif not comparable(first, unit):
            return None
        else:
            assert total is not None
            total = Number(total.value + number * unit.size / first.size, text)
        last_size = unit.size
        position = end
    if total is None or first is None or last_size == first.size:
        return None
    return Quantity(total, first, text)
