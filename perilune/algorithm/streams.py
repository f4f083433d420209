"""Each trajectory's own random stream: a number for (trajectory, token position), whatever it is batched with.

Counter-based: nothing is carried from token to token, so a response continued in a later iteration, on another
worker or in another batch, goes on with the numbers it would have had.
"""
# ruff: noqa: N803

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

# The constants of SplitMix64 (Steele, Lea and Flood, 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def trajectory_seed(run_seed: int, problem_id: str, group_id: str, index: int) -> int:
    """Key of a trajectory's random stream, unsigned 64 bit: the BLAKE2b hash of what names the trajectory."""
    name = json.dumps([run_seed, problem_id, group_id, index])
    return int.from_bytes(hashlib.blake2b(name.encode("ascii"), digest_size=8).digest(), "big")


def uniforms(seeds_B: NDArray[np.uint64], positions_B: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), [B]: element b depends on ``seeds_B[b]`` and ``positions_B[b]`` alone.

    Two rounds of SplitMix64's finaliser, the first over the seed, the second over the hashed seed advanced by the
    position; the upper 53 bits become the number.

    Args:
        seeds_B: keys from :func:`trajectory_seed`.
        positions_B: token position within the response, counted from 0.
    """
    seeds = np.atleast_1d(np.asarray(seeds_B, dtype=np.uint64))
    positions = np.atleast_1d(np.asarray(positions_B, dtype=np.uint64))
    return (_mixed(seeds, positions) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def segment_seed(seed: int, position: int) -> int:
    """Seed for an engine with a random generator of its own, in [0, 2^63): of the response's tokens from a position on.

    Args:
        seed: key from :func:`trajectory_seed`.
        position: tokens that the response has already.
    """
    mixed = _mixed(np.array([seed], dtype=np.uint64), np.array([position], dtype=np.uint64))
    return int(mixed[0] >> np.uint64(1))


def _mixed(seeds_B: NDArray[np.uint64], positions_B: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 random bits for each (seed, position), [B]."""
    return _finalise(_finalise(seeds_B + _GOLDEN) + (positions_B + np.uint64(1)) * _GOLDEN)


def _finalise(values_B: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = (values_B ^ (values_B >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    return mixed ^ (mixed >> np.uint64(31))
