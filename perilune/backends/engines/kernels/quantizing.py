"""To int8 and back: rows of activations before an integer product, its sums after it."""

from __future__ import annotations

import ctypes
from functools import cache

from perilune.backends.engines.kernels.code import FLOATS, INTRINSICS, INTS, WIDTH, Function, Library
from perilune.backends.engines.kernels.layout import Layout
from perilune.backends.engines.kernels.vectors import every, load_floats, store_floats

LEVELS = 127
"""Steps to each side of zero."""

_LAYOUT = Layout(
    ("numbers", "integers", "scales", "sums", "channels", "bias", "out", "thread", "threads"),
    ("rows", "columns", "parts"),
)


class Arguments(ctypes.Structure):
    """What a call works on; every array is contiguous.

    ``quantize`` reads numbers, [rows, columns], and writes integers, [rows, columns] int8, and scales, [rows] float32.
    ``restore`` reads sums, [rows, columns] int32 or float32, scales, channels and bias, [columns] float32, and writes
    out, [rows, columns]. thread, threads, parts: see :meth:`Layout.parallel`.
    """

    _fields_ = _LAYOUT.fields


@cache
def compiled(half: bool) -> Library:
    """``quantize``, ``restore`` of int32 and ``rescale`` of float32 sums, and each with ``_parallel`` behind its name.

    Columns come in whole vectors.

    Args:
        half: numbers are bf16, else fp32.
    """
    texts = [INTRINSICS, f"declare {FLOATS} @llvm.rint.v{WIDTH}f32({FLOATS})"]
    texts += [f"declare {FLOATS} @llvm.fabs.v{WIDTH}f32({FLOATS})"]
    texts += [_quantize(half), _restore("restore", half, integers=True), _restore("rescale", half, integers=False)]
    texts += [_LAYOUT.parallel(f"{name}_parallel", name) for name in ("quantize", "restore", "rescale")]
    return Library("\n".join(texts))


def _quantize(half: bool) -> str:
    """Each row by its largest magnitude; a row that holds what is no number, or infinite, gets no number as scale."""
    f = Function("quantize", "ptr noalias %args, i64 %part")
    fields = _LAYOUT.all(f)
    columns = fields["columns"]
    with f.loop("%part", fields["rows"], fields["parts"]) as row:
        start = f.math("mul", row, columns)
        end = f.math("add", start, columns)
        top, flaw = f.variable(FLOATS, "zeroinitializer"), f.variable(FLOATS, "zeroinitializer")
        with f.loop(start, end, WIDTH) as place:
            numbers = load_floats(f, fields["numbers"], place, half)
            top.set(f.call("llvm.maxnum", FLOATS, top.get(), f.call("llvm.fabs", FLOATS, numbers)))
            flaw.set(f.new(f"fadd {FLOATS} {flaw.get()}, {f.new(f'fsub {FLOATS} {numbers}, {numbers}')}"))
        largest = f.new(f"call float @llvm.vector.reduce.fmax.v{WIDTH}f32({FLOATS} {top.get()})")
        largest = f.call("llvm.maxnum", "float", largest, "0x3980000000000000")
        steps = f.splat(f.new(f"fdiv float {LEVELS}.0, {largest}"))
        with f.loop(start, end, WIDTH) as place:
            scaled = f.new(f"fmul {FLOATS} {load_floats(f, fields['numbers'], place, half)}, {steps}")
            held = f.call("llvm.maxnum", FLOATS, scaled, every(f"-{LEVELS}.0"))
            held = f.call("llvm.minnum", FLOATS, held, every(f"{LEVELS}.0"))
            whole = f.new(f"fptosi {FLOATS} {f.call('llvm.rint', FLOATS, held)} to {INTS}")
            small = f.new(f"trunc {INTS} {whole} to <{WIDTH} x i8>")
            f.do(f"store <{WIDTH} x i8> {small}, ptr {f.at(fields['integers'], place, 'i8')}, align 1")
        none = f.new(f"call float @llvm.vector.reduce.fadd.v{WIDTH}f32(float 0.0, {FLOATS} {flaw.get()})")
        scale = f.new(f"fadd float {f.new(f'fdiv float {largest}, {LEVELS}.0')}, {none}")
        f.do(f"store float {scale}, ptr {f.at(fields['scales'], row, 'float')}")
    return f.text()


def _restore(name: str, half: bool, *, integers: bool) -> str:
    """(sum · channel's scale) · row's scale + bias."""
    f = Function(name, "ptr noalias %args, i64 %part")
    fields = _LAYOUT.all(f)
    columns = fields["columns"]
    biased = f.new(f"icmp ne ptr {fields['bias']}, null")
    with f.loop("%part", fields["rows"], fields["parts"]) as row:
        start = f.math("mul", row, columns)
        scale = f.splat(f.load(fields["scales"], row, "float"))
        with f.loop(0, columns, WIDTH) as column:
            place = f.math("add", start, column)
            if integers:
                sums = f.new(f"load {INTS}, ptr {f.at(fields['sums'], place, 'i32')}, align 4")
                numbers = f.new(f"sitofp {INTS} {sums} to {FLOATS}")
            else:
                numbers = load_floats(f, fields["sums"], place, False)
            numbers = f.new(f"fmul {FLOATS} {numbers}, {load_floats(f, fields['channels'], column, False)}")
            found = f.variable(FLOATS, f.new(f"fmul {FLOATS} {numbers}, {scale}"))
            with f.when(biased):
                bias = load_floats(f, fields["bias"], column, False)
                found.set(f.new(f"fadd {FLOATS} {found.get()}, {bias}"))
            store_floats(f, found.get(), fields["out"], place, half)
    return f.text()
