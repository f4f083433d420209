"""Whether rewards can read the reference answers of their problems: asked of the grading workers, before a run."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from perilune.recipe.reward_names import is_own
from perilune.rewards.pool import GradingPool
from perilune.types import GradeRequest, Problem, Verdict

_AT_ONCE = 256
"""Problems looked at before progress is told again."""


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
    asked: set[Hashable] = set()
    # What a million problems have is mostly readable, so that only the others are held.
    faults: dict[Hashable, str] = {}
    for start in range(0, len(problems), _AT_ONCE):
        part: dict[str, Hashable] = {}
        for place, problem in enumerate(problems[start : start + _AT_ONCE], start):
            key = _asking(problem)
            if key not in asked:
                asked.add(key)
                part[f"reference {place}"] = key
                grader.submit(GradeRequest(f"reference {place}", problem, "", ask="reference"))
        faults |= {part[name]: grade.detail for name, grade in grader.drain() if grade.verdict is not Verdict.RIGHT}
        progress(min(start + _AT_ONCE, len(problems)), len(problems))
    return [Unreadable(problem.id, faults[key]) for problem in problems if (key := _asking(problem)) in faults]


def _asking(problem: Problem) -> Hashable:
    """What the outcome depends on: of a user's own reward nobody knows what it looks at."""
    return problem.id if is_own(problem.reward) else (problem.reward, problem.answer)
