"""Which problems are drawn: curriculum and prioritised sampling (k1.5, section 2.3.4).

Axis: N, the problems of the pool.
"""
# ruff: noqa: N803

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Curriculum = Literal["none", "staged", "gradual"]


def prioritized_probabilities(success_N: ArrayLike) -> NDArray[np.float64]:
    """P(i) proportional to 1 - s_i, [N] (section 2.3.4); uniform where every problem is solved.

    Args:
        success_N: tracked success rates in [0, 1].

    Raises:
        ValueError: a rate lies outside [0, 1].
    """
    success = np.asarray(success_N, dtype=np.float64)
    if not np.all((success >= 0) & (success <= 1)):
        raise ValueError("success rates must lie in [0, 1]")
    weights = 1.0 - success
    if not weights.any():
        weights = np.ones_like(success)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def curriculum_mask(
    difficulty_N: ArrayLike,
    iteration: int,
    curriculum: Curriculum,
    curriculum_iteration: int,
    hard_share: float,
) -> NDArray[np.bool_]:
    """Which problems may be drawn in this iteration, [N] (section 2.3.4 and its ablation).

    none: all. staged: all before ``curriculum_iteration``, from then on the hardest ``hard_share``. gradual: at
    first all but the hardest ``hard_share``, which enter in order of difficulty at an even pace until
    ``curriculum_iteration``, when all are in. Shares are rounded up to whole problems, at least one; problems of
    equal difficulty enter together.

    A problem without a difficulty (NaN) cannot be ordered and is always in; shares are of those that have one.

    Args:
        difficulty_N: larger is harder; NaN where unknown.
        iteration: counts from 0.
        curriculum: which of the three.
        curriculum_iteration: at least 1.
        hard_share: in [0, 1].
    """
    difficulty = np.asarray(difficulty_N, dtype=np.float64)
    unknown: NDArray[np.bool_] = np.isnan(difficulty)
    known = difficulty[~unknown]
    everything = np.ones(difficulty.shape, dtype=np.bool_)
    if curriculum == "none" or known.size == 0:
        return everything
    if curriculum == "staged":
        if iteration < curriculum_iteration:
            return everything
        easiest_hard = np.sort(known)[-_count_of(hard_share, known.size)]
        return np.asarray(unknown | (difficulty >= easiest_hard), dtype=np.bool_)
    if curriculum == "gradual":
        progress = min(1.0, iteration / curriculum_iteration)
        share = 1.0 - hard_share * (1.0 - progress)
        hardest_in = np.sort(known)[_count_of(share, known.size) - 1]
        return np.asarray(unknown | (difficulty <= hardest_in), dtype=np.bool_)
    raise ValueError(f"curriculum must be 'none', 'staged' or 'gradual', got {curriculum!r}")


def draw(probabilities_N: ArrayLike, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``count`` indices drawn one after another in proportion to ``probabilities_N``, [count].

    Without replacement, unless ``count`` exceeds the number of problems with positive probability: then with.
    The probabilities need not sum to one; a problem of probability 0 is never drawn.

    Raises:
        ValueError: a probability is negative or not finite, or none is positive while some are to be drawn.
    """
    weights = np.asarray(probabilities_N, dtype=np.float64)
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise ValueError("probabilities must be finite and not negative")
    candidates = np.flatnonzero(weights)
    if count == 0:
        return np.empty(0, dtype=np.int64)
    if candidates.size == 0:
        raise ValueError(f"cannot draw {count} problems: none has a positive probability")
    positive = weights[candidates]
    if count > candidates.size:
        return candidates[rng.choice(candidates.size, size=count, p=positive / positive.sum())]
    # A race of exponential clocks with these rates finishes in the order of successive draws without replacement.
    finish = rng.exponential(size=candidates.size) / positive
    return candidates[np.argsort(finish, kind="stable")[:count]]


def updated_success(old: float, group_rate: float, decay: float) -> float:
    """The tracked success rate after one more group: an exponential moving average.

    Args:
        old: rate so far, in [0, 1].
        group_rate: share of right responses in the new group.
        decay: weight of the new group, in [0, 1].
    """
    return (1.0 - decay) * old + decay * group_rate


def _count_of(share: float, size: int) -> int:
    # The tolerance keeps 0.1 x 30 = 3.0000000000000004 from being rounded up to 4.
    return min(size, max(1, math.ceil(share * size - 1e-9)))
