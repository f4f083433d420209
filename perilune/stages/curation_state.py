"""What a curation knows so far, and its counts for ``curation.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from perilune.algorithm.curation import Band
from perilune.curation.difficulty import Measured
from perilune.curation.fates import Dropped, StepReport
from perilune.curation.tagging import Tagged
from perilune.recipe.recipe import Recipe
from perilune.stages.curation_files import step_counts
from perilune.types import Problem


@dataclass(slots=True)
class CurationState:
    """Filled step by step."""

    problems: list[Problem]
    """Those that are left, without the prompt template."""
    reports: list[StepReport] = field(default_factory=list)
    tags: dict[str, Tagged] = field(default_factory=dict)
    measured: dict[str, Measured] = field(default_factory=dict)
    guesses: list[int] = field(default_factory=list)
    """Right guesses of each problem that was guessed."""
    sets: dict[str, int] = field(default_factory=dict)
    """Evaluation sets and their sizes."""
    matches: dict[str, str] = field(default_factory=dict)
    """What a fate's match may name, and its text."""

    @property
    def bands(self) -> dict[str, str]:
        """Band of each problem that was measured."""
        return {name: found.band.value for name, found in self.measured.items()}

    def tag(self, problem: Problem) -> str:
        """Its discipline, or the first tag that it brought; '' if there is none."""
        tagged = self.tags.get(problem.id)
        return tagged.discipline.tag if tagged else next(iter(problem.tags), "")

    def labelled(self, problem: Problem) -> Problem:
        """The problem with its discipline as the first tag."""
        tag = self.tag(problem)
        return replace(problem, tags=tuple(dict.fromkeys((tag, *problem.tags)))) if tag else problem

    def fates(self) -> list[tuple[str, Dropped]]:
        """(step, fate) of every problem that was dropped, labelled."""
        return [
            (report.name, replace(fate, problem=self.labelled(fate.problem)))
            for report in self.reports
            for fate in report.dropped
        ]


def curation_counts(state: CurationState, recipe: Recipe, *, finished: bool) -> dict[str, Any]:
    """What curation.json says: see :mod:`perilune.report.curation_data`."""
    attempts = recipe.curation.guess.attempts
    left = {problem.id for problem in state.problems}
    return {
        "name": recipe.name,
        "model": recipe.model.name,
        "finished": finished,
        "steps": [step_counts(report) for report in state.reports],
        "tags": {
            "before": _counted(tagged.discipline.tag for tagged in state.tags.values()),
            "after": _counted(tagged.discipline.tag for name, tagged in state.tags.items() if name in left),
        },
        "difficulty": _difficulty(state, left, recipe.curation.difficulty.samples) if state.measured else None,
        "contamination_sets": state.sets,
        "guess": {"attempts": attempts, "hits": _histogram(state.guesses, attempts)} if state.guesses else None,
    }


def _difficulty(state: CurationState, left: set[str], samples: int) -> dict[str, Any]:
    before = list(state.measured.values())
    after = [found for name, found in state.measured.items() if name in left]
    return {
        "samples": samples,
        "before": _histogram([found.right for found in before], samples),
        "after": _histogram([found.right for found in after], samples),
        "bands": {"before": _bands(before), "after": _bands(after)},
    }


def _bands(measured: Sequence[Measured]) -> dict[str, int]:
    counts = Counter(found.band for found in measured)
    return {band.value: counts[band] for band in Band}


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _histogram(values: Sequence[int], largest: int) -> list[int]:
    counts = Counter(values)
    return [counts[value] for value in range(largest + 1)]
