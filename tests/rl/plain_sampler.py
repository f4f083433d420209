"""Sampling as it was first written, each draw from all problems anew: what faster ways must agree with, to the bit."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from perilune.recipe.training import SamplingConfig
from perilune.types import Problem

SLACK = 1e-9


class PlainSampler:
    """Gives (problem id, tracked success, probability, share allowed) of each draw."""

    def __init__(self, problems: Sequence[Problem], config: SamplingConfig, seed: int) -> None:
        self.problems, self.config, self.seed = problems, config, seed
        self.prior = np.array([config.prior_success if p.pass_rate is None else p.pass_rate for p in problems])
        self.success = self.prior.copy()
        self.seen = np.full(len(problems), -1)
        self.difficulty = np.array([math.nan if p.difficulty is None else p.difficulty for p in problems])
        self.stratum = np.zeros(len(problems), dtype=np.int64)
        if config.balance_tags:
            self.stratum = np.unique([p.tags[0] if p.tags else "" for p in problems], return_inverse=True)[1]

    def draw(self, iteration: int, count: int, busy: Collection[str] = ()) -> list[tuple[str, float, float, float]]:
        success, allowed = self.tracked(iteration), self.allowed(iteration)
        free = allowed & np.array([problem.id not in busy for problem in self.problems])
        probabilities = self.probabilities(success, free if free.any() else allowed)
        rng = np.random.default_rng([self.seed, iteration])
        candidates = np.flatnonzero(probabilities)
        positive = probabilities[candidates]
        if count > candidates.size:
            drawn = candidates[rng.choice(candidates.size, size=count, p=positive / positive.sum())]
        else:
            drawn = candidates[np.argsort(rng.exponential(size=candidates.size) / positive, kind="stable")[:count]]
        share = float(allowed.mean())
        return [(self.problems[i].id, float(success[i]), float(probabilities[i]), share) for i in drawn.tolist()]

    def observe(self, index: int, rate: float, iteration: int) -> None:
        decay = self.config.decay
        self.success[index] = (1.0 - decay) * float(self.tracked(iteration)[index]) + decay * rate
        self.seen[index] = iteration

    def tracked(self, iteration: int) -> np.ndarray:
        if self.config.half_life is None:
            return self.success
        weight = 0.5 ** (np.asarray(iteration - self.seen, dtype=np.float64) / self.config.half_life)
        return weight * self.success + (1.0 - weight) * self.prior

    def probabilities(self, success: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        present = np.unique(self.stratum[allowed])
        found = np.zeros(success.shape)
        for stratum in present:
            members = allowed & (self.stratum == stratum)
            weights = 1.0 - success[members] if self.config.strategy == "prioritized" else np.ones(members.sum())
            weights = weights if weights.any() else np.ones_like(weights)
            inside = weights / weights.sum() if self.config.strategy == "prioritized" else 1.0 / members.sum()
            found[members] = inside / present.size
        return found

    def allowed(self, iteration: int) -> np.ndarray:
        config, unknown = self.config, np.isnan(self.difficulty)
        known, everything = self.difficulty[~unknown], np.ones(self.difficulty.shape, dtype=np.bool_)
        staged = config.curriculum == "staged"
        if config.curriculum == "none" or not known.size or (staged and iteration < config.curriculum_iteration):
            return everything
        if config.hard_difficulty is not None:
            return self.allowed_bands(iteration, unknown)
        if staged:
            hard = known.size - self.count_of(config.hard_share, known.size)
            return unknown | (self.difficulty >= np.sort(known)[hard])
        share = 1.0 - config.hard_share * (1.0 - min(1.0, iteration / config.curriculum_iteration))
        return unknown | (self.difficulty <= np.sort(known)[self.count_of(share, known.size) - 1])

    def allowed_bands(self, iteration: int, unknown: np.ndarray) -> np.ndarray:
        config, hard = self.config, self.config.hard_difficulty
        assert hard is not None
        medium = hard if config.medium_difficulty is None else config.medium_difficulty
        band = (self.difficulty >= medium - SLACK).astype(int) + (self.difficulty >= hard - SLACK)
        if config.curriculum == "staged":
            return unknown | (band == band[~unknown].max())
        end = config.curriculum_iteration
        highest = 2 if iteration >= end else 0 if 2 * iteration < end else 1
        return unknown | (band <= max(highest, band[~unknown].min()))

    @staticmethod
    def count_of(share: float, size: int) -> int:
        return min(size, max(1, math.ceil(share * size - SLACK)))
