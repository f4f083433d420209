"""The words of the warm-up set (k1.5, section 2.2): a response, why it is no demonstration, and the set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from perilune.curation.behaviours import Behaviour
from perilune.recipe.curation import WarmupVariant
from perilune.types import Demonstration, Grade, Problem, Stop


class Rejection(StrEnum):
    """Why a response is no demonstration, in the order in which it is looked for; the words of ``rejected.jsonl``."""

    UNGRADABLE = "ungradable"
    """The reward ended in an error: it may be right."""
    CUT = "cut"
    """It reached the maximum length, or repeated itself."""
    WRONG = "wrong"
    """Its problem's own reward says so."""
    FALSE_STEP = "false_step"
    """The answer is right, but an equation of the path is false and not taken back."""
    NEXT_QUESTION = "next_question"
    """It goes on to another question."""
    LEAKED = "leaked"
    """It tells the story of a worked example, or of another problem."""
    FEW_BEHAVIOURS = "few_behaviours"
    """It shows fewer of the four behaviours than asked for."""
    DUPLICATE = "duplicate"
    """It says what another one says."""
    OVER_PER_PROBLEM = "over_per_problem"
    """Its problem has demonstrations enough."""
    OVER_COUNT = "over_count"
    """There are demonstrations enough."""


@dataclass(frozen=True, slots=True)
class WarmupResponse:
    """One graded response, and what it shows."""

    problem: Problem
    """As the recipe asks it, without examples and instruction."""
    variant: WarmupVariant
    sample: int
    text: str
    tokens: int
    """Response length in tokens, the end token included."""
    stop: Stop
    grade: Grade
    behaviours: frozenset[Behaviour]

    @property
    def name(self) -> str:
        """``<problem id>/<variant>/<sample>``."""
        return f"{self.problem.id}/{self.variant}/{self.sample}"

    @property
    def demonstration(self) -> Demonstration:
        """The plain problem with this response."""
        return Demonstration(self.problem, self.text)


@dataclass(frozen=True, slots=True)
class RejectedResponse:
    """A response that is no demonstration."""

    response: WarmupResponse
    reason: Rejection
    detail: str
    """For people: what was found, in one line."""


@dataclass(frozen=True, slots=True)
class WarmupCounts:
    """The funnel."""

    asked: int
    """Responses generated."""
    dropped: Mapping[Rejection, int]
    """Every reason, zeros included."""
    kept: int


@dataclass(frozen=True, slots=True)
class WarmupSet:
    """The demonstrations, every beginning of them spread over the behaviours, and the rest in the order asked."""

    kept: tuple[WarmupResponse, ...]
    rejected: tuple[RejectedResponse, ...]

    @property
    def counts(self) -> WarmupCounts:
        """How many were asked for, dropped and kept."""
        found = Counter(rejected.reason for rejected in self.rejected)
        dropped = {reason: found[reason] for reason in Rejection}
        return WarmupCounts(len(self.kept) + len(self.rejected), dropped, len(self.kept))
