"""Vectors of constants and of memory, and functions of vectors, in LLVM's intermediate representation."""

from __future__ import annotations

import struct

from perilune.backends.engines.kernels.code import FLOATS, INTS, SHORTS, WIDTH, Function


def every(number: str) -> str:
    """A vector of one float, as LLVM writes it."""
    return "<" + ", ".join([f"float {number}"] * WIDTH) + ">"


def every_int(number: int) -> str:
    """A vector of one integer."""
    return "<" + ", ".join([f"i32 {number}"] * WIDTH) + ">"


_LOG2E, _LN2_HIGH, _LN2_LOW = 1.44269504088896341, 0.693359375, -2.12194440e-4
_POWERS = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
"""Of the polynomial for exp between -ln 2 / 2 and ln 2 / 2; single precision, as Cephes has it (Moshier, expf)."""


def exponential(f: Function, numbers: str) -> str:
    """exp of a vector to about one unit in the last place; zero below -87, where fp32 leaves its normal numbers.

    What is not a number stays so: a model that has diverged must be seen to.
    """
    low = f.new(f"fcmp olt {FLOATS} {numbers}, {every('-87.0')}")
    held = f.call("llvm.maxnum", FLOATS, numbers, every("-87.0"))
    scaled = f.call("llvm.fmuladd", FLOATS, held, constant(_LOG2E), every("0.5"))
    whole = f.call("llvm.floor", FLOATS, scaled)
    rest = f.call("llvm.fmuladd", FLOATS, whole, constant(-_LN2_HIGH), held)
    rest = f.call("llvm.fmuladd", FLOATS, whole, constant(-_LN2_LOW), rest)
    value = constant(_POWERS[0])
    for factor in _POWERS[1:]:
        value = f.call("llvm.fmuladd", FLOATS, value, rest, constant(factor))
    square = f.new(f"fmul {FLOATS} {rest}, {rest}")
    value = f.call("llvm.fmuladd", FLOATS, value, square, f.new(f"fadd {FLOATS} {rest}, {every('1.0')}"))
    exponent = f.new(f"add {INTS} {f.new(f'fptosi {FLOATS} {whole} to {INTS}')}, {every_int(127)}")
    power = f.new(f"bitcast {INTS} {f.new(f'shl {INTS} {exponent}, {every_int(23)}')} to {FLOATS}")
    found = f.new(f"fmul {FLOATS} {value}, {power}")
    found = f.new(f"select <{WIDTH} x i1> {low}, {FLOATS} zeroinitializer, {FLOATS} {found}")
    unknown = f.new(f"fcmp uno {FLOATS} {numbers}, {numbers}")
    return f.new(f"select <{WIDTH} x i1> {unknown}, {FLOATS} {numbers}, {FLOATS} {found}")


def constant(number: float) -> str:
    """A vector of the nearest fp32 number, written as LLVM writes it: the bits of the double that equals it."""
    (single,) = struct.unpack("<f", struct.pack("<f", number))
    return every(f"0x{struct.unpack('<Q', struct.pack('<d', single))[0]:016X}")


def load_floats(f: Function, base: str, index: str | int, half: bool) -> str:
    """A vector of an array of bf16 or fp32, as fp32."""
    if not half:
        return f.new(f"load {FLOATS}, ptr {f.at(base, index, 'float')}, align 4")
    short = f.new(f"load {SHORTS}, ptr {f.at(base, index, 'i16')}, align 2")
    wide = f.new(f"shl {INTS} {f.new(f'zext {SHORTS} {short} to {INTS}')}, {every_int(16)}")
    return f.new(f"bitcast {INTS} {wide} to {FLOATS}")


def load_float(f: Function, base: str, index: str | int, half: bool) -> str:
    """A number of an array of bf16 or fp32, as fp32."""
    if not half:
        return f.load(base, index, "float")
    wide = f.new(f"zext i16 {f.load(base, index, 'i16')} to i32")
    return f.new(f"bitcast i32 {f.new(f'shl i32 {wide}, 16')} to float")


def store_floats(f: Function, numbers: str, base: str, index: str | int, half: bool) -> None:
    """A vector goes to an array of fp32 or bf16; to the nearest bf16, ties to even, and what is no number stays so."""
    if not half:
        f.do(f"store {FLOATS} {numbers}, ptr {f.at(base, index, 'float')}, align 4")
        return
    bits = f.new(f"bitcast {FLOATS} {numbers} to {INTS}")
    odd = f.new(f"and {INTS} {f.new(f'lshr {INTS} {bits}, {every_int(16)}')}, {every_int(1)}")
    raised = f.new(f"add {INTS} {f.new(f'add {INTS} {bits}, {every_int(0x7FFF)}')}, {odd}")
    unknown = f.new(f"fcmp uno {FLOATS} {numbers}, {numbers}")
    raised = f.new(f"select <{WIDTH} x i1> {unknown}, {INTS} {every_int(0x7FC00000)}, {INTS} {raised}")
    short = f.new(f"trunc {INTS} {f.new(f'lshr {INTS} {raised}, {every_int(16)}')} to {SHORTS}")
    f.do(f"store {SHORTS} {short}, ptr {f.at(base, index, 'i16')}, align 2")
