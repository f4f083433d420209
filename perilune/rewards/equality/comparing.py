"""Whether an answer says what the reference says, each read as what it is; and which rule decided."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from perilune.rewards.equality import algebra, plain
from perilune.rewards.equality.cleaning import clean
from perilune.rewards.equality.numerals import exact
from perilune.rewards.equality.reading import read, read_clean
from perilune.rewards.equality.units import Unit, comparable
from perilune.rewards.equality.values import (
    Chain,
    Clock,
    Collection,
    Congruence,
    Digits,
    Formula,
    Named,
    Number,
    Piece,
    Quantity,
    Ranges,
    Ratio,
    Unreadable,
    Value,
    Words,
)

_OPTION = re.compile(r"\\text\{\(([A-J])\)\s*\}\s*(.+)")
_PERCENT = (("percent", 1),)
_DEGREES = (("angle", 1),)


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether two answers are equal, and by which rule."""

    equal: bool
    rule: str


class UnreadableReference(ValueError):
    """The reference answer cannot be read."""


def read_reference(text: str) -> Value:
    """A reference answer as a value.

    Raises:
        UnreadableReference: it cannot be read; says why.
    """
    value = read(text)
    if isinstance(value, Unreadable):
        raise UnreadableReference(f"the reference answer {text[:80]!r} cannot be read: {value.why}")
    return value


def compare(reference: str, answer: str) -> Finding:
    """Whether an answer equals the reference.

    Args:
        reference: as the problem has it.
        answer: as it was found in the response.

    Raises:
        UnreadableReference: the reference cannot be read.
    """
    wanted = read_reference(reference)
    if option := _OPTION.fullmatch(clean(answer)):
        # (C) 17: the option where the reference names one, else its value.
        answer = option[1] if isinstance(wanted, Words) and len(wanted.text) == 1 else option[2]
    given = read(answer)
    if isinstance(given, Unreadable):
        return Finding(False, f"the answer cannot be read: {given.why}")
    if _bare(reference) == _bare(answer):
        return Finding(True, "the same text")
    return _compared(wanted, given)


def _bare(text: str) -> str:
    return algebra.canonical(re.sub(r"\\text\{([^{}]*)\}", r"\1", clean(text)))


def _compared(wanted: Value, given: Value) -> Finding:
    if isinstance(given, Named) and not isinstance(wanted, Named):
        return _told(wanted, given)
    if isinstance(wanted, Named):
        return _named(wanted, given)
    for kinds, rule, decide in _RULES:
        if isinstance(wanted, kinds[0]) and isinstance(given, kinds[1]):
            return Finding(decide(wanted, given), rule)
    return Finding(False, f"a {_kind(given)} is no {_kind(wanted)}")


def _kind(value: Value) -> str:
    return value.kind if isinstance(value, Collection) else type(value).__name__.lower()


def _same(wanted: Value, given: Value) -> bool:
    return _compared(wanted, given).equal


def _same_text(wanted: str, given: str) -> bool:
    if algebra.canonical(wanted) == algebra.canonical(given):
        return True
    a, b = read_clean(wanted), read_clean(given)
    return not isinstance(a, Unreadable) and not isinstance(b, Unreadable) and _same(a, b)


# Values with a name.


def _told(wanted: Value, given: Named) -> Finding:
    """A value that the answer tells with a name, or as the end of a calculation: f(2) = 5, 6 * 3 = 18."""
    if given.rounded:
        return Finding(_rounded(wanted, given), "a value and what it is about")
    rule = "the value of a name"
    left = read_clean(given.name)
    if isinstance(given.value, Named):
        # A chain: every part of it that is no name must be the value too.
        return Finding(
            _same(wanted, given.value) and (plain.is_name(given.name) or _same(wanted, left)), "a chain of equal values"
        )
    if not _same(wanted, given.value):
        return Finding(False, rule)
    if not plain.is_name(given.name):
        return Finding(_same(wanted, left), "both sides of an equation")
    return Finding(True, rule)


def _rounded(wanted: Value, given: Named) -> bool:
    sides: list[Value] = [read_clean(given.name)]
    value: Value = given.value
    while isinstance(value, Named):
        sides.append(read_clean(value.name))
        value = value.value
    sides.append(value)
    numbers = [number for side in sides if (number := _real(side)) is not None]
    near = all(abs(a - b) <= 0.02 * max(abs(a), abs(b)) for a, b in pairwise(numbers))
    return near and any(_same(wanted, side) for side in sides if not isinstance(side, Unreadable))


def _real(value: Value) -> float | None:
    if isinstance(value, Number):
        return (
            float(value.value)
            if value.value.numerator.bit_length() < 900 and value.value.denominator.bit_length() < 900
            else None
        )
    if isinstance(value, Formula):
        number = algebra.number(value.text)
        return None if number is None else float(number)
    return None


