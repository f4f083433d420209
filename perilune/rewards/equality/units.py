"""Units: read to a size and what they measure, so that 10 cm is not 10 m, and 90 minutes are 1 hour 30 minutes.

Factors are those of the International System (BIPM, SI brochure, 9th edition) and, for feet, pounds and the like, of
NIST Handbook 44, appendix C. What is no unit but a noun ("18 pens") is kept as words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from perilune.rewards.equality.wording import is_plain_phrase

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit, or words that stand where one would."""

    size: Fraction = Fraction(1)
    """In the base unit of what it measures."""
    dimensions: Dimensions = ()
    """What it measures: (kind, power), sorted; empty for words alone."""
    words: frozenset[str] = frozenset()
    """What of it is no unit, each word without its plural."""


# A line for each kind: names = size, in the kind's base unit. Symbols keep their case, words are singular.
_TABLE = """
length: 米 = 1; 厘米 = 1/100; 毫米 = 1/1000; 分米 = 1/10; 千米 公里 = 1000
length: m meter metre = 1; km kilometer kilometre = 1000; cm centimeter centimetre = 1/100
length: mm millimeter millimetre = 1/1000; μm micrometer micron = 1/1000000; nm nanometer = 1/1000000000
length: dm decimeter decimetre = 1/10; in inch = 0.0254; ft foot = 0.3048; yd yard = 0.9144; mi mile = 1609.344
mass: 千克 公斤 = 1; 克 = 1/1000; 吨 = 1000
mass: kg kilogram kilo = 1; g gm gram = 1/1000; mg milligram = 1/1000000; μg microgram = 1/1000000000; ton tonne = 1000
mass: lb pound = 0.45359237; oz ounce = 0.028349523125
time: 秒 = 1; 分钟 = 60; 小时 时 = 3600; 天 日 = 86400
time: s sec second = 1; ms millisecond = 1/1000; min minute = 60; h hr hour = 3600; d day = 86400; wk week = 604800
months: mo month = 1; yr year = 12; decade = 120; century = 1200
money in dollars: ＄ usd dollar buck = 1; ¢ cent = 1/100
money in euros: € eur euro = 1
money in pounds: £ gbp = 1; pence = 1/100
money in yen: ¥ yen jpy yuan rmb cny 元 = 1; 角 = 1/10; 分 = 1/100
money in rupees: ₹ rupee rs rs. inr = 1
length^2: 平方米 = 1; 平方厘米 = 1/10000; 平方千米 = 1000000
length^3: 立方米 = 1; 立方厘米 = 1/1000000; 升 = 1/1000; 毫升 = 1/1000000
length^1 time^-1: 千米/时 千米/小时 = 5/18; 米/秒 = 1
angle: 度 = 1
angle: deg degree ^\\circ = 1; arcminute = 1/60
angle in radians: rad radian = 1
temperature in C: celsius °c = 1
temperature in F: fahrenheit °f = 1
temperature in K: K kelvin = 1
percent: % percent pct = 1
current: A amp ampere = 1; mA = 1/1000
voltage: V volt = 1; kV = 1000; mV = 1/1000
voltage^1 current^-1: Ω \\Omega ohm = 1
mass^1 length^2 time^-3: W watt = 1; kilowatt = 1000
mass^1 length^2 time^-2: J joule = 1; eV = 1.602176634e-19; cal = 4.184; kcal = 4184; kWh = 3600000
mass^1 length^1 time^-2: N newton = 1
mass^1 length^-1 time^-2: Pa pascal = 1; atm = 101325
time^-1: Hz hertz = 1
amount: mol mole = 1
data: bit = 1; byte = 8; KB = 8000; MB = 8000000; GB = 8000000000
length^3: l L liter litre = 1/1000; ml mL milliliter millilitre cc = 1/1000000; gal gallon = 0.003785411784
length^3: quart = 0.000946352946; pint = 0.000473176473
length^2: ha hectare = 10000; acre = 4046.8564224
length^1 time^-1: mph = 0.44704; kph kmh = 5/18
"""


