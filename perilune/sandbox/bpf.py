"""A small assembler of the kernel's packet filters, which is the language of seccomp."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Jump:
    """Compare the loaded word; go on at a label, or at the next instruction (None)."""

    kind: str
    value: int
    yes: str | None = None
    no: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """Load the word at an offset of the call's description."""

    offset: int


@dataclass(frozen=True, slots=True)
class Mask:
    """Keep these bits of the loaded word."""

    bits: int


@dataclass(frozen=True, slots=True)
class Return:
    """Decide."""

    action: int


@dataclass(frozen=True, slots=True)
class Label:
    """A place to jump to, further down."""

    name: str


Instruction = Jump | Load | Mask | Return | Label
_JUMPS = {"eq": 0x15, "ge": 0x35, "any": 0x45}


def assemble(instructions: Iterable[Instruction]) -> bytes:
    """Instructions → struct sock_filter[]; ValueError where a jump is too far for the kernel, KeyError for no label."""
    places: dict[str, int] = {}
    code: list[Jump | Load | Mask | Return] = []
    for instruction in instructions:
        if isinstance(instruction, Label):
            places[instruction.name] = len(code)
        else:
            code.append(instruction)
    return b"".join(_encode(index, instruction, places) for index, instruction in enumerate(code))


def _encode(index: int, instruction: Jump | Load | Mask | Return, places: Mapping[str, int]) -> bytes:
    match instruction:
        case Load(offset):
            return struct.pack("=HBBI", 0x20, 0, 0, offset)
        case Mask(bits):
            return struct.pack("=HBBI", 0x54, 0, 0, bits)
        case Return(action):
            return struct.pack("=HBBI", 0x06, 0, 0, action)
        case Jump(kind, value, yes, no):
            steps = [places[label] - index - 1 if label else 0 for label in (yes, no)]
            if not all(0 <= step <= 255 for step in steps):
                raise ValueError(f"a jump of {steps} instructions from {instruction} does not fit in a byte")
            return struct.pack("=HBBI", _JUMPS[kind], *steps, value)
