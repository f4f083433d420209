"""What became of each problem: the funnel's records, which every step of curation speaks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from perilune.types import Problem


class Reason(StrEnum):
    """Why a problem was dropped; these words stand in ``dropped.jsonl``."""

    MULTIPLE_CHOICE = "multiple_choice"
    """The answer is one of a few that the question lists."""
    TRUE_FALSE = "true_false"
    """The answer is yes or no, true or false, right or wrong."""
    PROOF = "proof"
    """A proof or derivation is asked for, which no reference answer can judge."""
    NO_ANSWER = "no_answer"
    """There is no reference answer."""
    UNVERIFIABLE = "unverifiable"
    """The reference answer does not pass its own reward."""
    DUPLICATE = "duplicate"
    """Another problem that is kept says the same."""
    CONTAMINATED = "contaminated"
    """It stands in an evaluation set."""
    GUESSABLE = "guessable"
    """The model guessed the answer without reasoning."""
    TRIVIAL = "trivial"
    """The model is right (nearly) always."""
    HOPELESS = "hopeless"
    """The model was never right."""
    UNGRADABLE = "ungradable"
    """The reward ended in errors, so there is no pass rate."""
    TOO_LONG = "too_long"
    """Its prompt does not fit."""
    OVER_QUOTA = "over_quota"
    """Its discipline has problems enough."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A problem that a step has taken out."""

    problem: Problem
    reason: Reason
    detail: str = ""
    """For people: what was found, in one line."""
    match: str = ""
    """What it was matched with: the id of the problem that stays, or '<evaluation set>: <id>'."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step of curation did."""

    name: str
    """As in ``curation.steps``."""
    entered: int
    """Problems that came in."""
    dropped: tuple[Dropped, ...]
    seconds: float
    note: str = ""
    """For people: what the step worked with ('5,000 samples, 1,200 of them from the cache')."""

    @property
    def kept(self) -> int:
        """Problems that went on."""
        return self.entered - len(self.dropped)
