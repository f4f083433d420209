"""What a function takes: the address of a structure whose fields all take eight bytes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from perilune.backends.engines.kernels.code import Function


class Layout:
    """The fields of the structure, in order: addresses, counts (i64), numbers (double)."""

    def __init__(self, pointers: Sequence[str], counts: Sequence[str], numbers: Sequence[str] = ()):
        self._kinds = {
            **dict.fromkeys(pointers, ("ptr", ctypes.c_void_p)),
            **dict.fromkeys(counts, ("i64", ctypes.c_int64)),
            **dict.fromkeys(numbers, ("double", ctypes.c_double)),
        }
        self._places = {name: place for place, name in enumerate(self._kinds)}

    @property
    def fields(self) -> list[tuple[str, Any]]:
        """As ctypes takes them."""
        return [(name, kind) for name, (_, kind) in self._kinds.items()]

    def get(self, f: Function, name: str) -> str:
        """A field of the function's ``%args``."""
        return f.new(f"load {self._kinds[name][0]}, ptr {f.at('%args', self._places[name], 'i64')}")

    def all(self, f: Function) -> dict[str, str]:
        """Every field."""
        return {name: self.get(f, name) for name in self._places}

    def parallel(self, name: str, inner: str) -> str:
        """A function that works on the parts of ``inner(args, part)`` that fall to the thread that calls.

        The structure has the fields thread, threads (addresses of functions that tell the number of the thread that
        calls, and how many there are) and parts. The pool may give fewer threads than parts.
        """
        f = Function(name, "ptr noalias %args")
        own, count = (
            f.new(f"zext i32 {f.new(f'call i32 {self.get(f, field)}()')} to i64") for field in ("thread", "threads")
        )
        with f.loop(own, self.get(f, "parts"), count) as part:
            f.do(f"call void @{inner}(ptr %args, i64 {part})")
        return f.text()
