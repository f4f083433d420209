"""Special judges: for problems with more than one right answer, a program decides, in the sandbox like any other.

It reads from standard input one line with three whole numbers, the sizes in bytes of what follows: the case's input,
the program's output, the case's expected output. It must exit with status 0 and print, as its first line, ``accepted``
or ``wrong``, with a reason after it if it likes. Whatever else it does is an error of the task, not a wrong answer:
a judge that crashes on a strange output has said nothing about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perilune.sandbox.programs import Ending, Limits, Program, Run
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import Case, Checker


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a special judge said of one output."""

    accepted: bool | None
    """None where it said nothing that counts."""
    detail: str = ""


def ask_special_judge(
    sandbox: Sandbox, checker: Checker, asked: Sequence[tuple[Case, bytes]], limits: Limits, total_seconds: float
) -> list[Opinion]:
    """One opinion for each (case, what the program printed); none that counts where the time is up."""
    if not asked:
        return []
    spent = 0.0

    def time_is_up(run: Run) -> bool:
        nonlocal spent
        spent += run.wall_seconds
        return spent > total_seconds

    inputs = [_question(case, printed) for case, printed in asked]
    submission = sandbox.run(Program(checker.language, checker.program), inputs, limits, time_is_up)
    opinions = [_opinion(run) for run in submission.runs]
    reason = "the special judge took too long" if submission.compiled else "the special judge does not compile"
    return opinions + [Opinion(None, reason)] * (len(asked) - len(opinions))


def _question(case: Case, printed: bytes) -> bytes:
    given = case.input.encode("utf-8", errors="surrogateescape")
    expected = case.output.encode("utf-8", errors="surrogateescape")
    sizes = f"{len(given)} {len(printed)} {len(expected)}\n".encode()
    return sizes + given + printed + expected


def _opinion(run: Run) -> Opinion:
    word, _, reason = run.stdout.partition(b"\n")[0].decode("utf-8", errors="replace").strip().partition(" ")
    if run.ending is not Ending.EXITED or run.exit_code != 0:
        last = run.stderr.rstrip().rpartition(b"\n")[2].decode("utf-8", errors="replace")
        return Opinion(None, f"the special judge failed: {run.ending.value}, {last or run.detail}")
    if word not in {"accepted", "wrong"}:
        return Opinion(None, f"the special judge said {word[:20]!r} and neither accepted nor wrong")
    return Opinion(word == "accepted", reason.strip() or f"the special judge says {word}")
