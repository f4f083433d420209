"""Inequalities: as sets of numbers where they bound one name by values, as an order of names otherwise."""

from __future__ import annotations

import re

from perilune.rewards.equality.values import Chain, Piece, Ranges

_SIGN = re.compile(r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|\\ne(?![A-Za-z])|<|>|(?<![\\<>!:])=(?!=)")
_MIRRORED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
_NAME = re.compile(
    r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|theta|lambda|mu|phi|omega|epsilon|delta|sigma|rho|tau))(?:_\{?\w+\}?)?'*"
    r"(?:\([A-Za-z]\))?|\|[A-Za-z]\||\\angle ?[A-Z]+"
)
_INFINITE = re.compile(r"[-+]?\s*\\infty")


def read_relation(text: str) -> Ranges | Chain | None:
    """An inequality, or a chain of them; None if the text is none."""
    signs = [match.group() for match in _SIGN.finditer(text)]
    if not signs or all(sign == "=" for sign in signs):
        return None
    operands = [part.strip() for part in _SIGN.split(text)]
    if not all(operands):
        return None
    named = [place for place, operand in enumerate(operands) if _NAME.fullmatch(operand)]
    if len(named) == 1 and not any(
        re.search(r"[A-DF-Za-df-z](?![a-z]*\{)", _without_commands(o)) for k, o in enumerate(operands) if k != named[0]
    ):
        found = _bounds(operands, signs, named[0])
        if found is not None:
            return Ranges(found, operands[named[0]], text)
    falling = [sign for sign in signs if sign in (">", "\\ge")]
    rising = [sign for sign in signs if sign in ("<", "\\le")]
    if rising and not falling:
        return Chain(tuple(reversed(operands)), tuple(_MIRRORED.get(sign, sign) for sign in reversed(signs)), text)
    return Chain(tuple(operands), tuple(signs), text) if not (rising and falling) else None


def _without_commands(text: str) -> str:
    return re.sub(r"\\[A-Za-z]+", " ", text)


def _bounds(operands: list[str], signs: list[str], name: int) -> tuple[Piece, ...] | None:
    if "\\ne" in signs:
        if len(signs) != 1:
            return None
        point = operands[1 - name]
        return (Piece(None, True, point, True), Piece(point, True, None, True))
    low: tuple[str, bool] | None = None
    high: tuple[str, bool] | None = None
    if len(operands) > 3 or (len(operands) == 3 and name != 1) or "=" in signs:
        return None
    for place, operand in enumerate(operands):
        if place == name:
            continue
        sign = signs[place] if place < name else _MIRRORED[signs[place - 1]]
        # Now it reads: operand sign name.
        bound = (operand, sign in ("<", ">"))
        if sign in ("<", "\\le"):
            if low is not None:
                return None
            low = bound
        else:
            if high is not None:
                return None
            high = bound
    ends = [None if bound is None or _INFINITE.fullmatch(bound[0]) else bound for bound in (low, high)]
    return (
        Piece(
            ends[0][0] if ends[0] else None,
            ends[0][1] if ends[0] else True,
            ends[1][0] if ends[1] else None,
            ends[1][1] if ends[1] else True,
        ),
    )
