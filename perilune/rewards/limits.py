"""The bounds of one grading, kept by its own process: processor time and memory.

Both count what the grading itself does: waiting costs no processor time, so neither a busy machine nor a slow service
takes a grading over its bounds.
"""

from __future__ import annotations

import contextlib
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from perilune.types import Grade, GradeRequest, Verdict

Result = TypeVar("Result")

_AGAIN_SECONDS = 0.2
"""Processor time until a grading that has swallowed its end is ended again."""
_GRACE_SECONDS = 1.0
"""Processor time that a grading may take to come to its end; then the kernel ends its process."""
OVER_TIME_SIGNAL = signal.SIGVTALRM
"""What a process dies of whose grading did not come to itself: one long step of a library, say."""


class OverLimit(Exception):
    """A grading was ended because it went over one of its bounds; the text says which."""


class _TimeIsUp(BaseException):
    """Raised within a grading; no ``except Exception`` of a reward or its libraries holds it up."""


def over_time(seconds: float) -> str:
    """What is said of a grading that took more processor time than this."""
    return f"grading took more than {seconds:g} s of processor time (rewards.cpu_seconds)"


def over_limit_grade(request: GradeRequest, reason: str) -> Grade:
    """The grade of a response that took too much: it is the model's text that does. In a trial it is the reward."""
    return Grade(Verdict.ERROR if request.ask == "trial" else Verdict.WRONG, 0.0, reason)


def within(seconds: float, memory_mb: int, work: Callable[[], Result]) -> Result:
    """Do some work within bounds, in the main thread of its process.

    Args:
        seconds: processor time, of all threads of this process.
        memory_mb: MiB beyond what the process holds now.
        work: is interrupted anywhere; what runs in other processes is not counted.

    Raises:
        OverLimit: it took more time, more memory, or went deeper than Python's recursion limit.
    """
    try:
        with _memory(memory_mb):
            return _timed(seconds, work)
    except _TimeIsUp:
        reason = over_time(seconds)
    except MemoryError:
        reason = f"grading needed more than {memory_mb} MiB of memory (rewards.memory_mb)"
    except RecursionError:
        reason = "grading went deeper than Python's recursion limit"
    # Only now: what the work held is let go of with its exception.
    raise OverLimit(reason)


def _timed(seconds: float, work: Callable[[], Result]) -> Result:
    armed = True

    def expire(number: int, frame: object) -> None:
        if armed:
            raise _TimeIsUp

    signal.signal(signal.SIGPROF, expire)
    signal.signal(OVER_TIME_SIGNAL, signal.SIG_DFL)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds + _GRACE_SECONDS)
        signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN_SECONDS)
        return work()
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)


@contextlib.contextmanager
def _memory(megabytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = held_bytes() + (megabytes << 20)
    # Not the address space: torch and CUDA reserve far more of it than they ever fill.
    resource.setrlimit(resource.RLIMIT_DATA, (_lowest(wanted, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _lowest(wanted: int, present: int) -> int:
    return wanted if present == resource.RLIM_INFINITY else min(wanted, present)


def held_bytes() -> int:
    """Private memory that this process may write to: what RLIMIT_DATA counts."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    return pages * resource.getpagesize()
