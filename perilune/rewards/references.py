"""Whether rewards can read the reference answers of their problems: asked of the grading workers, before a run."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from perilune.recipe.reward_names import is_own
from perilune.rewards.pool import GradingPool
from perilune.types import Grade, GradeRequest, Problem, Verdict

_AT_ONCE = 256
"""References asked about before progress is told again."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A problem that no response can be judged by."""

    id: str
    """The problem's."""
    why: str
    """What its reward says about the reference answer."""


def find_unreadable(
    problems: Sequence[Problem], grader: GradingPool, progress: Callable[[int, int], None]
) -> list[Unreadable]:
    """Problems whose reference answer their own reward cannot read, in the order of the problems.

    Equal answers are asked about once. A reward that says nothing about references
    (:class:`perilune.protocols.ReadsReferences`) reads all of them. A worker that dies of a reference, or takes longer
    than ``rewards.timeout_seconds``, has not read it.

    Args:
        problems: of unique ids.
        grader: has nothing else to grade meanwhile.
        progress: called with (problems asked about, problems in all).

    Raises:
        RewardError: a reward has an unknown name, or the workers cannot work.
    """
    askings: dict[Hashable, Problem] = {}
    for problem in problems:
        askings.setdefault(_asking(problem), problem)
    waiting, grades = list(askings), dict[Hashable, Grade]()
    for start in range(0, len(waiting), _AT_ONCE):
        part = {f"reference {start + number}": key for number, key in enumerate(waiting[start : start + _AT_ONCE])}
        for name, key in part.items():
            grader.submit(GradeRequest(name, askings[key], "", ask="reference"))
        grades |= {part[name]: grade for name, grade in grader.drain()}
        progress(len(problems) * len(grades) // len(waiting), len(problems))
    return [
        Unreadable(problem.id, grade.detail)
        for problem in problems
        if (grade := grades[_asking(problem)]).verdict is not Verdict.RIGHT
    ]


def _asking(problem: Problem) -> Hashable:
    """What the outcome depends on: of a user's own reward nobody knows what it looks at."""
    return problem.id if is_own(problem.reward) else (problem.reward, problem.answer)
