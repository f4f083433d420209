"""Which problems an iteration draws: curriculum, prioritised or uniform (k1.5, section 2.3.4)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from perilune.algorithm.sampling import curriculum_mask, draw, prioritized_probabilities, updated_success
from perilune.config import SamplingConfig
from perilune.errors import ProblemsError
from perilune.types import Problem


class ProblemSampler:
    """Draws problems and tracks how often each is solved."""

    def __init__(self, problems: Sequence[Problem], config: SamplingConfig, seed: int):
        """Start with the prior success rate for every problem.

        Raises:
            ProblemsError: there are no problems.
        """
        if not problems:
            raise ProblemsError("there are no training problems to draw from; check problems.train and its filters")
        self._problems = problems
        self._config = config
        self._seed = seed
        self._place = {problem.id: index for index, problem in enumerate(problems)}
        self._success = np.full(len(problems), config.prior_success)
        self._difficulty = np.array([math.nan if p.difficulty is None else p.difficulty for p in problems])

    def draw(self, iteration: int, count: int, busy: Collection[str] = ()) -> list[Problem]:
        """Draw ``count`` problems for an iteration, those in ``busy`` (problem ids) left out while others remain.

        The result depends on seed, iteration and success rates alone, so an interrupted iteration can be repeated.
        """
        config = self._config
        probabilities = np.full(len(self._problems), 1.0)
        if config.strategy == "prioritized":
            probabilities = prioritized_probabilities(self._success)
        allowed = curriculum_mask(
            self._difficulty, iteration, config.curriculum, config.curriculum_iteration, config.hard_share
        )
        free = allowed & np.array([problem.id not in busy for problem in self._problems])
        # Few problems left: rather repeat one that is under way, or leave the curriculum, than draw nothing.
        for mask in (free, allowed, np.ones_like(allowed)):
            weights = np.where(mask, probabilities, 0.0)
            if weights.any():
                break
        rng = np.random.default_rng([self._seed, iteration])
        return [self._problems[index] for index in draw(weights, count, rng)]

    def observe(self, problem_id: str, success_rate: float) -> None:
        """Take note of a graded group: the share of its responses that were right."""
        index = self._place.get(problem_id)
        if index is not None:
            self._success[index] = updated_success(float(self._success[index]), success_rate, self._config.decay)

    def state(self) -> dict[str, float]:
        """Success rates that left the prior, by problem id."""
        prior = self._config.prior_success
        return {p.id: float(s) for p, s in zip(self._problems, self._success, strict=True) if s != prior}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` gave; problems that are gone are forgotten."""
        for problem_id, success in state.items():
            if problem_id in self._place:
                self._success[self._place[problem_id]] = float(success)