def _named(wanted: Named, given: Value) -> Finding:
    if not isinstance(given, Named):
        if isinstance(given, Collection) and len(given.items) == 1:
            given = given.items[0]
        says_value = (plain.is_name(wanted.name) and not plain.is_curve(wanted.name)) or _same(
            wanted.value, read_clean(wanted.name)
        )
        return Finding(says_value and _same(wanted.value, given), "the value without its name")
    if _same_text(wanted.name, given.name) and _same(wanted.value, given.value):
        return Finding(True, "the same name and value")
    if _same_text(wanted.name, _text(given.value)) and _same_text(_text(wanted.value), given.name):
        return Finding(True, "an equation with its sides exchanged")
    if any(plain.UNKNOWN.fullmatch(side.name) and isinstance(side.value, Number) for side in (wanted, given)):
        return Finding(False, "another name or value")
    return Finding(algebra.equal(wanted.text, given.text), "an equation, by algebra")


def _text(value: Value) -> str:
    return value.text


# Several values.


def _collections(wanted: Collection, given: Collection) -> bool:
    if len(wanted.items) != len(given.items):
        return False
    if _all_named(wanted) or _all_named(given):
        return _with_names(wanted, given)
    kinds = {wanted.kind, given.kind}
    if kinds in ({"tuple", "set"}, {"tuple", "closed"}):
        return False
    if kinds <= {"list", "set"} or kinds == {"set", "closed"}:
        return _matched(wanted.items, given.items)
    return _in_order(wanted.items, given.items)


def _with_names(wanted: Collection, given: Collection) -> bool:
    if _all_named(wanted) and _all_named(given):
        return _matched(wanted.items, given.items) or _of_one_name(wanted, given)
    return _against_names(given, wanted) if _all_named(given) else _against_names(wanted, given)


def _of_one_name(wanted: Collection, given: Collection) -> bool:
    """x = 1 or x = 2 against x_1 = 1, x_2 = 2: values of one unknown, numbered or not."""
    sides = [[item for item in side.items if isinstance(item, Named)] for side in (wanted, given)]
    stems = {_stem(item.name) for side in sides for item in side}
    repeated = any(len({item.name for item in side}) == 1 for side in sides)
    return len(stems) == 1 and repeated and _matched([n.value for n in sides[0]], [n.value for n in sides[1]])


def _stem(name: str) -> str:
    return re.sub(r"_\{?\w+\}?|['\s]", "", name)


def _all_named(collection: Collection) -> bool:
    return all(isinstance(item, Named) for item in collection.items)


def _against_names(named: Collection, plain: Collection) -> bool:
    """x = 3, y = 5 against 3, 5: in the order of the names; one name's values (x = 1 or x = 2) in any order."""
    pairs = [item for item in named.items if isinstance(item, Named)]
    stems = {_stem(pair.name) for pair in pairs}
    if len(stems) == 1:
        values = [pair.value for pair in pairs]
        return (plain.kind in ("list", "set") and _matched(values, plain.items)) or _in_order(values, plain.items)
    ordered = sorted(pairs, key=lambda pair: pair.name)
    if plain.kind == "set":
        return False
    return _in_order([pair.value for pair in ordered], plain.items)


def _in_order(some: Sequence[Value], others: Sequence[Value]) -> bool:
    return all(_same(a, b) for a, b in zip(some, others, strict=True))


def _matched(wanted: Sequence[Value], given: Sequence[Value]) -> bool:
    """Whether the values are the same in some order; each stands for one."""
    left = list(given)
    for value in wanted:
        place = next((k for k, other in enumerate(left) if _same(value, other)), None)
        if place is None:
            return False
        del left[place]
    return True


# Sets of numbers.


def _ranges(wanted: Ranges, given: Ranges) -> bool:
    if wanted.name and given.name and not _same_text(wanted.name, given.name):
        return False
    return _same_pieces(wanted.pieces, given.pieces)


def _same_pieces(wanted: Sequence[Piece], given: Sequence[Piece]) -> bool:
    left = list(given)
    for piece in wanted:
        place = next((k for k, other in enumerate(left) if _same_piece(piece, other)), None)
        if place is None:
            return False
        del left[place]
    return not left


def _same_piece(a: Piece, b: Piece) -> bool:
    return _same_end(a.low, a.low_open, b.low, b.low_open) and _same_end(a.high, a.high_open, b.high, b.high_open)


def _same_end(a: str | None, a_open: bool, b: str | None, b_open: bool) -> bool:
    if a is None or b is None:
        return a is b
    return a_open == b_open and _same_text(a, b)


def _pair_as_range(pair: Collection) -> Ranges | None:
    if len(pair.items) != 2 or pair.kind not in ("tuple", "closed"):
        return None
    is_open = pair.kind == "tuple"
    return Ranges((Piece(_text(pair.items[0]), is_open, _text(pair.items[1]), is_open),), "", pair.text)


def _range_and_pair(wanted: Ranges, given: Collection) -> bool:
    other = _pair_as_range(given)
    return other is not None and _ranges(wanted, other)


def _pair_and_range(wanted: Collection, given: Ranges) -> bool:
    other = _pair_as_range(wanted)
    return other is not None and _ranges(other, given)


