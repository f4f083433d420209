"""What a judge can say of a program."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from perilune.sandbox.programs import Ending, Run

_LONGEST_DETAIL = 200
OF_THE_TASK = "the task's "
"""What the detail of an infrastructure error begins with where it is the task that cannot be run."""


class Outcome(StrEnum):
    """What became of a program, or of one case."""

    ACCEPTED = "accepted"
    WRONG_ANSWER = "wrong answer"
    TIME_LIMIT = "time limit"
    MEMORY_LIMIT = "memory limit"
    OUTPUT_LIMIT = "output limit"
    RUNTIME_ERROR = "runtime error"
    COMPILE_ERROR = "compile error"
    INFRASTRUCTURE_ERROR = "infrastructure error"
    """Our fault or the task's, and never a verdict on the program."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case."""

    outcome: Outcome
    detail: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_memory_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a program."""

    outcome: Outcome
    detail: str = ""
    """One line for people: which case failed, and how."""
    cases: tuple[CaseResult, ...] = ()
    """Of the cases that were run, in order; empty for a function's task."""


_OF_ENDING = {
    Ending.CPU_TIME: Outcome.TIME_LIMIT,
    Ending.WALL_TIME: Outcome.TIME_LIMIT,
    Ending.MEMORY: Outcome.MEMORY_LIMIT,
    Ending.OUTPUT: Outcome.OUTPUT_LIMIT,
    Ending.KILLED: Outcome.RUNTIME_ERROR,
    Ending.INFRASTRUCTURE: Outcome.INFRASTRUCTURE_ERROR,
}


def outcome_of(run: Run) -> Outcome:
    """What a run's end alone says; accepted if it ended by itself with status 0."""
    if run.ending is not Ending.EXITED:
        return _OF_ENDING[run.ending]
    return Outcome.ACCEPTED if run.exit_code == 0 else Outcome.RUNTIME_ERROR


def told(run: Run) -> str:
    """How a run ended, in one line; the last line of its error output says most."""
    last = run.stderr.rstrip().rpartition(b"\n")[2].decode("utf-8", errors="backslashreplace")
    parts = [run.detail or ("" if run.ending is Ending.EXITED else run.ending.name.lower().replace("_", " ")), last]
    return one_line(": ".join(part for part in parts if part) or f"exit status {run.exit_code}")


def one_line(text: str) -> str:
    """Text from anywhere, as one short line."""
    return " ".join(text.split())[:_LONGEST_DETAIL]
