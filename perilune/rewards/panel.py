"""The rewards that judge a problem: one, or several whose scores are summed by weight; each within its bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, TypeVar

from perilune.errors import PeriluneError
from perilune.protocols import Explains, ReadsReferences, Reward
from perilune.recipe.reward_names import reward_parts
from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.limits import OverLimit, within
from perilune.rewards.router import BUILT_IN, build_reward
from perilune.types import Explanation, Grade, GradeRequest, Problem, Verdict

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    share: float
    reward: Reward


class Panel:
    """Built once in a worker, for all problems of one reward.

    Args:
        reward: as problems carry it: a name, or names and weights.
        config: the recipe's [rewards].

    Raises:
        RewardError: one of them does not exist, or cannot be imported.
    """

    def __init__(self, reward: str, config: RewardsConfig) -> None:
        self._config = config
        self._members = [_Member(p.name, p.share, build_reward(p.name, config)) for p in reward_parts(reward)]

    def answer(self, request: GradeRequest) -> Grade | Explanation:
        """What is asked for; whatever a reward raises is an error.

        Raises:
            OverLimit: a grading would take more than it may.
        """
        if request.ask == "reference":
            return self._reading(request.problem)
        if request.ask == "explanation":
            return self._explained(request)
        return self._grade(request)

    def _grade(self, request: GradeRequest) -> Grade:
        """The first decides what is right; an error of one is an error of all, for the sum would mean another thing."""
        grades = [self._one(member, request) for member in self._members]
        for member, grade in zip(self._members, grades, strict=True):
            if grade.verdict is Verdict.ERROR:
                return replace(grade, detail=self._told(member, grade.detail))
        if len(grades) == 1:
            return grades[0]
        parts = tuple((m.name, grade.score) for m, grade in zip(self._members, grades, strict=True))
        score = math.fsum(m.share * grade.score for m, grade in zip(self._members, grades, strict=True))
        return Grade(grades[0].verdict, min(1.0, score), grades[0].detail, parts)

    def _one(self, member: _Member, request: GradeRequest) -> Grade:
        def judge() -> object:
            return member.reward(request.problem, request.response, request.stop)

        try:
            return as_grade(self._bounded(member, judge))
        except OverLimit:
            raise
        except Exception as error:
            return failed(error)

    def _explained(self, request: GradeRequest) -> Grade | Explanation:
        """How the first came to its grade; the grade is that of all."""
        first, grade = self._members[0], self._grade(request)
        reward = first.reward
        if grade.verdict is Verdict.ERROR or not isinstance(reward, Explains):
            return grade
        try:
            found = self._bounded(first, lambda: reward.explain(request.problem, request.response, request.stop))
        except OverLimit:
            raise
        except Exception as error:
            return failed(error)
        if isinstance(found, Explanation):
            return replace(found, grade=grade)
        return Grade(Verdict.ERROR, 0.0, f"the reward's explain returned a {type(found).__name__}, not an Explanation")

    def _reading(self, problem: Problem) -> Grade:
        """Whether all can read the reference; a reward that does not say can read it."""
        for member in self._members:
            reward = member.reward
            if not isinstance(reward, ReadsReferences):
                continue
            try:
                self._bounded(member, lambda reward=reward: reward.check_reference(problem))  # type: ignore[misc]
            except OverLimit:
                raise
            except ValueError as error:
                return Grade(Verdict.WRONG, 0.0, self._told(member, str(error)))
            except Exception as error:
                return failed(error)
        return Grade(Verdict.RIGHT, 1.0)

    def _told(self, member: _Member, detail: str) -> str:
        return detail if len(self._members) == 1 else f"{member.name}: {detail}"

    def _bounded(self, member: _Member, work: Callable[[], Result]) -> Result:
        known = BUILT_IN.get(member.name)
        if known is not None and known.runs_programs:
            return work()
        return within(self._config.cpu_seconds, self._config.memory_mb, work)


def as_grade(found: Any) -> Grade:
    """What a reward returned as a grade: a number is a score, and right from 1 on; a bool is right or wrong."""
    grade = found if isinstance(found, Grade) else _from_number(found)
    if grade.verdict is not Verdict.ERROR and not 0.0 <= grade.score <= 1.0:
        return Grade(Verdict.ERROR, 0.0, f"the reward gave the score {grade.score}, which is not in [0, 1]")
    return grade


def _from_number(found: Any) -> Grade:
    if hasattr(found, "item"):  # Of numpy and torch.
        found = found.item()
    if not isinstance(found, Real):  # A bool is one, too.
        kind = type(found).__name__
        return Grade(Verdict.ERROR, 0.0, f"the reward returned a {kind}, not a number, a bool or a Grade")
    return Grade(Verdict.RIGHT if float(found) >= 1.0 else Verdict.WRONG, float(found))


def failed(error: Exception) -> Grade:
    """A failure as a grade."""
    if isinstance(error, PeriluneError):
        return Grade(Verdict.ERROR, 0.0, str(error))
    return Grade(Verdict.ERROR, 0.0, f"{type(error).__name__}: {error}")