def _read_table(table: str) -> dict[str, tuple[Fraction, Dimensions]]:
    found: dict[str, tuple[Fraction, Dimensions]] = {}
    for line in table.strip().splitlines():
        kinds, _, entries = line.partition(":")
        powers = re.findall(r"([a-z]+)\^(-?\d)", kinds) or [(kinds, "1")]
        dimensions = tuple(sorted((kind, int(power)) for kind, power in powers))
        for entry in entries.split(";"):
            names, _, size = entry.partition(" = ")
            found |= {name: (Fraction(size.strip()), dimensions) for name in names.split()}
    return found


UNITS = _read_table(_TABLE)
"""Every unit: its size and what it measures."""
_IRREGULAR = {
    "feet": "foot",
    "inches": "inch",
    "centuries": "century",
    "pennies": "penny",
    "children": "child",
    "people": "person",
    "men": "man",
    "women": "woman",
    "mice": "mouse",
}
_NEUTRAL_WORDS = "unit of a an the in total each whole altogether left remaining per for at long tall wide high old"
_NEUTRAL = frozenset(_NEUTRAL_WORDS.split())
_ORDINALS = {"st", "nd", "rd", "th"}
_AMBIGUOUS = {"d", "m", "g", "s", "h", "l", "L", "A", "V", "W", "J", "N", "K", "C", "F", "in", "mi", "mo"}
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<degree>\{?\^\s*\{?\\circ\s*\}?\}?\s*(?P<scale>(?:\\text\{)?\s*[CF]\b\}?)?)
        |(?P<power>\^\s*\{?\s*(?:-?\d)\s*\}?)
        |(?P<slash>/|\bper\b|\ba(?=\s+(?:day|week|month|year|hour|minute|piece|dozen)\b))
        |(?P<times>\\cdot|\\times|\*|[-⋅])
        |(?P<word>rs\.|[A-Za-zμΩ¢%€£¥₹＄'一-鿿]+)(?P<digit>[23](?![\d.]))?
        |(?P<omega>\\Omega)
        |(?P<stop>\.)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_PREFIXES = {
    "p": Fraction(1, 10**12), "n": Fraction(1, 10**9), "μ": Fraction(1, 10**6), "m": Fraction(1, 1000),
    "k": Fraction(1000), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12),
}  # fmt: skip
_PREFIXED = {"m", "g", "s", "J", "W", "V", "A", "N", "Pa", "Hz", "mol", "Ω", "eV", "L"}
_SCALES = {"celsius", "fahrenheit", "c", "f", "centigrade"}
_MICRO_TEXT = re.compile(r"\\mu\s*\\text\{\s*")
_MICRO = re.compile(r"\\mu\s*")
_FRACTION = re.compile(
    r"\\frac\{(\\text\{[^{}]*\}[^{}]*|[a-z]{1,5})\}\{(\\text\{[^{}]*\}(?:\^\d)?|[a-z]{1,5}(?:\^\d)?)\}"
)
_FIRST_TEXT = re.compile(r"\\text\{([^{}]*)\}")


def read_unit(text: str, spaced: bool = True) -> Unit | None:
    """What follows a number as a unit, or as words that leave the number what it is; None if it is neither.

    Args:
        text: what follows the number, cleaned.
        spaced: whether it stands apart from the number, or in \\text{…}; "5m" may be five times m.
    """
    spaced = spaced or "\\text" in text
    text = _MICRO.sub("μ", _MICRO_TEXT.sub(r"\\text{μ", _FRACTION.sub(r"\1 / \2", text)))
    text = _FIRST_TEXT.sub(r" \1 ", text).strip()
    if not text:
        return Unit()
    letter = len(text) == 1 and text.isascii() and text.isalpha()
    if ".." in text or (not spaced and (text in _AMBIGUOUS or letter)):
        return None  # 18... goes on
    if text in UNITS:
        return Unit(*UNITS[text])
    parts = _parts(text)
    return _put_together(parts) if parts else None


def _is_noun(word: str) -> bool:
    """Whether letters that are no unit are a word at all: not x, nor mv, nor th."""
    if not word.isascii() or word == "a":
        return True
    return len(word) > 1 and word.lower() not in _ORDINALS and re.search("[aeiouyAEIOUY]", word) is not None


def _put_together(parts: list[tuple[str, int]]) -> Unit | None:
    dimensions: dict[str, int] = {}
    size, words = Fraction(1), list[str]()
    for word, power in parts:
        known = _known(word)
        if known is None:
            if not _is_noun(word) or (power not in (1, -1) and _singular(word.lower()) != "unit"):
                return None
            words.append(word)
            continue
        size *= known[0] ** power
        for kind, times in known[1]:
            dimensions[kind] = dimensions.get(kind, 0) + times * power
    if words and not is_plain_phrase(" ".join(words)):
        return None
    kept = tuple(sorted((kind, power) for kind, power in dimensions.items() if power))
    return Unit(size, kept, frozenset(map(_singular, map(str.lower, words))) - _NEUTRAL)


def _parts(text: str) -> list[tuple[str, int]] | None:
    """(name, power) of each factor; None if the text holds anything that is no part of a unit."""
    parts: list[tuple[str, int]] = []
    sign, prefix, position = 1, 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.end() == position or len(parts) > 8:
            return None
        position = match.end()
        if match["slash"]:
            sign = -1
        elif match["degree"]:
            scale = (match["scale"] or "").strip(" {}").removeprefix("\\text{").strip()
            parts.append((f"°{scale.lower()}" if scale else "^\\circ", 1))
        elif match["power"]:
            if not parts:
                return None
            name, power = parts.pop()
            parts.append((name, power * int(re.sub(r"[^-\d]", "", match["power"]))))
        elif match["word"] or match["omega"]:
            word = match["word"] or "\\Omega"
            if (lower := word.lower()) in {"square", "sq", "cubic", "cu"}:
                prefix = 2 if lower.startswith("s") else 3
                continue
            if lower in {"squared", "cubed"} and parts and _known(parts[-1][0]):
                name, power = parts.pop()
                parts.append((name, power * (2 if lower[0] == "s" else 3)))
                continue
            parts.append((word, sign * prefix * int(match["digit"] or 1)))
            prefix = 1
        elif match["stop"] and position < len(text) and parts and len(parts[-1][0]) > 3:
            return None
    return _temperatures(parts)


def _temperatures(parts: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Degrees of a scale that is named after them."""
    names = [name.lower() for name, _ in parts]
    if len(parts) > 1 and _singular(names[0]) in {"degree", "deg", "^\\circ"} and names[1] in _SCALES:
        return [("°" + names[1][0], 1), *parts[2:]]
    return parts


def _known(word: str) -> tuple[Fraction, Dimensions] | None:
    if word in UNITS or len(word) == 1:
        return UNITS.get(word)
    if word[1:] in _PREFIXED and word[0] in _PREFIXES:
        size, dimensions = UNITS[word[1:]]
        return size * _PREFIXES[word[0]], dimensions
    return UNITS.get(word.lower()) or UNITS.get(_singular(word.lower()))


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 3 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word


def comparable(reference: Unit, answer: Unit) -> bool:
    """Whether values in these units may be compared: one is told without a unit, or both measure the same.

    Words are no units, but where both have words they must share one: 12 boys are not 12 girls.
    """
    if reference.dimensions and answer.dimensions:
        return reference.dimensions == answer.dimensions or _degrees(reference, answer)
    if reference.words and answer.words and not (reference.dimensions or answer.dimensions):
        return bool(reference.words & answer.words)
    return True


def _degrees(one: Unit, other: Unit) -> bool:
    """A temperature told in plain degrees."""
    kinds = {one.dimensions[0][0], other.dimensions[0][0]}
    return "angle" in kinds and bool(kinds & {"temperature in C", "temperature in F"})
