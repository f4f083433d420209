"""What an answer can be, once it is read."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from perilune.rewards.equality.numerals import Based
from perilune.rewards.equality.units import Unit


@dataclass(frozen=True, slots=True)
class Number:
    """An exact value."""

    value: Fraction
    text: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value with a unit, or with words after it; several with units of one kind are added up (1 hour 30 minutes)."""

    value: Number | Formula
    unit: Unit
    text: str


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day, or a ratio that looks like one."""

    hour: int
    minute: int
    half: Literal["am", "pm", ""]
    text: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """a : b : c."""

    parts: tuple[Fraction, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """Words, or names whose letters are no product."""

    text: str
    exact: bool
    """Whether capitals matter: ABC is a name."""


@dataclass(frozen=True, slots=True)
class Congruence:
    """left ≡ residue (mod modulus)."""

    left: str
    residue: str
    modulus: str
    text: str


@dataclass(frozen=True, slots=True)
class Collection:
    """Several values: listed (in any order), in braces (the same), in parentheses (in this order)."""

    kind: Literal["list", "set", "tuple", "closed", "left-open", "right-open"]
    items: tuple[Value, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """An interval; an end of None is infinite."""

    low: str | None
    low_open: bool
    high: str | None
    high_open: bool


@dataclass(frozen=True, slots=True)
class Ranges:
    """A set of numbers that intervals or inequalities tell."""

    pieces: tuple[Piece, ...]
    name: str
    """Whose values they are; empty where intervals do not say."""
    text: str


@dataclass(frozen=True, slots=True)
class Named:
    """One value with what it is the value of."""

    name: str
    value: Value
    text: str
    rounded: bool = False
    """Whether ≈ stands between them."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Names in an order: b > a > d; the larger first."""

    operands: tuple[str, ...]
    signs: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Formula:
    """Whatever the algebra system reads."""

    text: str


@dataclass(frozen=True, slots=True)
class Digits:
    """Digits in a base that is named."""

    based: Based
    text: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Nothing that can be read."""

    text: str
    why: str


Value = (
    Number
    | Quantity
    | Clock
    | Ratio
    | Words
    | Congruence
    | Collection
    | Ranges
    | Named
    | Chain
    | Formula
    | Digits
    | Unreadable
)


_KINDS = {
    "Number": "number",
    "Clock": "time",
    "Ratio": "ratio",
    "Words": "words",
    "Congruence": "congruence",
    "Ranges": "range",
    "Named": "named value",
    "Chain": "order",
    "Formula": "formula",
    "Digits": "digits",
    "Unreadable": "unreadable",
}


def shown(value: Value) -> str:
    """A value in a few words, for people."""
    kind = _KINDS.get(type(value).__name__, "")
    if isinstance(value, Collection):
        kind = value.kind if value.kind in ("list", "set", "tuple") else f"{value.kind} interval"
        return f"{kind} of {len(value.items)}: " + "; ".join(shown(item) for item in value.items[:6])
    if isinstance(value, Number):
        digits = value.value.numerator.bit_length() + value.value.denominator.bit_length()
        told = f"number {value.text}"
        return told if digits > 400 or value.text == str(value.value) else f"{told} = {value.value}"
    if isinstance(value, Quantity):
        unit = " ".join(f"{name}^{power}" if power != 1 else name for name, power in value.unit.dimensions)
        return f"quantity {value.text} ({unit or ', '.join(sorted(value.unit.words)) or 'no unit'})"
    return f"{kind} {value.text}" + (f" ({value.why})" if isinstance(value, Unreadable) else "")
