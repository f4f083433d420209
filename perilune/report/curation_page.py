"""The page of a curation: what came in, what stays, and why the rest went, with examples of each.

Problems come from anywhere, and a model wrote some of what is shown: the template escapes all of it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from markupsafe import Markup

from perilune.recipe.curation import CurationConfig
from perilune.recipe.recipe import describe_fields
from perilune.report.bars import BARS_CSS, Part, Row, Track, horizontal_bars
from perilune.report.curation_charts import distributions, tag_bars
from perilune.report.curation_data import (
    BANDS,
    CuratedProblem,
    CurationData,
    DroppedProblem,
    StepCounts,
    read_curation,
)
from perilune.report.curation_words import BAND_MEANINGS, SETTINGS, Term, reason_term, step_term
from perilune.report.figures import shown
from perilune.report.formats import duration, percent
from perilune.report.page import write_page
from perilune.report.palette import COLOURS

_EXAMPLES = 3
_KEPT_EXAMPLES = 3
_MOST_CHARACTERS = 1200
_KEPT_HUE = 0
_T = TypeVar("_T")
_NOTHING = {"None": "none", "()": "none"}
_Settings = list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class ReasonSection:
    """Why problems went, with a few of them."""

    term: Term
    count: int
    share: str
    """Of the problems that entered the step."""
    examples: tuple[DroppedProblem, ...]


@dataclass(frozen=True, slots=True)
class StepSection:
    """What one step did, and what it obeyed."""

    anchor: str
    term: Term
    counts: StepCounts
    share: str
    reasons: tuple[ReasonSection, ...]
    settings: tuple[tuple[str, str, str], ...]
    """(name, value, meaning)."""


def write_curation_report(folder: Path) -> Path:
    """Write ``report.html`` into a curation folder from what is there so far; return its path.

    Args:
        folder: ``RUN/curation``, or ``RUN``.

    Raises:
        RunFolderError: the folder holds no curation.
    """
    data = read_curation(folder)
    path = data.folder / "report.html"
    write_page(path, "curation_page.html", _context(data))
    return path


def _context(data: CurationData) -> dict[str, Any]:
    settings = _settings(data.folder.parent / "recipe.toml")
    return {
        "data": data,
        "bars_css": Markup(BARS_CSS),
        "state": _state(data),
        "facts": _facts(data),
        "funnel": Markup(_funnel(data)),
        "sections": [_section(step, data, settings) for step in data.steps],
        "distributions": shown(distributions(data))[0],
        "tags": Markup(tag_bars(data.tags)),
        "histogram": _histogram(data),
        "kept": _kept(data.problems),
        "clipped": _clipped,
        "percent": percent,
    }


def _state(data: CurationData) -> str:
    """Whether the curation is finished, or how far it is."""
    if data.finished:
        return "finished"
    if data.running and data.running.total:
        return f"not finished: {data.running.name} {data.running.done:,} of {data.running.total:,}"
    return f"not finished: {data.steps[-1].name} is done" if data.steps else "not finished"


def _facts(data: CurationData) -> list[tuple[str, str, str]]:
    """(name, figure, remark) of the headline."""
    if not data.steps:
        return []
    entered, kept = data.entered, data.kept
    facts = [
        ("Came in", f"{entered:,}", "problems"),
        ("Stay", f"{kept:,}", f"{percent(kept / entered)} of them" if entered else ""),
    ]
    largest = max(data.steps, key=lambda step: step.dropped)
    if largest.dropped:
        remark = f"by {step_term(largest.name).name.lower()}, more than by any other step"
        facts.append(("Largest cut", f"{largest.dropped:,}", remark))
    if data.contamination_sets:
        sets = ", ".join(f"{name} ({size:,})" for name, size in data.contamination_sets)
        facts.append(("Kept apart from", f"{len(data.contamination_sets)}", f"evaluation sets: {sets}"))
    slowest = sorted((step for step in data.steps if step.seconds >= 0.05), key=lambda step: -step.seconds)[:3]
    remark = ", ".join(f"{step.name} {duration(step.seconds)}" for step in slowest)
    facts.append(("Time", duration(sum(step.seconds for step in data.steps)), remark))
    return facts


def _funnel(data: CurationData) -> str:
    rows = []
    for step in data.steps:
        parts = [Part(_KEPT_HUE, step.kept)]
        for place, (reason, count) in enumerate(step.reasons):
            told = f"{reason_term(reason).name} {count:,} ({_share(count, step.entered)})"
            parts.append(Part(1 + place % (COLOURS - 1), count, told))
        figure = f"{step.kept:,} ({_share(step.kept, data.entered)})"
        rows.append(Row(step_term(step.name).name, (Track(tuple(parts), figure),), _anchor(step)))
    return horizontal_bars("Problems that each step kept and dropped", rows, longest=data.entered)


def _section(step: StepCounts, data: CurationData, settings: _Settings) -> StepSection:
    reasons = []
    for reason, count in step.reasons:
        gone = [one for one in data.dropped if one.step == step.name and one.reason == reason]
        examples = tuple(_spread(gone, _EXAMPLES))
        reasons.append(ReasonSection(reason_term(reason), count, _share(count, step.entered), examples))
    obeyed = tuple(
        entry
        for entry in settings
        if any(entry[0] == name or (name.endswith(".") and entry[0].startswith(name)) for name in _obeyed(step.name))
    )
    return StepSection(
        _anchor(step), step_term(step.name), step, _share(step.kept, step.entered), tuple(reasons), obeyed
    )


def _obeyed(step: str) -> Sequence[str]:
    return SETTINGS.get(step, ())


def _settings(recipe: Path) -> _Settings:
    """(name below [curation], value, meaning): as the run's recipe says, or by default."""
    try:
        found = tomllib.loads(recipe.read_text(encoding="utf-8", errors="replace")).get("curation", {})
    except (OSError, tomllib.TOMLDecodeError):
        found = {}
    rows = []
    for name, default, meaning in describe_fields(CurationConfig):
        value: Any = found
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        told = _NOTHING.get(default, default) if value is None else _value(value)
        rows.append((name, told, meaning))
    return rows


