"""Accuracy against tokens: named points with intervals both ways, and the Pareto front of more for less."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from perilune.report.chart import QUANTITY, SILENT, Chart, Spec, framed
from perilune.report.formats import Format, number, percent
from perilune.report.labels import Box, Label, place_labels
from perilune.report.palette import COLOURS, INK, QUIET, SURFACE, hue

SCATTER_WIDTH, SCATTER_HEIGHT = 760, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 34, 46
_ACROSS, _DOWN = SCATTER_WIDTH - _LEFT - _RIGHT, SCATTER_HEIGHT - _TOP - _BOTTOM
_RADIUS = 7.0
_CHARACTER = 8.1
"""About the width of a character of 14 px in bold."""
_MOST_CHARACTERS = 28
_SHAPES = ("circle", "square", "triangle-up")
_X_NAME, _Y_NAME = "tokens a response", "accuracy"


@dataclass(frozen=True, slots=True)
class Mark:
    """One point."""

    name: str
    x: float
    y: float
    x_interval: tuple[float, float] | None = None
    y_interval: tuple[float, float] | None = None
    look: int | None = None
    """Which hue and shape it has, counted from 0; by default its place among the marks."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """The values at the edges of the plot."""

    left: float
    right: float
    low: float
    high: float

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """Where Vega will draw a value, within the plot."""
        across, down = (x - self.left) / (self.right - self.left), (self.high - y) / (self.high - self.low)
        return across * _ACROSS, down * _DOWN


@dataclass(frozen=True, slots=True)
class _Point:
    """A mark with its look, and what is told of it."""

    mark: Mark
    short: str
    look: int
    shape: str
    front: bool
    told: str

    def row(self) -> Spec:
        """What Vega is given of it."""
        (left, right), (low, high) = (
            _ends(pair) or (None, None) for pair in (self.mark.x_interval, self.mark.y_interval)
        )
        return {
            "x": self.mark.x,
            "y": self.mark.y,
            **{"left": left, "right": right, "low": low, "high": high},
            "hue": hue(self.look),
            "fill": hue(self.look) if self.front else SURFACE,
            "shape": self.shape,
            # A diamond of the area of the others would look smaller than they.
            "size": 250 if self.shape == "diamond" else 150,
            "told": self.told,
        }


def scatter_chart(
    title: str, marks: Sequence[Mark], *, front: Collection[str] = (), reference: str | None = None
) -> Chart | None:
    """Points with their names beside them; None if there is nothing to draw.

    Args:
        title: for screen readers; not drawn.
        marks: x in tokens, y a share in [0, 1]; one whose x or y is not finite is left out, as is an interval that is
            not.
        front: names of the points on the Pareto front, which are filled and joined by a dashed line.
        reference: name of the point drawn as a diamond.
    """
    kept = [mark for mark in marks if math.isfinite(mark.x) and math.isfinite(mark.y)]
    if not kept:
        return None
    points = [_point(place, mark, mark.name in front, mark.name == reference) for place, mark in enumerate(kept)]
    frame = _frame(kept)
    corners = sorted((one.mark.x, one.mark.y) for one in points if one.front)
    labels = _labels(points, corners, frame)
    spec = {
        "width": _ACROSS,
        "height": _DOWN,
        # Labels are placed before anything is drawn, so nothing may move the plot.
        "autosize": "none",
        "padding": {"left": _LEFT, "right": _RIGHT, "top": _TOP, "bottom": _BOTTOM},
        "data": {"values": [point.row() for point in points]},
        "encoding": _axes(frame),
        "layer": [
            *_front(corners, frame.right),
            *_whiskers(),
            *_leaders(points, labels),
            _marks(),
            _names(points, labels),
        ],
    }
    summary = f"{title}: {'; '.join(point.told for point in points)}"
    return framed(spec, summary, (SCATTER_WIDTH, SCATTER_HEIGHT), [point.look % COLOURS for point in points])


def _point(place: int, mark: Mark, front: bool, reference: bool) -> _Point:
    look = place if mark.look is None else mark.look
    shape = "diamond" if reference else _SHAPES[look // COLOURS % len(_SHAPES)]
    short = mark.name if len(mark.name) <= _MOST_CHARACTERS else mark.name[: _MOST_CHARACTERS - 1] + "…"
    y, x = _value(mark.y, mark.y_interval, percent), _value(mark.x, mark.x_interval, number)
    told = f"{mark.name}{', on the front' if front else ''}: {y} {_Y_NAME}, {x} {_X_NAME}"
    return _Point(mark, short, look, shape, front, told)


def _frame(marks: Sequence[Mark]) -> _Frame:
    xs = [end for mark in marks for end in (mark.x, *_ends(mark.x_interval))]
    ys = [end for mark in marks for end in (mark.y, *_ends(mark.y_interval))]
    return _Frame(*_domain(xs, 0.0, math.inf), *_domain(ys, -0.04, 1.04))


def _domain(values: Sequence[float], least: float, most: float) -> tuple[float, float]:
    """The values with some room, but none beyond what they can be."""
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return min(low, max(low - room, least)), max(high, min(high + room, most))


def _ends(interval: tuple[float, float] | None) -> tuple[float, ...]:
    return interval if interval is not None and all(map(math.isfinite, interval)) else ()


def _value(at: float, interval: tuple[float, float] | None, form: Format) -> str:
    """'61.2% (58% to 64%)'."""
    ends = _ends(interval)
    return f"{form(at)} ({form(ends[0])} to {form(ends[1])})" if ends else form(at)


def _labels(points: Sequence[_Point], corners: Sequence[tuple[float, float]], frame: _Frame) -> list[Label]:
    """Where the names go; Vega's own placement needs a canvas, which vl-convert has not."""
    strokes = _steps([frame.pixel(*corner) for corner in corners])
    for point in points:
        x, y = frame.pixel(point.mark.x, point.mark.y)
        across = [frame.pixel(end, point.mark.y)[0] for end in _ends(point.mark.x_interval)]
        up = [frame.pixel(point.mark.x, end)[1] for end in _ends(point.mark.y_interval)]
        strokes += [Box(across[0], y, across[1], y)] if across else []
        strokes += [Box(x, up[1], x, up[0])] if up else []
        strokes += [Box(end, y - 4, end, y + 4) for end in across] + [Box(x - 4, end, x + 4, end) for end in up]
    return place_labels(
        [(*frame.pixel(point.mark.x, point.mark.y), len(point.short) * _CHARACTER) for point in points],
        radius=_RADIUS,
        frame=Box(2, -8, _ACROSS + _RIGHT - 2, _DOWN - 2),
        strokes=strokes,
    )


