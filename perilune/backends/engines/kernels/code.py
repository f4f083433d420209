"""Writing LLVM's intermediate representation, and making machine code of it for the processor that is here.

Vectors are written in one width; LLVM splits them into what the processor has.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

WIDTH = 16
"""Numbers in a vector: one register of AVX-512, two of AVX2, four of NEON."""
FLOATS = f"<{WIDTH} x float>"
DOUBLES = f"<{WIDTH} x double>"
INTS = f"<{WIDTH} x i32>"
SHORTS = f"<{WIDTH} x i16>"


_NEAR = 3
"""Into which caches memory is brought: all."""


class Function:
    """The text of one function; variables live on the stack until LLVM gives them registers."""

    def __init__(self, name: str, parameters: str):
        self._head = f"define void @{name}({parameters}) {{"
        self._variables: list[str] = []
        self._lines: list[str] = []
        self._count = itertools.count()

    def text(self) -> str:
        """The whole function."""
        body = "\n".join(["entry:", *self._variables, *self._lines, "  ret void", "}"])
        return f"{self._head}\n{body}\n"

    def do(self, text: str) -> None:
        """Add an instruction without a result."""
        self._lines.append(f"  {text}")

    def new(self, text: str) -> str:
        """Add an instruction; its result's name."""
        name = f"%v{next(self._count)}"
        self._lines.append(f"  {name} = {text}")
        return name

    def variable(self, kind: str, value: str) -> Variable:
        """A variable with a first value, set where this is called."""
        name = f"%x{next(self._count)}"
        self._variables.append(f"  {name} = alloca {kind}, align 64")
        variable = Variable(self, name, kind)
        variable.set(value)
        return variable

    @contextmanager
    def loop(self, start: str | int, stop: str | int, step: str | int = 1) -> Iterator[str]:
        """The block runs for each i64 from start to stop."""
        number = next(self._count)
        counter = self.variable("i64", str(start))
        self.do(f"br label %head{number}")
        self._lines.append(f"head{number}:")
        index = counter.get()
        inside = self.new(f"icmp slt i64 {index}, {stop}")
        self.do(f"br i1 {inside}, label %body{number}, label %end{number}")
        self._lines.append(f"body{number}:")
        yield index
        counter.set(self.new(f"add nsw i64 {index}, {step}"))
        self.do(f"br label %head{number}")
        self._lines.append(f"end{number}:")

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """The block runs if the condition, an i1, holds."""
        number = next(self._count)
        self.do(f"br i1 {condition}, label %then{number}, label %done{number}")
        self._lines.append(f"then{number}:")
        yield
        self.do(f"br label %done{number}")
        self._lines.append(f"done{number}:")

    def math(self, operation: str, left: str | int, right: str | int) -> str:
        """An operation on two i64."""
        return self.new(f"{operation} i64 {left}, {right}")

    def at(self, base: str, index: str | int, kind: str) -> str:
        """Address of an element."""
        return self.new(f"getelementptr {kind}, ptr {base}, i64 {index}")

    def load(self, base: str, index: str | int, kind: str, align: int = 0) -> str:
        """An element of an array; the alignment is the kind's own unless told."""
        suffix = f", align {align}" if align else ""
        return self.new(f"load {kind}, ptr {self.at(base, index, kind)}{suffix}")

    def prefetch(self, base: str, index: str | int, kind: str) -> None:
        """Begin to bring an element of an array into the caches, to be read soon."""
        self.do(f"call void @llvm.prefetch.p0(ptr {self.at(base, index, kind)}, i32 0, i32 {_NEAR}, i32 1)")

    def splat(self, number: str) -> str:
        """A vector of one float."""
        return self.repeat(number, "float")

    def repeat(self, number: str, kind: str) -> str:
        """A vector of one number of a kind."""
        vector = f"<{WIDTH} x {kind}>"
        first = self.new(f"insertelement {vector} poison, {kind} {number}, i64 0")
        return self.new(f"shufflevector {vector} {first}, {vector} poison, {INTS} zeroinitializer")

    def call(self, name: str, kind: str, *arguments: str) -> str:
        """An intrinsic whose arguments and result are of one kind."""
        return self.new(f"call {kind} @{name}.{mangled(kind)}({', '.join(f'{kind} {a}' for a in arguments)})")


class Variable:
    """A variable of a function."""

    def __init__(self, function: Function, name: str, kind: str):
        self._function = function
        self._name = name
        self._kind = kind

    def get(self) -> str:
        """Its value here."""
        return self._function.new(f"load {self._kind}, ptr {self._name}, align 64")

    def set(self, value: str) -> None:
        """Give it another value."""
        self._function.do(f"store {self._kind} {value}, ptr {self._name}, align 64")


def mangled(kind: str) -> str:
    """How an intrinsic's name ends for a kind of value."""
    names = {FLOATS: f"v{WIDTH}f32", INTS: f"v{WIDTH}i32", "float": "f32", "double": "f64", "i64": "i64"}
    return names[kind]


INTRINSICS = "\n".join(
    [
        *(
            f"declare {kind} @llvm.{name}.{mangled(kind)}({', '.join([kind] * count)})"
            for kind in (FLOATS, "float")
            for name, count in (("fmuladd", 3), ("maxnum", 2), ("minnum", 2), ("floor", 1))
        ),
        f"declare float @llvm.vector.reduce.fmax.{mangled(FLOATS)}({FLOATS})",
        f"declare float @llvm.vector.reduce.fadd.{mangled(FLOATS)}(float, {FLOATS})",
        f"declare double @llvm.vector.reduce.fadd.v{WIDTH}f64(double, {DOUBLES})",
        f"declare i32 @llvm.vector.reduce.umin.v{WIDTH}i32({INTS})",
        f"declare {INTS} @llvm.umin.v{WIDTH}i32({INTS}, {INTS})",
        *(f"declare i64 @llvm.{name}.i64(i64, i64)" for name in ("smin", "smax", "umin")),
        "declare double @llvm.minnum.f64(double, double)",
        "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
    ]
)


class Library:
    """Machine code; it lives as long as this object."""

    def __init__(self, text: str):
        """Compile a module's text.

        Raises:
            RuntimeError: the text is not valid, or LLVM cannot make code for this processor.
        """
        from llvmlite import binding

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        cpu, features = _processor(binding)
        machine = binding.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=3)
        module = binding.parse_assembly(text)
        module.verify()
        options = binding.create_pipeline_tuning_options(speed_level=3)
        builder = binding.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        self._engine = binding.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function lies."""
        return int(self._engine.get_function_address(name))

    def function(self, name: str, *arguments: type) -> Any:
        """A function that ctypes can call; it releases the interpreter's lock."""
        return ctypes.CFUNCTYPE(None, *arguments)(self.address(name))


def _processor(binding: Any) -> tuple[str, str]:
    """LLVM's name and features of the processor, held to what torch uses of it (``ATEN_CPU_CAPABILITY``)."""
    if torch.backends.cpu.get_cpu_capability() == "AVX2":
        return "haswell", ""
    return binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
