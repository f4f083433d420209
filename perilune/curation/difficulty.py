"""Difficulty by pass rate (k1.5, section 2.1): the model answers each problem several times; how often it is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from perilune.algorithm.curation import Band, band_of
from perilune.curation.asking import Answer, Ask, pass_rate, rights
from perilune.curation.fates import Dropped, Reason
from perilune.curation_config import DifficultyConfig
from perilune.types import Problem


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found of one problem."""

    problem: Problem
    """With its pass rate, and 1 - pass rate as its difficulty."""
    band: Band
    right: int
    """Right answers."""


def measure_difficulty(
    asks: Sequence[Ask], answers: Mapping[str, tuple[Answer, ...]], config: DifficultyConfig
) -> tuple[dict[str, Measured], list[Dropped]]:
    """Pass rate and band of each problem, by id, and those that are dropped for it.

    An answer whose grading ended in an error is left out of the rate; a problem with nothing but errors has none, and
    is dropped as ungradable.
    """
    measured: dict[str, Measured] = {}
    dropped: list[Dropped] = []
    for problem in (ask.problem for ask in asks):
        given = answers[problem.id]
        rate = pass_rate(given)
        if rate is None:
            detail = f"all {len(given)} gradings ended in errors: {given[0].grade.detail}"[:300]
            dropped.append(Dropped(problem, Reason.UNGRADABLE, detail))
            continue
        band = band_of(rate, config.easy_rate, config.hard_rate, config.trivial_rate)
        known = replace(problem, pass_rate=rate, difficulty=round(1 - rate, 9))
        measured[problem.id] = Measured(known, band, rights(given))
        detail = f"right in {rights(given)} of {len(given)} answers"
        if band is Band.TRIVIAL:
            dropped.append(Dropped(known, Reason.TRIVIAL, detail))
        elif band is Band.HOPELESS and config.drop_hopeless:
            dropped.append(Dropped(known, Reason.HOPELESS, detail))
    return measured, dropped