def _steps(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """The strokes of the front in pixels: along and up from point to point, then on to the right."""
    found = [Box(x, y, end, y) for (x, y), (end, _) in zip(corners, [*corners[1:], (_ACROSS, 0.0)], strict=False)]
    return found + [Box(end, min(y, above), end, max(y, above)) for (_, y), (end, above) in itertools.pairwise(corners)]


def _axes(frame: _Frame) -> Spec:
    look = {"labelFontSize": 14, "titleFontSize": 14}
    head = {"titleAngle": 0, "titleAlign": "left", "titleX": 16 - _LEFT, "titleY": -18, "titleBaseline": "alphabetic"}
    # What is no share has neither a name nor, since it is no possible value, a line.
    shares = "datum.value >= 0 && datum.value <= 1"
    lines = {"condition": {"test": f"!({shares})", "value": 0}, "value": 1}
    x = {**look, "tickCount": 9, "labelExpr": number.tick}
    y = {**look, **head, "tickCount": 4, "labelExpr": f"{shares} ? {percent.tick} : ''", "gridOpacity": lines}
    ends = {"x": [frame.left, frame.right], "y": [frame.low, frame.high]}
    return {
        channel: {
            "field": channel,
            **QUANTITY,
            "title": name,
            "scale": {"domain": ends[channel], "nice": False, "zero": False},
            "axis": axis,
        }
        for channel, name, axis in (("x", _X_NAME, x), ("y", _Y_NAME, y))
    }


def _raw(field: str) -> Spec:
    """The field's own value, as CSS or as the name of a shape."""
    return {"field": field, "type": "nominal", "scale": None, "legend": None}


def _pixels(field: str) -> Spec:
    """The field's own value, in pixels of the plot."""
    return {"field": field, **QUANTITY, "scale": None, "axis": None}


def _front(corners: Sequence[tuple[float, float]], right: float) -> list[Spec]:
    if not corners:
        return []
    values = [{"x": x, "y": y} for x, y in [*corners, (right, corners[-1][1])]]
    dashed = {"type": "line", "interpolate": "step-after", "strokeDash": [6, 4], "strokeWidth": 1.5, "color": QUIET}
    return [{"name": "front", "data": {"values": values}, "mark": {**dashed, **SILENT}}]


def _whiskers() -> list[Spec]:
    """Intervals with their caps, both ways."""
    thin: Spec = {"opacity": 0.6, **SILENT}
    found = []
    for channel, orient, low, high in (("x", "vertical", "left", "right"), ("y", "horizontal", "low", "high")):
        only = [{"filter": f"isValid(datum.{low})"}]
        ends = [{channel: {"field": end, **QUANTITY}, "color": _raw("hue")} for end in (low, high)]
        rule = {"type": "rule", "strokeWidth": 1.3, **thin}
        cap = {"type": "tick", "orient": orient, "size": 8, "thickness": 1.3, **thin}
        across = {**ends[0], f"{channel}2": {"field": high}}
        found.append({"name": f"interval_{channel}", "transform": only, "mark": rule, "encoding": across})
        found += [
            {"name": f"cap_{end}", "transform": only, "mark": cap, "encoding": encoding}
            for end, encoding in zip((low, high), ends, strict=True)
        ]
    return found


def _leaders(points: Sequence[_Point], labels: Sequence[Label]) -> list[Spec]:
    """Lines to the names that are not beside their points."""
    values = [
        {"hue": hue(point.look), **dict(zip(("x1", "y1", "x2", "y2"), label.leader, strict=True))}
        for point, label in zip(points, labels, strict=True)
        if label.leader
    ]
    ends = {"x": _pixels("x1"), "y": _pixels("y1"), "x2": {"field": "x2"}, "y2": {"field": "y2"}}
    rule = {"type": "rule", "strokeWidth": 1.8, **SILENT}
    spec = {"name": "leaders", "data": {"values": values}, "mark": rule, "encoding": {**ends, "color": _raw("hue")}}
    return [spec] if values else []


def _marks() -> Spec:
    size = {"field": "size", **QUANTITY, "scale": None, "legend": None}
    look = {"shape": _raw("shape"), "stroke": _raw("hue"), "fill": _raw("fill"), "size": size}
    return {
        "name": "points",
        "mark": {"type": "point", "strokeWidth": 2.5, "opacity": 1},
        "encoding": {**look, "description": {"field": "told", "type": "nominal"}},
    }


def _names(points: Sequence[_Point], labels: Sequence[Label]) -> Spec:
    values = [
        {"x": label.box.left, "y": label.box.bottom - 5, "name": point.short}
        for point, label in zip(points, labels, strict=True)
    ]
    text = {"type": "text", "fontSize": 14, "fontWeight": 600, "align": "left", "baseline": "alphabetic", "color": INK}
    place = {"x": _pixels("x"), "y": _pixels("y"), "text": {"field": "name", "type": "nominal"}}
    return {"name": "names", "data": {"values": values}, "mark": {**text, **SILENT}, "encoding": place}
