"""Difficulty by pass rate (k1.5, section 2.1): the model answers each problem several times; how often it is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from perilune.algorithm.curation import Band, band_of
from perilune.curation.asking import Answer, Ask, pass_rate, rights
from perilune.curation.fates import Dropped, Reason
from perilune.recipe.curation import DifficultyConfig
from perilune.types import Problem


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found of one problem."""

    problem: Problem
    """With its pass rate, and 1 - pass rate as its difficulty."""
    band: Band
    right: int
    """Right answers among the first n."""


def to_confirm(asks: Sequence[Ask], answers: Mapping[str, tuple[Answer, ...]], config: DifficultyConfig) -> list[Ask]:
    """The problems that n answers alone would drop: chance makes some of them, and n answers more tell which.

    A problem that is solved two times in three looks trivial to ten answers once in twelve, to twenty once in eighty.
    """
    return [
        ask
        for ask in asks
        if (rate := pass_rate(answers[ask.problem.id])) is not None and _fault(_band(rate, config), config)
    ]


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
        band = _band(rate, config)
        known = replace(problem, pass_rate=rate, difficulty=round(1 - rate, 9))
        measured[problem.id] = Measured(known, band, rights(given[: config.samples]))
        fault = _fault(band, config)
        if fault is not None:
            dropped.append(Dropped(known, fault, f"right in {rights(given)} of {len(given)} answers"))
    return measured, dropped


def _band(rate: float, config: DifficultyConfig) -> Band:
    return band_of(rate, config.easy_rate, config.hard_rate, config.trivial_rate)


def _fault(band: Band, config: DifficultyConfig) -> Reason | None:
    """Why a problem of this band is dropped; None if it stays."""
    if band is Band.TRIVIAL:
        return Reason.TRIVIAL
    return Reason.HOPELESS if band is Band.HOPELESS and config.drop_hopeless else None
