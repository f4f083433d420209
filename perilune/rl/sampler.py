"""Which problems an iteration draws, and why: curriculum, prioritised or uniform (k1.5, section 2.3.4)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

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
from perilune.run.observations import Observation
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
        self._stratum: NDArray[np.int64] | None = None
        if config.balance_tags:
            numbers: dict[str, int] = {}
            self._stratum = np.array([numbers.setdefault(_tag(problem), len(numbers)) for problem in problems])

    def __getitem__(self, problem_id: str) -> Problem:
        """The problem of an id."""
        return self._problems[self._place[problem_id]]

    def draw(self, iteration: int, count: int, busy: Collection[str] = ()) -> list[Draw]:
        """Draw ``count`` problems for an iteration, those in ``busy`` (problem ids) left out while others remain.

        The result depends on seed, iteration and success rates alone, so an interrupted iteration can be repeated.
        """
        success = self._tracked(slice(None), iteration)
        allowed = self._allowed(iteration)
        free = allowed.copy()
        free[[self._place[name] for name in busy if name in self._place]] = False
        # Few problems left: rather repeat one that is under way than leave the curriculum, or draw nothing.
        under_way = not free.any()
        prioritized = self._config.strategy == "prioritized"
        candidates = allowed if under_way else free
        probabilities = stratified_probabilities(success, candidates, prioritized, self._stratum)
        why = ", by tag" * self._config.balance_tags + ", under way" * under_way
        stage = curriculum_stage(iteration, self._config.curriculum, self._config.curriculum_iteration)
        share = float(allowed.mean())
        return [
            Draw(
                iteration=iteration,
                problem=self._problems[index].id,
                tag=_tag(self._problems[index]),
                band=self._band_of(index),
                difficulty=self._problems[index].difficulty,
                success=float(success[index]),
                probability=float(probabilities[index]),
                allowed=share,
                stage=stage,
                strategy=self._config.strategy + why,
            )
            for index in draw(probabilities, count, np.random.default_rng([self._seed, iteration])).tolist()
        ]

    def observe(self, problem_id: str, success_rate: float, iteration: int) -> Observation | None:
        """Take note of a group graded in an iteration: the share of its responses that were right.

        Returns:
            What is now known of the problem, for :meth:`restore`; None where it is none of the sampler's.
        """
        index = self._place.get(problem_id)
        if index is None:
            return None
        tracked = float(self._tracked(slice(index, index + 1), iteration)[0])
        observed = Observation(problem_id, updated_success(tracked, success_rate, self._config.decay), iteration)
        self.restore([observed])
        return observed

    def restore(self, observations: Iterable[Observation]) -> None:
        """Take back what was observed, the earlier iterations first; problems that are gone are forgotten."""
        for observed in observations:
            index = self._place.get(observed.problem)
            if index is not None:
                self._success[index], self._seen[index] = observed.success, observed.iteration

    def _tracked(self, places: slice, iteration: int) -> NDArray[np.float64]:
        """Success rates as they stand in an iteration; those never observed are at their prior anyway."""
        unseen = iteration - self._seen[places]
        return faded_success(self._success[places], self._prior[places], unseen, self._config.half_life)

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


def _tag(problem: Problem) -> str:
    return problem.tags[0] if problem.tags else ""
