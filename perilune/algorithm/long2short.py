"""What k1.5's long2short chooses from several responses to one problem (section 2.4), and where its RL phase starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Candidate:
    """One graded response to a problem."""

    index: int
    """Sample number."""
    tokens: int
    """Response length in tokens."""
    right: bool
    ended: bool = True
    """The model ended it itself; False if it was stopped for its length or for repeating itself."""


def shortest_right(candidates: Sequence[Candidate]) -> Candidate | None:
    """The shortest right response (shortest rejection sampling); of equals the first sample. None if none is right.

    A response that was stopped is not chosen: it would teach no end.
    """
    right = [candidate for candidate in candidates if candidate.right and candidate.ended]
    return min(right, key=lambda candidate: (candidate.tokens, candidate.index), default=None)


def rejected(candidates: Sequence[Candidate], chosen: Candidate, longer: float) -> list[Candidate]:
    """What the chosen response is preferred to: longer wrong ones, and right ones more than ``longer`` times as long.

    Args:
        candidates: the graded responses; gradings that ended in an error are not among them.
        chosen: the shortest right one.
        longer: k1.5's 1.5; a right response of exactly that many times the length is not rejected.

    Returns:
        The longest first; of equals the first sample.
    """
    found = [
        candidate
        for candidate in candidates
        if candidate.tokens > (chosen.tokens * longer if candidate.right else chosen.tokens)
    ]
    return sorted(found, key=lambda candidate: (-candidate.tokens, candidate.index))


def preference_pairs(
    candidates: Sequence[Candidate], *, longer: float = 1.5, most: int | None = None
) -> list[tuple[Candidate, Candidate]]:
    """(chosen, rejected) for DPO; none if no response is right, or none is longer as :func:`rejected` says.

    Args:
        candidates: all graded responses to one problem.
        longer: see :func:`rejected`.
        most: at most so many pairs, the longest rejected responses first.
    """
    chosen = shortest_right(candidates)
    if chosen is None:
        return []
    return [(chosen, other) for other in rejected(candidates, chosen, longer)[:most]]


@dataclass(frozen=True, slots=True)
class Balance:
    """How right and how long a model's answers are."""

    accuracy: float
    """In [0, 1]."""
    mean_tokens: float


Rule = Literal["shortest_within", "balance", "most_accurate"]


def best_balanced(models: Mapping[str, Balance], rule: Rule, *, tolerance: float = 0.02, price: float = 0.2) -> str:
    """The model from which the second RL phase starts: "the best balance between performance and token efficiency".

    k1.5 does not publish its rule. Ours, of equals always the first named:

    * shortest_within: the fewest tokens among the models at most ``tolerance`` below the best accuracy;
    * balance: the largest accuracy - price × tokens / tokens of the longest model;
    * most_accurate: the largest accuracy, of equals the fewest tokens.

    Raises:
        ValueError: there are no models.
    """
    if not models:
        raise ValueError("no models to choose from")
    best = max(found.accuracy for found in models.values())
    longest = max(found.mean_tokens for found in models.values()) or 1.0
    names = list(models)
    if rule == "shortest_within":
        names = [name for name in names if models[name].accuracy >= best - tolerance - 1e-9]
        return min(names, key=lambda name: models[name].mean_tokens)
    if rule == "balance":
        return max(names, key=lambda name: models[name].accuracy - price * models[name].mean_tokens / longest)
    return max(names, key=lambda name: (models[name].accuracy, -models[name].mean_tokens))
