"""Units: read to a size and what they measure, so that 10 cm is not 10 m, and 90 minutes are 1 hour 30 minutes.

Factors are those of the International System (BIPM, SI brochure, 9th edition) and, for feet, pounds and the like, of
NIST Handbook 44, appendix C. What is no unit but a noun ("18 pens") is kept as words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from perilune.rewards.equality.cleaning import CURRENCY
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


_KM = Fraction(1000)
_INCH = Fraction(254, 10000)
_POUND = Fraction(45359237, 100000000)
# kind: {symbols and words (singular): size}. Symbols keep their case, words are in lower case.
_TABLE: dict[str, dict[str, Fraction | int]] = {
    "length": {"m": 1, "meter": 1, "metre": 1, "km": _KM, "kilometer": _KM, "kilometre": _KM, "cm": Fraction(1, 100),
               "centimeter": Fraction(1, 100), "centimetre": Fraction(1, 100), "mm": Fraction(1, 1000), "millimeter": Fraction(1, 1000),
               "millimetre": Fraction(1, 1000), "dm": Fraction(1, 10), "decimeter": Fraction(1, 10), "nm": Fraction(1, 10**9),
               "nanometer": Fraction(1, 10**9), "μm": Fraction(1, 10**6), "micrometer": Fraction(1, 10**6), "micron": Fraction(1, 10**6),
               "in": _INCH, "inch": _INCH, "ft": 12 * _INCH, "foot": 12 * _INCH, "yd": 36 * _INCH, "yard": 36 * _INCH,
               "mi": 63360 * _INCH, "mile": 63360 * _INCH},
    "mass": {"kg": 1, "kilogram": 1, "kilo": 1, "g": Fraction(1, 1000), "gram": Fraction(1, 1000), "gm": Fraction(1, 1000),
             "mg": Fraction(1, 10**6), "milligram": Fraction(1, 10**6), "μg": Fraction(1, 10**9), "microgram": Fraction(1, 10**9),
             "tonne": 1000, "lb": _POUND, "pound": _POUND, "oz": _POUND / 16, "ounce": _POUND / 16, "ton": 1000},
    "time": {"s": 1, "sec": 1, "second": 1, "ms": Fraction(1, 1000), "millisecond": Fraction(1, 1000), "min": 60, "minute": 60,
             "h": 3600, "hr": 3600, "hour": 3600, "day": 86400, "week": 604800, "wk": 604800},
    "months": {"month": 1, "mo": 1, "year": 12, "yr": 12, "decade": 120, "century": 1200},
    "money in dollars": {CURRENCY: 1, "usd": 1, "dollar": 1, "buck": 1, "cent": Fraction(1, 100), "¢": Fraction(1, 100)},
    "money in euros": {"€": 1, "eur": 1, "euro": 1},
    "money in pounds": {"£": 1, "gbp": 1, "pence": Fraction(1, 100)},
    "money in yen": {"¥": 1, "yen": 1, "jpy": 1, "yuan": 1, "rmb": 1, "cny": 1},
    "money in rupees": {"₹": 1, "rupee": 1, "rs": 1, "rs.": 1, "inr": 1},
    "angle": {"deg": 1, "degree": 1, "^\\circ": 1, "arcminute": Fraction(1, 60)},
    "angle in radians": {"rad": 1, "radian": 1},
    "temperature in C": {"celsius": 1, "°c": 1}, "temperature in F": {"fahrenheit": 1, "°f": 1}, "temperature in K": {"K": 1, "kelvin": 1},
    "percent": {"%": 1, "percent": 1, "pct": 1},
    "current": {"A": 1, "amp": 1, "ampere": 1, "mA": Fraction(1, 1000)},
    "voltage": {"V": 1, "volt": 1, "kV": 1000, "mV": Fraction(1, 1000)}, "resistance": {"Ω": 1, "\\Omega": 1, "ohm": 1},
    "power": {"W": 1, "watt": 1, "kW": 1000, "kilowatt": 1000, "mW": Fraction(1, 1000), "MW": 10**6},
    "energy": {"J": 1, "joule": 1, "kJ": 1000, "eV": Fraction(1602176634, 10**28), "cal": Fraction(4184, 1000), "kcal": 4184, "kWh": 3600000},
    "force": {"N": 1, "newton": 1, "kN": 1000}, "pressure": {"Pa": 1, "pascal": 1, "kPa": 1000, "atm": 101325},
    "frequency": {"Hz": 1, "hertz": 1, "kHz": 1000, "MHz": 10**6, "GHz": 10**9},
    "amount": {"mol": 1, "mole": 1}, "data": {"byte": 8, "bit": 1, "KB": 8000, "MB": 8 * 10**6, "GB": 8 * 10**9},
}  # fmt: skip
_LITRE = Fraction(1, 1000)
_COMPOUND: dict[str, tuple[Fraction, Dimensions]] = {
    "l": (_LITRE, (("length", 3),)), "L": (_LITRE, (("length", 3),)), "liter": (_LITRE, (("length", 3),)), "litre": (_LITRE, (("length", 3),)),
    "ml": (_LITRE / 1000, (("length", 3),)), "mL": (_LITRE / 1000, (("length", 3),)), "milliliter": (_LITRE / 1000, (("length", 3),)),
    "millilitre": (_LITRE / 1000, (("length", 3),)), "cc": (_LITRE / 1000, (("length", 3),)), "gallon": (231 * _INCH**3, (("length", 3),)),
    "gal": (231 * _INCH**3, (("length", 3),)), "quart": (231 * _INCH**3 / 4, (("length", 3),)), "pint": (231 * _INCH**3 / 8, (("length", 3),)),
    "hectare": (Fraction(10000), (("length", 2),)), "ha": (Fraction(10000), (("length", 2),)), "acre": (Fraction(43560) * (12 * _INCH) ** 2, (("length", 2),)),
    "mph": (63360 * _INCH / 3600, (("length", 1), ("time", -1))), "kph": (_KM / 3600, (("length", 1), ("time", -1))), "kmh": (_KM / 3600, (("length", 1), ("time", -1))),
}  # fmt: skip
UNITS: dict[str, tuple[Fraction, Dimensions]] = _COMPOUND | {
    name: (Fraction(size), ((kind, 1),)) for kind, sizes in _TABLE.items() for name, size in sizes.items()
}
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
    "lbs": "lb",
    "hrs": "hr",
    "mins": "min",
    "secs": "sec",
    "yrs": "yr",
    "kilos": "kilo",
    "bucks": "buck",
    "mice": "mouse",
    "days": "day",
}
_NEUTRAL = {
    "unit",
    "of",
    "a",
    "an",
    "the",
    "in",
    "total",
    "each",
    "whole",
    "altogether",
    "left",
    "remaining",
    "per",
    "for",
    "at",
    "long",
    "tall",
    "wide",
    "high",
    "old",
    "every",
}
_AMBIGUOUS = {"m", "g", "s", "h", "l", "L", "A", "V", "W", "J", "N", "K", "C", "F", "in", "mi", "min", "mo"}
_TOKEN = re.compile(
    r"\s*(?:(?P<text>\\text\{([^{}]*)\})|(?P<degree>\{?\^\s*\{?\\circ\s*\}?\}?\s*(?P<scale>(?:\\text\{)?\s*[CF]\b\}?)?)"
    r"|(?P<power>\^\s*\{?\s*(-?\d)\s*\}?)|(?P<slash>/|\bper\b|\ba(?=\s+(?:day|week|month|year|hour|piece|dozen)\b))|(?P<times>\\cdot|\\times|\*|[-⋅])"
    r"|(?P<word>rs\.|[A-Za-zμΩ¢%€£¥₹＄']+)(?P<digit>[23](?![\d.]))?|(?P<omega>\\Omega)|(?P<stop>\.))",
    re.IGNORECASE,
)
_FIRST_TEXT = re.compile(r"\\text\{([^{}]*)\}")


def read_unit(text: str, spaced: bool = True) -> Unit | None:
    """What follows a number as a unit, or as words that leave the number what it is; None if it is neither.

    Args:
        text: what follows the number, cleaned.
        spaced: whether it stands apart from the number, or in \\text{…}; "5m" may be five times m.
    """
    spaced = spaced or "\\text" in text
    text = _FIRST_TEXT.sub(r" \1 ", text).strip()
    if not text:
        return Unit()
    if not spaced and (text in _AMBIGUOUS or len(text) == 1 and text.isalpha()):
        return None
    parts = _parts(text)
    if parts is None:
        return None
    dimensions: dict[str, int] = {}
    size, words = Fraction(1), set[str]()
    for word, power in parts:
        known = _known(word)
        if known is None:
            if len(word) < 2 and word != "a":
                return None
            words.add(_singular(word.lower()))
            continue
        size *= known[0] ** power
        for kind, times in known[1]:
            dimensions[kind] = dimensions.get(kind, 0) + times * power
    if words and not is_plain_phrase(" ".join(word for word, _ in parts if _known(word) is None)):
        return None
    kept = tuple(sorted((kind, power) for kind, power in dimensions.items() if power))
    return Unit(size, kept, frozenset(words - _NEUTRAL))


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
            if (lower := word.lower()) in {"square", "sq", "cubic", "cu", "squared", "cubed"} and not (
                lower.endswith("ed")
            ):
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
    if (
        len(parts) > 1
        and _singular(names[0]) in {"degree", "deg", "^\\circ"}
        and names[1] in {"celsius", "fahrenheit", "c", "f", "centigrade"}
    ):
        return [("°" + names[1][0], 1), *parts[2:]]
    return parts


def _known(word: str) -> tuple[Fraction, Dimensions] | None:
    return (
        UNITS.get(word)
        or (UNITS.get(_singular(word.lower())) if len(word) > 1 else None)
        or (UNITS.get(word.lower()) if len(word) > 1 else None)
    )


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
