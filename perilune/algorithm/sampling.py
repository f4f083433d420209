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
Band = Literal["easy", "medium", "hard", "unknown"]

BANDS: tuple[Band, ...] = ("easy", "medium", "hard")
"""From easy to hard; a problem without a difficulty is in none of them."""
UNKNOWN = -1
"""Place of such a problem."""

_SLACK = 1e-9
"""1 - 0.3 and 0.7 are one difficulty, 0.1 x 30 and 3 one share."""
_LOOKED_AT = 1 << 14
"""So many of the problems tell roughly how early the first ones finish."""


def prioritized_probabilities(success_N: ArrayLike) -> NDArray[np.float64]:
    """P(i) proportional to 1 - s_i, [N] (section 2.3.4); uniform where every problem is solved.

    Args:
        success_N: tracked success rates in [0, 1]; of several pools of one size, [pools, N], each for itself.

    Raises:
        ValueError: a rate lies outside [0, 1].
    """
    success = np.asarray(success_N, dtype=np.float64)
    if not np.all((success >= 0) & (success <= 1)):
        raise ValueError("success rates must lie in [0, 1]")
    weights = 1.0 - success
    weights[~weights.any(axis=-1)] = 1.0
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float64)


def stratified_probabilities(
    success_N: ArrayLike, allowed_N: ArrayLike, prioritized: bool, stratum_N: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The probability of each problem at each draw, [N]; they sum to 1, and those not allowed have 0.

    Every stratum in which a problem is allowed has the same total, whatever its count; within it, problems are
    uniform or prioritised.

    Args:
        success_N: tracked success rates in [0, 1].
        allowed_N: which problems may be drawn; at least one.
        prioritized: by :func:`prioritized_probabilities`, else uniform.
        stratum_N: number of each problem's stratum; by default all are in one.

    Raises:
        ValueError: a rate lies outside [0, 1], or no problem is allowed.
    """
    success, allowed = np.asarray(success_N, dtype=np.float64), np.asarray(allowed_N, dtype=np.bool_)
    if not allowed.any():
        raise ValueError("no problem is allowed")
    probabilities = np.zeros(success.shape, dtype=np.float64)
    if stratum_N is None:
        probabilities[allowed] = _within(success[allowed], prioritized)
        return probabilities
    pools, present = _pools(np.asarray(stratum_N, dtype=np.int64), allowed)
    for pool in pools:
        probabilities[pool] = _within(success[pool], prioritized) / present
    return probabilities


def _within(success_N: NDArray[np.float64], prioritized: bool) -> NDArray[np.float64]:
    """Probabilities within each stratum, of the shape of what is given."""
    if prioritized:
        return prioritized_probabilities(success_N)
    return np.full(success_N.shape, 1.0 / success_N.shape[-1])


def _pools(stratum_N: NDArray[np.int64], allowed_N: NDArray[np.bool_]) -> tuple[list[NDArray[np.int64]], int]:
    """The allowed places of each stratum, those of strata of equal size in one array, [strata, size]; how many strata.

    Strata may be as many as problems; there are never more sizes than the square root of twice their number.
    """
    places = np.flatnonzero(allowed_N)
    # Numbers of 16 bits are sorted in linear time.
    small = stratum_N - stratum_N.min()
    small = small.astype(np.min_scalar_type(int(small.max())))
    places = places[np.argsort(small[places], kind="stable")]
    starts = np.flatnonzero(np.diff(small[places], prepend=small[places[:1]] + 1))
    sizes = np.diff(starts, append=places.size)
    by_size = np.argsort(sizes, kind="stable")
    pools = []
    for of_a_size in np.split(by_size, np.flatnonzero(np.diff(sizes[by_size])) + 1):
        pools.append(places[starts[of_a_size][:, None] + np.arange(sizes[of_a_size[0]])])
    return pools, starts.size


def bands(difficulty_N: ArrayLike, medium_difficulty: float | None, hard_difficulty: float) -> NDArray[np.int64]:
    """Place of each problem's band in :data:`BANDS`, [N]; :data:`UNKNOWN` where the difficulty is NaN.

    Args:
        difficulty_N: larger is harder.
        medium_difficulty: least difficulty of the medium band; None: there is none, what is not hard is easy.
        hard_difficulty: least difficulty of the hard band.
    """
    difficulty = np.asarray(difficulty_N, dtype=np.float64)
    medium = hard_difficulty if medium_difficulty is None else medium_difficulty
    place = (difficulty >= medium - _SLACK).astype(np.int64) + (difficulty >= hard_difficulty - _SLACK)
    return np.where(np.isnan(difficulty), UNKNOWN, place).astype(np.int64)


def band_mask(
    band_N: ArrayLike, iteration: int, curriculum: Curriculum, curriculum_iteration: int
) -> NDArray[np.bool_]:
    """Which problems may be drawn in this iteration, by bands, [N] (section 2.3.4 and its ablation).

    none: all. staged: all before ``curriculum_iteration``, from then on the hard band. gradual: the easy band first,
    the medium one too from half of ``curriculum_iteration``, the hard one too from all of it. Where a band is empty,
    the nearest one takes its place: staged draws the hardest that there are, gradual begins with the easiest. A
    problem without a difficulty is always in.

    Args:
        band_N: of :func:`bands`.
        iteration: counts from 0.
        curriculum: which of the three.
        curriculum_iteration: at least 1.
    """
    band = np.asarray(band_N, dtype=np.int64)
    known = band[band != UNKNOWN]
    stage = curriculum_stage(iteration, curriculum, curriculum_iteration)
    if stage == "all" or known.size == 0:
        return np.ones(band.shape, dtype=np.bool_)
    if curriculum == "staged":
        return np.asarray((band == UNKNOWN) | (band == known.max()), dtype=np.bool_)
    return np.asarray(band <= max(BANDS.index(stage), int(known.min())), dtype=np.bool_)


def curriculum_stage(
    iteration: int, curriculum: Curriculum, curriculum_iteration: int
) -> Literal["all", "easy", "medium", "hard"]:
    """How far the curriculum is: all; hard, of staged: the hard ones alone; easy or medium, of gradual: up to these.

    Args:
        iteration: counts from 0.
        curriculum: which of the three.
        curriculum_iteration: at least 1.
    """
    if curriculum == "none":
        return "all"
    if curriculum == "staged":
        return "all" if iteration < curriculum_iteration else "hard"
    if iteration >= curriculum_iteration:
        return "all"
    return "easy" if 2 * iteration < curriculum_iteration else "medium"


def curriculum_mask(
    difficulty_N: ArrayLike,
    iteration: int,
    curriculum: Curriculum,
    curriculum_iteration: int,
    hard_share: float,
) -> NDArray[np.bool_]:
    """Which problems may be drawn in this iteration, by shares, [N] (section 2.3.4 and its ablation).

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
        easiest_hard = _smallest(known, known.size - _count_of(hard_share, known.size))
        return np.asarray(unknown | (difficulty >= easiest_hard), dtype=np.bool_)
    if curriculum == "gradual":
        progress = min(1.0, iteration / curriculum_iteration)
        share = 1.0 - hard_share * (1.0 - progress)
        hardest_in = _smallest(known, _count_of(share, known.size) - 1)
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
    # The last of the first few cannot finish before the last of as many among some of them.
    some = finish[:: max(1, finish.size // max(count, _LOOKED_AT))]
    early = np.flatnonzero(finish <= _smallest(some, count - 1))
    return candidates[early[np.argsort(finish[early], kind="stable")[:count]]]


def updated_success(old: float, group_rate: float, decay: float) -> float:
    """The tracked success rate after one more group: an exponential moving average.

    Args:
        old: rate so far, in [0, 1].
        group_rate: share of right responses in the new group.
        decay: weight of the new group, in [0, 1].
    """
    return (1.0 - decay) * old + decay * group_rate


def faded_success(
    success_N: ArrayLike, prior_N: ArrayLike, unseen_N: ArrayLike, half_life: float | None
) -> NDArray[np.float64]:
    """Tracked success rates that fade to their priors while a problem is not seen, [N].

    What a rate differs from its prior by is halved in each ``half_life``, so that a problem once solved is tried
    again: the policy may have lost it since.

    Args:
        success_N: rates as last observed, in [0, 1].
        prior_N: what they fade to, in [0, 1].
        unseen_N: iterations since they were observed, at least 0.
        half_life: in iterations; None: they do not fade.
    """
    success, prior = np.asarray(success_N, dtype=np.float64), np.asarray(prior_N, dtype=np.float64)
    if half_life is None:
        return success
    weight = 0.5 ** (np.asarray(unseen_N, dtype=np.float64) / half_life)
    return np.asarray(weight * success + (1.0 - weight) * prior, dtype=np.float64)


def _smallest(values_N: NDArray[np.float64], place: int) -> float:
    """What stands at a place, from 0, when they are sorted."""
    return float(np.partition(values_N, place)[place])


def _count_of(share: float, size: int) -> int:
    # The tolerance keeps 0.1 x 30 = 3.0000000000000004 from being rounded up to 4.
    return min(size, max(1, math.ceil(share * size - _SLACK)))
