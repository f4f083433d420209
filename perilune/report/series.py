"""Line charts and stacked bars over a common x."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from perilune.report.chart import QUANTITY, SILENT, Chart, Spec, colour, framed, hover_layer, told
from perilune.report.formats import Format, number
from perilune.report.palette import SURFACE

WIDTH, HEIGHT = 440, 240
_LEGEND = WIDTH - 50
_PLOT = WIDTH - 64
"""About the pixels between the axis and the right edge."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart, or one layer of its bars."""

    name: str
    hue: int
    points: tuple[tuple[float, float | None], ...]
    """(x, y); None where there is nothing: the line breaks."""
    intervals: tuple[tuple[float, float] | None, ...] = ()
    """(low, high) of each point; empty for none at all."""
    dots: bool = False
    """Mark each point."""


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_name: str = "iteration",
    form: Format = number,
    log: bool = False,
    zero: bool = True,
) -> Chart | None:
    """Lines over a common x; None if there is nothing to draw.

    Args:
        title: for screen readers; not drawn.
        series: one legend entry each, if there are several.
        x_name: what x counts.
        form: how a y value is told.
        log: logarithmic y; values at or below 0 are left out.
        zero: let a linear y begin at 0.
    """
    kept = [line for line in (_drawable(s, log) for s in series) if line is not None]
    if not kept:
        return None
    rows = [row for one in kept for row in _rows(one)]
    values = [row[key] for row in rows for key in ("y", "low", "high") if row[key] is not None]
    layers = _line_layers(rows, _y_axis(values, form, log, zero))
    xs = sorted({x for s in kept for x, _ in s.points})
    scale = {"domain": [xs[0], max(xs[-1], xs[0] + 1)], "nice": False, "zero": False, "padding": 8}
    return _chart(title, {"data": {"values": rows}, "layer": layers}, kept, xs, scale, x_name, form)


def stacked_bars(
    title: str, layers: Sequence[Series], *, x_name: str = "iteration", form: Format = number, top: float | None = None
) -> Chart | None:
    """One bar per x, its layers stacked from the first up; None if there is nothing to draw.

    Args:
        title: for screen readers; not drawn.
        layers: all over the same xs; one legend entry each.
        x_name: what x counts.
        form: how a y value is told.
        top: the upper end of y, if it is known: 1 for shares.
    """
    rows: list[dict[str, Any]] = [
        {"x": at, "y": max(value, 0.0), "series": layer.name, "place": place}
        for place, layer in enumerate(layers)
        for at, value in layer.points
        if value is not None and math.isfinite(value)
    ]
    if not any(row["y"] for row in rows):
        return None
    xs: list[float] = sorted({row["x"] for row in rows})
    spacing = min((b - a for a, b in itertools.pairwise(xs)), default=1.0)
    ends = [xs[0] - spacing / 2, xs[-1] + spacing / 2]
    width = round(min(40.0, 0.82 * _PLOT * spacing / (ends[1] - ends[0])), 1)
    spec = {"data": {"values": [row for row in rows if row["y"]]}, "layer": [_bar_layer(width, top, form)]}
    return _chart(title, spec, layers, xs, {"domain": ends, "nice": False, "zero": False}, x_name, form)


def _drawable(series: Series, log: bool) -> Series | None:
    """The series without what cannot be drawn; None if nothing is left."""

    def fits(*values: float) -> bool:
        return all(math.isfinite(value) and (value > 0 or not log) for value in values)

    points = tuple((x, y if y is not None and fits(y) else None) for x, y in series.points)
    if all(y is None for _, y in points):
        return None
    intervals = tuple(pair if pair is not None and fits(*pair) else None for pair in series.intervals)
    return replace(series, points=points, intervals=intervals)


def _rows(series: Series) -> list[dict[str, Any]]:
    """What Vega is given: a row for each point."""
    rows = []
    ys = [None, *(y for _, y in series.points), None]
    pairs = [*series.intervals, *[None] * len(series.points)]
    for (x, y), pair, before, after in zip(series.points, pairs, ys, ys[2:], strict=False):
        low, high = pair if pair is not None and y is not None else (None, None)
        # Without a dot, a point with nothing on either side would not be seen.
        dot = y is not None and (series.dots or before is after is None)
        rows.append({"series": series.name, "x": x, "y": y, "low": low, "high": high, "dot": dot})
    return rows