def _chains(wanted: Chain, given: Chain) -> bool:
    if "\\ne" in wanted.signs and wanted.signs == given.signs == ("\\ne",):
        return _matched([read_clean(o) for o in wanted.operands], [read_clean(o) for o in given.operands])
    if wanted.signs == given.signs and all(
        _same_text(a, b) for a, b in zip(wanted.operands, given.operands, strict=True)
    ):
        return True
    return len(wanted.signs) == 1 and len(given.signs) == 1 and algebra.equal(wanted.text, given.text)


def _chain_and_range(wanted: Chain | Ranges, given: Chain | Ranges) -> bool:
    return algebra.equal(wanted.text, given.text)


# Single values.


def _number_and_formula(wanted: Number | Formula, given: Number | Formula) -> bool:
    return algebra.equal(wanted.text, given.text)


def _quantities(wanted: Quantity, given: Quantity) -> bool:
    if not comparable(wanted.unit, given.unit):
        return False
    if wanted.unit.dimensions == given.unit.dimensions and wanted.unit.size != given.unit.size:
        return _scaled(wanted.value, wanted.unit, given.value, given.unit)
    return _same(wanted.value, given.value)


def _scaled(a: Number | Formula, a_unit: Unit, b: Number | Formula, b_unit: Unit) -> bool:
    if isinstance(a, Number) and isinstance(b, Number):
        return a.value * a_unit.size == b.value * b_unit.size
    ratio: Fraction = a_unit.size / b_unit.size
    return algebra.equal(rf"({a.text})\cdot\frac{{{ratio.numerator}}}{{{ratio.denominator}}}", b.text)


def _quantity_and_plain(wanted: Quantity, given: Number | Formula) -> bool:
    if wanted.unit.dimensions == _PERCENT and isinstance(wanted.value, Number) and isinstance(given, Number):
        return given.value in (wanted.value.value, wanted.value.value / 100)
    if wanted.unit.dimensions == _DEGREES and isinstance(given, Formula) and "\\pi" in given.text:
        return algebra.equal(rf"({wanted.value.text})\cdot\frac{{\pi}}{{180}}", given.text)
    return _same(wanted.value, given)


def _plain_and_quantity(wanted: Number | Formula, given: Quantity) -> bool:
    return _quantity_and_plain(given, wanted)


def _congruences(wanted: Congruence, given: Congruence) -> bool:
    if not _same_text(wanted.modulus, given.modulus):
        return False
    if wanted.left and given.left and not _same_text(wanted.left, given.left):
        return False
    modulus, a, b = (exact(text) for text in (wanted.modulus, wanted.residue, given.residue))
    if modulus and a is not None and b is not None:
        return (a - b) % modulus == 0
    a_parts, b_parts = (
        sorted(part.strip() for part in re.split(r",|\\text\{ ?or ?\}|\bor\b", text))
        for text in (wanted.residue, given.residue)
    )
    return _same_text(wanted.residue, given.residue) or a_parts == b_parts


def _congruence_and_number(wanted: Congruence, given: Number) -> bool:
    return not wanted.left and exact(wanted.residue) == given.value


def _number_and_congruence(wanted: Number, given: Congruence) -> bool:
    return exact(given.residue) == wanted.value


_PLAIN = (Number, Formula)
_Kinds = type | tuple[type, ...]
_RULES: tuple[tuple[tuple[_Kinds, _Kinds], str, Callable[[Any, Any], bool]], ...] = (
    ((Number, Number), "exact numbers", plain.numbers),
    (((Number, Formula), (Number, Formula)), "formulas, by algebra", _number_and_formula),
    ((Quantity, Quantity), "values with units", _quantities),
    ((Quantity, _PLAIN), "a value without its unit", _quantity_and_plain),
    ((_PLAIN, Quantity), "a value with a unit", _plain_and_quantity),
    ((Collection, Collection), "several values", _collections),
    ((Ranges, Ranges), "sets of numbers", _ranges),
    ((Ranges, Collection), "an interval", _range_and_pair),
    ((Collection, Ranges), "an interval", _pair_and_range),
    ((Chain, Chain), "an order", _chains),
    (((Chain, Ranges), (Chain, Ranges)), "inequalities, by algebra", _chain_and_range),
    ((Words, Words), "words", plain.words),
    (((Words, Formula), (Words, Formula)), "a word", plain.word_and_formula),
    ((Clock, Clock), "times", plain.clocks),
    ((Ratio, Ratio), "ratios", plain.ratios),
    ((Ratio, Clock), "ratios", plain.ratio_and_clock),
    ((Ratio, Number), "a ratio as a number", plain.ratio_and_number),
    ((Number, Ratio), "a ratio as a number", plain.number_and_ratio),
    ((Clock, Number), "a ratio as a number", plain.clock_and_number),
    ((Number, Clock), "a ratio as a number", plain.number_and_clock),
    ((Digits, Digits), "digits and base", plain.digit_runs),
    ((Digits, Number), "digits without their base", plain.digits_and_number),
    ((Number, Digits), "digits of base ten", plain.number_and_digits),
    ((Congruence, Congruence), "congruences", _congruences),
    ((Congruence, Number), "a residue", _congruence_and_number),
    ((Number, Congruence), "a residue", _number_and_congruence),
)
