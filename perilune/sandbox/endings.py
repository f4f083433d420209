"""From what the kernel says of a run to its ending.

A run that failed counts as ended by the memory limit where the sum over its processes went beyond it, or where one of
them came within a tenth of it, or where the last words on stderr are those of Python's MemoryError or C++'s bad_alloc.
A program can write those words itself, and so trade one failure for another; it can never look as if it had not failed.
"""

from __future__ import annotations

import re
import signal
from typing import Final

from perilune.sandbox.jobs import Result
from perilune.sandbox.programs import Ending, Limits

_LAST_WORDS: Final = 500
_OUT_OF_MEMORY: Final = re.compile(
    rb"(^|\n)MemoryError[^\n]*\n?$|std::bad_(array_new_length|alloc)|cannot allocate memory|virtual memory exhausted"
    rb"|out of memory allocating"
)
_NEAR_THE_LIMIT: Final = 0.9
_ZYGOTE_KB: Final = 16 << 10
"""About what every run starts with, and what the limit does not count."""


def ending_of(  # noqa: PLR0911
    result: Result, stdout_bytes: int, stderr_bytes: int, stderr_end: bytes, limits: Limits
) -> Ending:
    """Why a run ended.

    Args:
        result: the kernel's word.
        stdout_bytes: how long stdout is.
        stderr_bytes: how long stderr is.
        stderr_end: its last bytes.
        limits: of the run.
    """
    if max(stdout_bytes, stderr_bytes) > limits.output_bytes:
        return Ending.OUTPUT
    if result.stopped == "memory":
        return Ending.MEMORY
    if result.stopped == "cpu" or result.signal == signal.SIGXCPU or result.cpu_seconds > limits.cpu_seconds:
        return Ending.CPU_TIME
    if result.stopped == "wall":
        return Ending.WALL_TIME
    if result.exit_code == 0:
        return Ending.EXITED
    near = result.peak_memory_kb - _ZYGOTE_KB > _NEAR_THE_LIMIT * limits.memory_mb * 1024
    if near or _OUT_OF_MEMORY.search(stderr_end[-_LAST_WORDS:]):
        return Ending.MEMORY
    return Ending.KILLED if result.signal is not None else Ending.EXITED


def detail_of(ending: Ending, result: Result, limits: Limits) -> str:
    """A sentence for people."""
    limit = {
        Ending.OUTPUT: f"wrote more than {limits.output_bytes} bytes to stdout or stderr",
        Ending.CPU_TIME: f"took more than {limits.cpu_seconds:g} s of CPU time",
        Ending.WALL_TIME: f"took more than {limits.wall_seconds:g} s",
        Ending.MEMORY: f"needed more than {limits.memory_mb} MiB of memory",
    }.get(ending)
    if limit is not None:
        return limit
    if result.stopped == "files" or result.signal == signal.SIGXFSZ:
        return f"wrote files of more than {limits.file_bytes} bytes"
    if result.signal == signal.SIGSYS:
        return "made a system call of another machine's table"
    return "" if result.signal is None else f"ended by {signal.Signals(result.signal).name}"
