"""System calls written down before they are made, so that a fork can make them with little work of its own.

A fresh fork shares its memory with the zygote, and every page that it writes to, were it only to count references, has
to be copied first. What a run does to itself before it becomes the program is therefore laid out beforehand. Where the
program is executed there need not even be a fork: a few instructions make the calls in a process that borrows the
zygote's memory until then, as the C library's ``posix_spawn`` does, which knows of no filters and no Landlock.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from typing import Final

from perilune.sandbox.syscall_numbers import MACHINE, NUMBERS

Word = int | bytes | ctypes.Array[ctypes.c_char_p] | None
Call = tuple[str, *tuple[Word, ...]]
"""Name and arguments; bytes and arrays stand for their address."""

_WORDS: Final = 8  # number, six arguments, and one to make it even
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

CANNOT: Final = 126
"""Exit code of a process that could not make one of its calls."""

_SPAWN_X86_64: Final = bytes.fromhex(
    "53"  # push rbx
    "4889fb"  # mov rbx, rdi            the calls
    "b838000000"  # mov eax, 56         clone
    "bf11410000"  # mov edi, 0x4111     with this memory, the parent waits, SIGCHLD at the end
    "31f6"  # xor esi, esi              on this stack, which nothing below writes to
    "31d2"  # xor edx, edx
    "4d31d2"  # xor r10, r10
    "4d31c0"  # xor r8, r8
    "0f05"  # syscall
    "4885c0"  # test rax, rax
    "7534"  # jnz parent
    "488b03"  # next: mov rax, [rbx]
    "488b7b08"  # mov rdi, [rbx + 8]
    "488b7310"  # mov rsi, [rbx + 16]
    "488b5318"  # mov rdx, [rbx + 24]
    "4c8b5320"  # mov r10, [rbx + 32]
    "4c8b4328"  # mov r8, [rbx + 40]
    "4c8b4b30"  # mov r9, [rbx + 48]
    "0f05"  # syscall
    "4885c0"  # test rax, rax
    "7806"  # js failed
    "4883c340"  # add rbx, 64
    "ebd8"  # jmp next
    "b8e7000000"  # failed: mov eax, 231   exit_group
    "bf7e000000"  # mov edi, 126
    "0f05"  # syscall
    "5b"  # parent: pop rbx
    "c3"  # ret                         the child's pid, or minus an errno
)


class Calls:
    """System calls in order, with all that their arguments point to.

    Args:
        calls: which, by name.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        self._names = [name for name, *_ in calls]
        self._kept: list[object] = []
        self._table = (ctypes.c_int64 * (_WORDS * len(calls)))()
        for index, (name, *words) in enumerate(calls):
            self._table[_WORDS * index] = NUMBERS[name]
            for place, word in enumerate(words, 1):
                self._table[_WORDS * index + place] = self._as_number(word)

    def _as_number(self, word: Word) -> int:
        if isinstance(word, bytes):
            buffer = ctypes.create_string_buffer(word, len(word) + 1)
            self._kept.append(buffer)
            return ctypes.addressof(buffer)
        if isinstance(word, ctypes.Array):
            self._kept.append(word)
            return ctypes.addressof(word)
        return word or 0

    @property
    def address(self) -> int:
        """Where the table of numbers and arguments is."""
        return ctypes.addressof(self._table)

    def make(self) -> int:
        """Make them in this process; returns what the last one gave. OSError with its name at the first that fails."""
        result = 0
        for index, name in enumerate(self._names):
            start = _WORDS * index
            result = _libc.syscall(*[ctypes.c_long(word) for word in self._table[start : start + 7]])
            if result < 0:
                number = ctypes.get_errno()
                raise OSError(number, f"{name}: {os.strerror(number)}")
        return int(result)


class Spawner:
    """Makes calls, of which the last executes a program, in a new process; OSError where this machine cannot.

    A process that cannot make one of its calls exits with :data:`CANNOT`.
    """

    def __init__(self) -> None:
        if MACHINE != "x86_64":
            raise OSError(f"no instructions for {MACHINE}")
        # Private: a fork must not be able to change what this process executes.
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._memory = mmap.mmap(-1, mmap.PAGESIZE, private, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._memory.write(_SPAWN_X86_64)
        place = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._spawn = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(place)

    def spawn(self, calls: Calls) -> int:
        """Returns the new process's pid."""
        result = int(self._spawn(calls.address))
        if result < 0:
            raise OSError(-result, f"clone: {os.strerror(-result)}")
        return result
