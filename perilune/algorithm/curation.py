"""Curation as arithmetic: bands of difficulty, and how many problems each tag keeps (k1.5, section 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np


class Band(StrEnum):
    """How hard a problem is for the model that was asked, by its pass rate."""

    TRIVIAL = "trivial"
    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"
    HOPELESS = "hopeless"


def band_of(pass_rate: float, easy_rate: float, hard_rate: float, trivial_rate: float) -> Band:
    """The band of a pass rate.

    Args:
        pass_rate: share of right answers, in [0, 1].
        easy_rate: at least this is easy.
        hard_rate: at most this is hard; 0 is hopeless.
        trivial_rate: at least this is trivial.
    """
    # Shares of a few samples are compared: 7 of 10 must reach 0.7 however it is rounded.
    slack = 1e-9
    if pass_rate >= trivial_rate - slack:
        return Band.TRIVIAL
    if pass_rate <= slack:
        return Band.HOPELESS
    if pass_rate >= easy_rate - slack:
        return Band.EASY
    return Band.HARD if pass_rate <= hard_rate + slack else Band.MEDIUM


def quota_sizes(counts: Mapping[str, int], quota: int) -> dict[str, int]:
    """At most ``quota`` problems of each tag."""
    return {tag: min(count, quota) for tag, count in counts.items()}


def temperature_sizes(counts: Mapping[str, int], size: int, temperature: float) -> dict[str, int]:
    """How many problems each tag keeps so that there are ``size`` in all.

    Shares are proportional to count ** (1 / temperature): 1 keeps the distribution, infinity makes it even. No tag can
    give more than it has; what it lacks goes to the others in proportion, and whole problems are made of the largest
    remainders.

    Args:
        counts: problems of each tag.
        size: at most all of them.
        temperature: at least 1.
    """
    tags = [tag for tag, count in counts.items() if count > 0]
    have = np.array([counts[tag] for tag in tags], dtype=np.float64)
    size = min(size, int(have.sum()))
    weights = have ** (1.0 / temperature)
    wanted = np.zeros_like(have)
    open_ = np.ones(len(tags), dtype=bool)
    while open_.any():
        left = size - wanted[~open_].sum()
        wanted[open_] = left * weights[open_] / weights[open_].sum()
        full = open_ & (wanted > have)
        if not full.any():
            break
        wanted[full] = have[full]
        open_ &= ~full
    whole = np.floor(wanted + 1e-9)
    remainders = np.where(whole < have, wanted - whole, -1.0)
    for index in np.argsort(-remainders, kind="stable")[: size - int(whole.sum())]:
        whole[index] += 1
    return {tag: int(count) for tag, count in zip(tags, whole, strict=True)}