def _line_layers(rows: Sequence[Spec], y: Spec) -> list[Spec]:
    """Each layer costs a page time, so there is none without need."""
    at: Spec = {"y": {"field": "y", **y}}
    line: Spec = {"type": "line", "strokeWidth": 2, "strokeJoin": "round", "strokeCap": "round", **SILENT}
    layers = _whiskers(y) if any(row["low"] is not None for row in rows) else []
    layers.append({"name": "line", "mark": {**line, "invalid": "break-paths-show-path-domains"}, "encoding": at})
    # A legend fills its swatches for the sake of a layer that is filled, be it without marks.
    if any(row["dot"] for row in rows) or any(row["series"] != rows[0]["series"] for row in rows):
        dot: Spec = {"type": "circle", "size": 64, "opacity": 1, "stroke": SURFACE, "strokeWidth": 1.5, **SILENT}
        layers.append({"name": "dots", "transform": [{"filter": "datum.dot"}], "mark": dot, "encoding": at})
    return layers


def _whiskers(y: Spec) -> list[Spec]:
    """Intervals, drawn as bars with caps: Vega-Lite's own mark for them cannot be silent."""
    low, high = ({"y": {"field": end, **y}} for end in ("low", "high"))
    thin: Spec = {"opacity": 0.75, **SILENT}
    cap = {"type": "tick", "orient": "horizontal", "size": 8, "thickness": 1.5, **thin}
    only = [{"filter": "isValid(datum.low)"}]
    bar = {"type": "rule", "strokeWidth": 1.5, **thin}
    return [
        {"name": "interval", "transform": only, "mark": bar, "encoding": {**low, "y2": {"field": "high"}}},
        {"name": "cap_low", "transform": only, "mark": cap, "encoding": low},
        {"name": "cap_high", "transform": only, "mark": cap, "encoding": high},
    ]


def _bar_layer(width: float, top: float | None, form: Format) -> Spec:
    # A sliver of the background tells neighbouring layers apart without relying on their hues.
    bar = {"type": "bar", "width": width, "stroke": SURFACE, "strokeWidth": 0.8, **SILENT}
    scale = {"domain": [0, top], "nice": False} if top is not None else {"nice": True}
    axis = {"tickCount": 4, "labelExpr": form.tick}
    y = {"field": "y", **QUANTITY, "title": None, "stack": "zero", "scale": scale, "axis": axis}
    return {"name": "bars", "mark": bar, "encoding": {"y": y, "order": {"field": "place", **QUANTITY}}}


def _y_axis(values: Sequence[float], form: Format, log: bool, zero: bool) -> Spec:
    axis: Spec = {"labelExpr": form.tick}
    if log:
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        high = max(high, low + 1)
        axis["values"] = [10.0**power for power in range(low, high + 1, max(1, math.ceil((high - low + 1) / 5)))]
        scale: Spec = {"type": "log", "domain": [10.0**low, 10.0**high]}
        return {**QUANTITY, "title": None, "scale": scale, "axis": axis}
    axis["tickCount"] = 4
    low_end, high_end = min(values), max(values)
    scale = {"zero": zero, "nice": True}
    if low_end == high_end:
        # Vega would put what is all the same on an axis without length.
        room = abs(low_end) * 0.1 or 1.0
        scale["domain"] = [0.0 if zero and low_end >= 0 else low_end - room, high_end + room]
    return {**QUANTITY, "title": None, "scale": scale, "axis": axis}


def _x_axis(name: str, xs: Sequence[float], scale: Spec) -> Spec:
    """Named at whole numbers alone, and at none that the data do not reach."""
    shown = f"datum.value >= {xs[0]!r} && datum.value <= {xs[-1]!r} && datum.value % 1 == 0"
    axis = {"grid": False, "tickCount": 7, "labelExpr": f"{shown} ? format(datum.value, 'd') : ''"}
    return {"field": "x", **QUANTITY, "title": name, "scale": scale, "axis": axis}


def _chart(
    title: str, spec: Spec, series: Sequence[Series], xs: Sequence[float], scale: Spec, x_name: str, form: Format
) -> Chart:
    """The specification with what all charts over x have: the axis, the colours and the words at each x."""
    words = [(one.name, _words(one, form)) for one in series]
    labels = [(at, told(f"{x_name} {at:g}", [(name, known.get(at)) for name, known in words])) for at in xs]
    whole = {
        **spec,
        "encoding": {"x": _x_axis(x_name, xs, scale), "color": colour([(s.name, s.hue) for s in series], _LEGEND)},
        "layer": [*spec["layer"], hover_layer(labels)],
    }
    ends = "; ".join(_ends(name, list(known.values())) for name, known in words)
    return framed(whole, f"{title}: {ends}", (WIDTH, HEIGHT), [one.hue for one in series])


def _ends(name: str, known: Sequence[str]) -> str:
    return f"{name} from {known[0]} to {known[-1]}" if known else name


def _words(series: Series, form: Format) -> dict[float, str]:
    """The series' value at each x in words, with its interval."""
    found = {x: form(y) for x, y in series.points if y is not None and math.isfinite(y)}
    for (x, _), pair in zip(series.points, series.intervals, strict=False):
        if x in found and pair is not None:
            found[x] += f" ({form(pair[0])} to {form(pair[1])})"
    return found
