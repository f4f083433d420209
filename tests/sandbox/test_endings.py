import signal
from dataclasses import replace

import pytest

from perilune.sandbox.endings import detail_of, ending_of
from perilune.sandbox.jobs import Result
from perilune.sandbox.programs import Ending, Limits

LIMITS = Limits(cpu_seconds=2, wall_seconds=5, memory_mb=100, output_bytes=1000, file_bytes=5000)
WELL = Result(0, None, None, 0.1, 0.2, 20 << 10, 0)


@pytest.mark.parametrize(
    ("result", "stdout", "stderr", "words", "ending"),
    [
        (WELL, 10, 0, b"", Ending.EXITED),
        (WELL, 1000, 1000, b"", Ending.EXITED),
        (WELL, 1001, 0, b"", Ending.OUTPUT),
        (WELL, 0, 1001, b"", Ending.OUTPUT),
        (replace(WELL, exit_code=None, signal=signal.SIGXFSZ), 1001, 0, b"", Ending.OUTPUT),
        (replace(WELL, stopped="memory"), 0, 0, b"", Ending.MEMORY),
        (replace(WELL, stopped="cpu"), 0, 0, b"", Ending.CPU_TIME),
        (replace(WELL, exit_code=None, signal=signal.SIGXCPU), 0, 0, b"", Ending.CPU_TIME),
        (replace(WELL, cpu_seconds=2.1), 0, 0, b"", Ending.CPU_TIME),
        (replace(WELL, stopped="wall"), 0, 0, b"", Ending.WALL_TIME),
        (replace(WELL, exit_code=1), 0, 0, b"...\nMemoryError\n", Ending.MEMORY),
        (replace(WELL, exit_code=1), 0, 0, b"MemoryError: no\n", Ending.MEMORY),
        (replace(WELL, exit_code=1), 0, 0, b"a MemoryError was caught\nValueError\n", Ending.EXITED),
        (replace(WELL, exit_code=None, signal=signal.SIGABRT), 0, 0, b"what(): std::bad_alloc\n", Ending.MEMORY),
        (replace(WELL, exit_code=None, signal=signal.SIGSEGV, peak_memory_kb=115 << 10), 0, 0, b"", Ending.MEMORY),
        (replace(WELL, exit_code=None, signal=signal.SIGSEGV), 0, 0, b"", Ending.KILLED),
        (replace(WELL, exit_code=3), 0, 0, b"", Ending.EXITED),
    ],
)
def test_endings(result: Result, stdout: int, stderr: int, words: bytes, ending: Ending) -> None:
    assert ending_of(result, stdout, stderr, words, LIMITS) is ending


def test_a_program_that_ended_well_cannot_have_failed_by_what_it_says() -> None:
    """And one that failed never looks as if it had not, whatever it writes."""
    assert ending_of(WELL, 0, 12, b"MemoryError\n", LIMITS) is Ending.EXITED
    assert ending_of(replace(WELL, exit_code=1), 0, 3, b"ok\n", LIMITS) is Ending.EXITED
    killed = replace(WELL, exit_code=None, signal=signal.SIGKILL)
    assert ending_of(killed, 0, 3, b"ok\n", LIMITS) is Ending.KILLED


@pytest.mark.parametrize(
    ("ending", "result", "detail"),
    [
        (Ending.OUTPUT, WELL, "wrote more than 1000 bytes to stdout or stderr"),
        (Ending.CPU_TIME, WELL, "took more than 2 s of CPU time"),
        (Ending.WALL_TIME, WELL, "took more than 5 s"),
        (Ending.MEMORY, WELL, "needed more than 100 MiB of memory"),
        (Ending.KILLED, replace(WELL, stopped="files"), "wrote files of more than 5000 bytes"),
        (Ending.KILLED, replace(WELL, signal=signal.SIGSYS), "made a system call of another machine's table"),
        (Ending.KILLED, replace(WELL, signal=signal.SIGSEGV), "ended by SIGSEGV"),
        (Ending.EXITED, WELL, ""),
    ],
)
def test_details(ending: Ending, result: Result, detail: str) -> None:
    assert detail_of(ending, result, LIMITS) == detail
