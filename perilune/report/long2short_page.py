"""The page of a long2short: what each method saves and what it costs, beside what the paper reports.

Models wrote the answers that are shown: the template escapes all of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from perilune.evaluation.scoring import Interval
from perilune.evaluation.tradeoff import PAPER, PAPER_SOURCE, Point, pareto_front, signed_percent, signed_points
from perilune.report.chart import Chart
from perilune.report.drawing import draw
from perilune.report.formats import duration, number, percent
from perilune.report.long2short_data import Long2ShortData, Model, parse_results, read_long2short
from perilune.report.page import write_page, write_whole
from perilune.report.palette import COLOURS
from perilune.report.picture import picture
from perilune.report.scatter import Mark, scatter_chart

WITHIN = 0.02
"""Accuracy that the headline's model may lose: two points."""

_MOST_CHARACTERS = 4000
_EXAMPLES = 3
_COUNTS = {
    "problems": "problems asked",
    "responses": "responses",
    "right": "right responses",
    "without_right": "problems without a right response",
    "chosen": "shortest right responses chosen",
    "pairs": "preference pairs",
}
"""What is told first of sampling, and how; what else was counted follows by its own name."""
_DASH = "–"
_LEGEND = "filled: on the front · hollow: another is better · diamond: the model compared with · thin lines: 95 %"
_WAITING = "no model is measured yet"
Lines = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure and, below it, its interval."""

    figure: str
    interval: str = ""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model as the table shows it."""

    model: Model
    hue: int | None
    """As in the chart; None while it is not measured."""
    cells: tuple[Cell, ...]
    """Accuracy, its change, tokens, their change; empty while it is not measured."""
    front: bool
    seconds: str


def write_long2short_report(folder: Path) -> Path:
    """Write ``report.html`` and ``tradeoff.svg`` into a long2short folder from what is there so far.

    Args:
        folder: holds ``results.json``, and ``examples.json`` if there are examples.

    Returns:
        The page's path.

    Raises:
        RunFolderError: the folder holds no outcome of long2short, or one that cannot be read.
    """
    data = read_long2short(folder)
    path = folder / "report.html"
    chart, paper_chart = _chart(data), _paper_chart("MATH500", data)
    drawing, paper_drawing = draw([chart, paper_chart])
    write_page(path, "long2short_page.html", _context(data, drawing, paper_drawing))
    title = f"{data.name}: accuracy and tokens of each model"
    panels = [(title, chart, drawing)] if chart is not None else []
    write_whole(folder / "tradeoff.svg", picture(title, panels, foot=_LEGEND if chart else _WAITING))
    return path


def long2short_lines(results: Mapping[str, Any]) -> list[str]:
    """The table for a terminal: aligned columns, at most 110 characters wide.

    Args:
        results: the content of ``results.json``.
    """
    rows = [["model", "accuracy (95 %)", "points", "tokens", "change", "front"]]
    rows += [_line(model) for model in parse_results(results).models]
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(widths[place]) for place, cell in enumerate(row)).rstrip() for row in rows]


def _line(model: Model) -> list[str]:
    name, point = model.name if len(model.name) <= 20 else model.name[:19] + "…", model.point
    if point is None:
        return [name, "waiting"]
    told = [
        _plain(percent(point.accuracy), point.accuracy_interval, 100, "") if math.isfinite(point.accuracy) else _DASH,
        _plain(signed_points(point.accuracy_change), point.accuracy_change_interval, 100, "+"),
        _plain(f"{point.mean_tokens:.0f}", point.tokens_interval, 1, ""),
        _plain(signed_percent(point.tokens_change), point.tokens_change_interval, 100, "+"),
    ]
    if point.reference:
        told[1] = told[3] = ""
    return [name, *told, "yes" if point.pareto else ""]


def _plain(figure: str, interval: Interval, scale: int, sign: str) -> str:
    """A figure with its interval in whole numbers."""
    if not all(map(math.isfinite, interval)):
        return figure
    low, high = (f"{scale * end:{sign}.0f}".replace("-", "−") for end in interval)
    return f"{figure} ({low} to {high})"


def _context(data: Long2ShortData, drawing: str, paper_drawing: str) -> dict[str, Any]:
    ours = {name: place for place, name in enumerate(data.measured)}
    return {
        "data": data,
        "swatches": Markup("".join(f".fill{i}{{background:var(--hue-{i})}}" for i in range(COLOURS))),
        "state": _state(data),
        "facts": _facts(data),
        "chart": Markup(drawing),
        "rows": [_row(model, ours.get(model.name)) for model in data.models],
        "sampling": _sampling(data),
        "paper_rows": _paper_rows(data),
        "paper_names": list(PAPER),
        "paper_source": PAPER_SOURCE,
        "paper_chart": Markup(paper_drawing),
        "examples": data.examples[:_EXAMPLES],
        "titles": {model.name: model.title for model in data.models},
        "clipped": _clipped,
    }


def _state(data: Long2ShortData) -> str:
    if data.finished:
        return "finished"
    return f"not finished: {len(data.measured)} of {len(data.models)} models are measured"


