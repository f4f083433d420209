"""Rewards of one group to advantages: baselines, the length reward, and those of the compared methods.

Axis: G, the k trajectories of one group. All arrays are float64 unless said otherwise.
"""
# ruff: noqa: N803

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Baseline = Literal["mean", "log_partition"]


def mean_baseline(rewards_G: ArrayLike) -> float:
    """The mean reward of the group, k1.5's practical stand-in for tau log Z (section 2.3.2).

    Kept within [min, max] of the rewards, which rounding may leave, so that a flat group has advantages of exactly 0.
    """
    rewards = _group(rewards_G)
    return float(np.clip(rewards.mean(), rewards.min(), rewards.max()))


def log_partition_baseline(rewards_G: ArrayLike, tau: float) -> float:
    """The estimate of tau log Z from k samples: tau log (1/k) sum_j exp(r_j / tau) (k1.5, section 2.3.2).

    Computed relative to the largest reward, so that a small tau does not overflow; for tau to infinity it
    tends to the mean reward, for tau to 0 to the largest.

    Raises:
        ValueError: tau is not positive, or the group is empty.
    """
    if not tau > 0:
        raise ValueError(f"tau must be positive, got {tau}")
    rewards = _group(rewards_G)
    largest = rewards.max()
    return float(largest + tau * np.log1p(np.expm1((rewards - largest) / tau).mean()))


def advantages(rewards_G: ArrayLike, baseline: Baseline, tau: float) -> Floats:
    """Reward minus baseline, [G] (k1.5, eq. 3). ``tau`` is used by the log-partition baseline alone."""
    rewards = _group(rewards_G)
    if baseline == "mean":
        return rewards - mean_baseline(rewards)
    if baseline == "log_partition":
        return rewards - log_partition_baseline(rewards, tau)
    raise ValueError(f"baseline must be 'mean' or 'log_partition', got {baseline!r}")


def rest_advantages(rewards_G: ArrayLike, right_G: ArrayLike, lengths_G: ArrayLike) -> Floats:
    """1 for the best right response and 0 for the others, [G]: ReST as k1.5 compares it (fit the best sample).

    The best has the highest reward; of equals the shortest (tokens), then the first. All 0 if none is right.
    """
    rewards = _group(rewards_G)
    right = _like(rewards, right_G, "right_G").astype(bool)
    lengths = _like(rewards, lengths_G, "lengths_G")
    chosen = np.zeros_like(rewards)
    if right.any():
        order = np.lexsort((np.arange(rewards.size), lengths, -rewards, ~right))
        chosen[order[0]] = 1.0
    return chosen


def grpo_advantages(rewards_G: ArrayLike) -> Floats:
    """(r - mean) / std, [G] (GRPO, DeepSeek-R1); 0 for all where every reward is the same.

    The population standard deviation (divisor G); the paper does not say which it takes.
    """
    rewards = _group(rewards_G)
    if rewards.min() == rewards.max():
        return np.zeros_like(rewards)
    return np.asarray((rewards - rewards.mean()) / rewards.std(), dtype=np.float64)


def length_rewards(lengths_G: ArrayLike, right_G: ArrayLike) -> Floats:
    """The length reward of each response before its weight, [G], in [-0.5, 0.5] (k1.5, section 2.3.3).

    lambda = 0.5 - (len - min_len) / (max_len - min_len); a right response gets lambda, a wrong one min(0, lambda).
    0 for all where all lengths (tokens) are equal.
    """
    lengths = _group(lengths_G)
    right = _like(lengths, right_G, "right_G").astype(bool)
    shortest, longest = lengths.min(), lengths.max()
    if shortest == longest:
        return np.zeros_like(lengths)
    scaled = 0.5 - (lengths - shortest) / (longest - shortest)
    return np.asarray(np.where(right, scaled, np.minimum(0.0, scaled)), dtype=np.float64)


def length_reward_weight(iteration: int, weight: float, warmup_iterations: int) -> float:
    """Weight of the length reward: 0 in the first ``warmup_iterations``, then constant (k1.5, section 2.3.3).

    ``iteration`` counts from 0.
    """
    return 0.0 if iteration < warmup_iterations else weight


def _group(values_G: ArrayLike) -> Floats:
    values = np.asarray(values_G, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"a group is one axis of at least one value, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"a group holds finite values, got {values.tolist()}")
    return values


def _like(reference_G: Floats, values_G: ArrayLike, name: str) -> Floats:
    values = _group(values_G)
    if values.shape != reference_G.shape:
        raise ValueError(f"{name} has shape {values.shape}, the group has {reference_G.shape}")
    return values
