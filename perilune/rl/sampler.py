"""Which problems an iteration draws, and why: curriculum, prioritised or uniform (k1.5, section 2.3.4)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perilune.algorithm.sampling import (
    BANDS,
    UNKNOWN,
    Band,
    band_mask,
    bands,
    curriculum_mask,
    curriculum_stage,
    draw,
    faded_success,
    stratified_probabilities,
    updated_success,
)
from perilune.errors import ProblemsError
from perilune.recipe.training import SamplingConfig
from perilune.types import Problem


@dataclass(frozen=True, slots=True)
class Draw:
    """A problem that was drawn, and why."""

    iteration: int
    """Counts from 0."""
    problem: str
    """Its id."""
    tag: str
    """Its first tag; '' if it has none."""
    band: Band | None
    """None where the recipe tells no bands."""
    difficulty: float | None
    success: float
    """Tracked success rate at the draw."""
    probability: float
    """Of this problem at the iteration's first draw; later draws leave out what was drawn before."""
    allowed: float
    """Share of all problems that the curriculum lets in."""
    stage: str
    """How far the curriculum is: all, easy, medium, hard."""
    strategy: str
    """uniform or prioritized; 'by tag' and 'under way' (no other problem was free) are said with it."""


class ProblemSampler:
    """Draws problems and tracks how often each is solved."""

    def __init__(self, problems: Sequence[Problem], config: SamplingConfig, seed: int):
        """Start with every problem's prior: the pass rate that curation measured, else the recipe's prior success.

        Raises:
            ProblemsError: there are no problems.
        """
        if not problems:
            raise ProblemsError("there are no training problems to draw from; check problems.train and its filters")
        self._problems = problems
        self._config = config
        self._seed = seed
        self._place = {problem.id: index for index, problem in enumerate(problems)}
        self._prior = np.array([config.prior_success if p.pass_rate is None else p.pass_rate for p in problems])
        self._success = self._prior.copy()
        self._seen = np.full(len(problems), -1)
        self._difficulty = np.array([math.nan if p.difficulty is None else p.difficulty for p in problems])
        hard = config.hard_difficulty
        self._band = None if hard is None else bands(self._difficulty, config.medium_difficulty, hard)
        self._tags = [problem.tags[0] if problem.tags else "" for problem in problems]
        self._stratum = np.unique(self._tags, return_inverse=True)[1] if config.balance_tags else None

    def __getitem__(self, problem_id: str) -> Problem:
        """The problem of an id."""
        return self._problems[self._place[problem_id]]

    def draw(self, iteration: int, count: int, busy: Collection[str] = ()) -> list[Draw]:
        """Draw ``count`` problems for an iteration, those in ``busy`` (problem ids) left out while others remain.

        The result depends on seed, iteration and success rates alone, so an interrupted iteration can be repeated.
        """
        success = self._tracked(iteration)
        allowed = self._allowed(iteration)
        free = allowed & np.array([problem.id not in busy for problem in self._problems])
        # Few problems left: rather repeat one that is under way than leave the curriculum, or draw nothing.
        candidates = free if free.any() else allowed
        prioritized = self._config.strategy == "prioritized"
        probabilities = stratified_probabilities(success, candidates, prioritized, self._stratum)
        why = ", by tag" * self._config.balance_tags + ", under way" * (not free.any())
        stage = curriculum_stage(iteration, self._config.curriculum, self._config.curriculum_iteration)
        return [
            Draw(
                iteration=iteration,
                problem=self._problems[index].id,
                tag=self._tags[index],
                band=self._band_of(index),
                difficulty=self._problems[index].difficulty,
                success=float(success[index]),
                probability=float(probabilities[index]),
                allowed=float(allowed.mean()),
                stage=stage,
                strategy=self._config.strategy + why,
            )
            for index in draw(probabilities, count, np.random.default_rng([self._seed, iteration])).tolist()
        ]

    def observe(self, problem_id: str, success_rate: float, iteration: int) -> None:
        """Take note of a group graded in an iteration: the share of its responses that were right."""
        index = self._place.get(problem_id)
        if index is not None:
            tracked = float(self._tracked(iteration)[index])
            self._success[index] = updated_success(tracked, success_rate, self._config.decay)
            self._seen[index] = iteration

    def state(self) -> dict[str, list[float]]:
        """[success rate, iteration] of each problem's last observation, by problem id."""
        found = zip(self._problems, self._success.tolist(), self._seen.tolist(), strict=True)
        return {problem.id: [success, seen] for problem, success, seen in found if seen >= 0}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` gave; problems that are gone are forgotten.

        A bare rate, as earlier versions kept it, counts as observed in iteration 0.
        """
        for problem_id, kept in state.items():
            if problem_id in self._place:
                success, seen = kept if isinstance(kept, list | tuple) else (kept, 0)
                index = self._place[problem_id]
                self._success[index], self._seen[index] = float(success), int(seen)

    def _tracked(self, iteration: int) -> NDArray[np.float64]:
        """Success rates as they stand in an iteration; those never observed are at their prior anyway."""
        return faded_success(self._success, self._prior, iteration - self._seen, self._config.half_life)

    def _allowed(self, iteration: int) -> NDArray[np.bool_]:
        """What the curriculum lets in; at least one problem."""
        config = self._config
        if self._band is not None:
            return band_mask(self._band, iteration, config.curriculum, config.curriculum_iteration)
        return curriculum_mask(
            self._difficulty, iteration, config.curriculum, config.curriculum_iteration, config.hard_share
        )

    def _band_of(self, index: int) -> Band | None:
        if self._band is None:
            return None
        place = int(self._band[index])
        return "unknown" if place == UNKNOWN else BANDS[place]