def _facts(data: Long2ShortData) -> list[tuple[str, str, str]]:
    """(name, figure, remark) of the headline."""
    measured = data.measured
    if not measured:
        return []
    facts = [("Models", f"{len(measured)}", f"of {len(data.models)} measured")]
    methods = [m.point for m in data.models if m.point is not None and m.parent is not None and not m.point.reference]
    if methods:
        facts.append(("Largest cut within 2 points", *_largest_cut(methods)))
    if (base := measured.get(data.reference)) is not None:
        interval = _interval(percent, base.accuracy_interval)
        remark = f"accuracy of {base.name} (95 %: {interval}), with {number(base.mean_tokens)} tokens a response"
        facts.append(("Compared with", _shown(percent, base.accuracy), remark))
    front = sorted((p for p in measured.values() if p.pareto), key=lambda p: p.mean_tokens)
    facts.append(("On the front", f"{len(front)}", ", ".join(p.name for p in front)))
    one = next(iter(measured.values()))
    limit = data.settings.get("max_response_tokens")
    remark = f"{one.decoding} decoding" + (f", at most {limit} tokens a response" if limit else "")
    facts.append(("Held-out problems", f"{one.problems:,}", remark))
    return facts


def _largest_cut(methods: Sequence[Point]) -> tuple[str, str]:
    """The method that saves the most tokens among those that lose two points at most, as measured."""
    held = [p for p in methods if p.accuracy_change >= -WITHIN - 1e-9 and p.tokens_change < 0]
    if not held:
        return "none", "every method that saves tokens loses more than 2 points of accuracy"
    best = min(held, key=lambda p: p.tokens_change)
    change = _with_interval(signed_points, best.accuracy_change, best.accuracy_change_interval)
    return signed_percent(
        best.tokens_change
    ), f"of the tokens by {best.name}; points {change.figure} ({change.interval})"


def _chart(data: Long2ShortData) -> Chart | None:
    marks = [
        Mark(name, point.mean_tokens, point.accuracy, point.tokens_interval, point.accuracy_interval, place)
        for place, (name, point) in enumerate(data.measured.items())
    ]
    front = [name for name, point in data.measured.items() if point.pareto]
    return scatter_chart("Accuracy and tokens of each model", marks, front=front, reference=data.reference)


def _row(model: Model, place: int | None) -> ModelRow:
    seconds, point = duration(model.seconds) if model.seconds is not None else _DASH, model.point
    if point is None or place is None:
        return ModelRow(model, None, (), False, seconds)
    cells = (
        _with_interval(percent, point.accuracy, point.accuracy_interval),
        _with_interval(signed_points, point.accuracy_change, point.accuracy_change_interval),
        _with_interval(number, point.mean_tokens, point.tokens_interval),
        _with_interval(signed_percent, point.tokens_change, point.tokens_change_interval),
    )
    if point.reference:
        cells = (cells[0], Cell(_DASH), cells[2], Cell(_DASH))
    return ModelRow(model, place % COLOURS, cells, point.pareto, seconds)


def _sampling(data: Long2ShortData) -> Lines:
    """Rows of a table: what was counted, then each asked model's count; its head is the first row."""
    found = data.sampling
    if not found:
        return []
    keys = list(dict.fromkeys([*_COUNTS, *(key for counts in found.values() for key in counts)]))
    rows = [["counted", *(f"asked of {name}" for name in found)]]
    for key in keys:
        values = [counts.get(key) for counts in found.values()]
        if any(isinstance(value, int | float) for value in values):
            rows.append([_COUNTS.get(key, key.replace("_", " ")), *(_count(value) for value in values)])
    return rows


def _count(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) and math.isfinite(value) else _DASH


def _paper_rows(data: Long2ShortData) -> list[tuple[str, list[Cell]]]:
    """(method, cells): tokens and accuracy here, then on each of the paper's benchmarks, with changes below."""
    names = list(dict.fromkeys(name for found in PAPER.values() for name in found))
    rows = []
    for name in names:
        point = data.measured.get(name)
        cells = [Cell(_DASH), Cell(_DASH)]
        if point is not None:
            tokens = "" if point.reference else signed_percent(point.tokens_change)
            points = "" if point.reference else signed_points(point.accuracy_change)
            cells = [Cell(_shown(number, point.mean_tokens), tokens), Cell(_shown(percent, point.accuracy), points)]
        for found in PAPER.values():
            one, long = found[name], found["long"]
            tokens = "" if one is long else signed_percent(one.tokens / long.tokens - 1)
            points = "" if one is long else signed_points(one.accuracy - long.accuracy)
            cells += [Cell(f"{one.tokens:,}", tokens), Cell(percent(one.accuracy), points)]
        rows.append((name, cells))
    return rows


def _paper_chart(benchmark: str, data: Long2ShortData) -> Chart | None:
    """The paper's points, each method in the hue that it has in our chart."""
    found = PAPER[benchmark]
    looks = {name: place for place, name in enumerate(data.measured)}
    for name in found:
        looks.setdefault(name, len(looks))
    marks = [Mark(name, one.tokens, one.accuracy, look=looks[name]) for name, one in found.items()]
    front = pareto_front({name: (one.tokens, one.accuracy) for name, one in found.items()})
    return scatter_chart(f"The paper's {benchmark}", marks, front=front, reference="long")


def _with_interval(form: Callable[[float], str], value: float, interval: Interval) -> Cell:
    return Cell(_shown(form, value), _interval(form, interval))


def _interval(form: Callable[[float], str], interval: Interval) -> str:
    return f"{form(interval[0])} to {form(interval[1])}" if all(map(math.isfinite, interval)) else ""


def _shown(form: Callable[[float], str], value: float) -> str:
    return form(value) if math.isfinite(value) else _DASH


def _clipped(text: str) -> str:
    """The text, its end left out if it is very long."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]} … ({len(text) - _MOST_CHARACTERS:,} more characters)"
