"""A run as it is seen from outside, of the kernel's word and the files that it wrote."""

from __future__ import annotations

from typing import Final

from perilune.sandbox.endings import detail_of, ending_of
from perilune.sandbox.jobs import Result
from perilune.sandbox.memory_files import read_from, size_of
from perilune.sandbox.programs import Ending, Limits, Run

_STDERR_END: Final = 4096


def seen(result: Result, stdout: int, stderr: int, limits: Limits) -> Run:
    """What a run came to; stdout and stderr are descriptors of what it wrote."""
    sizes = size_of(stdout), size_of(stderr)
    stderr_end = read_from(stderr, _STDERR_END, max(0, sizes[1] - _STDERR_END))
    ending = ending_of(result, *sizes, stderr_end, limits)
    return Run(
        ending=ending,
        exit_code=result.exit_code if ending is Ending.EXITED else None,
        signal=result.signal,
        stdout=read_from(stdout, limits.output_bytes),
        stderr=read_from(stderr, limits.output_bytes),
        cpu_seconds=result.cpu_seconds,
        wall_seconds=result.wall_seconds,
        peak_memory_mb=result.peak_memory_kb / 1024,
        detail=detail_of(ending, result, limits),
    )