def _value(value: Any) -> str:
    if isinstance(value, list):
        names = [str(one.get("name", one) if isinstance(one, Mapping) else one) for one in value]
        return ", ".join(names) or "none"
    return repr(value)


def _histogram(data: CurationData) -> list[tuple[int, int, int]]:
    """(right answers, problems before, problems after)."""
    found = data.difficulty
    return [(n, *pair) for n, pair in enumerate(zip(found.before, found.after, strict=True))] if found else []


def _kept(problems: Sequence[CuratedProblem]) -> list[tuple[str, str, int, list[CuratedProblem]]]:
    """(band, its meaning, how many, a few of them), the easiest band first."""
    bands = sorted({one.band for one in problems}, key=lambda band: BANDS.index(band) if band in BANDS else len(BANDS))
    found = []
    for band in bands:
        mine = [one for one in problems if one.band == band]
        found.append((band or "not measured", BAND_MEANINGS.get(band, ""), len(mine), _spread(mine, _KEPT_EXAMPLES)))
    return found


def _spread(found: Sequence[_T], most: int) -> list[_T]:
    """A few from all over the sequence, so that they are not all of one source."""
    if len(found) <= most:
        return list(found)
    return [found[place * (len(found) - 1) // (most - 1)] for place in range(most)]


def _clipped(text: str) -> str:
    """The text, its end left out if it is very long."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]} … ({len(text) - _MOST_CHARACTERS:,} more characters)"


def _share(count: int, whole: int) -> str:
    return percent(count / whole) if whole else "–"


def _anchor(step: StepCounts) -> str:
    return "step-" + "".join(c if c.isalnum() else "-" for c in step.name)
