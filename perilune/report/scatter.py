"""A scatter chart as SVG: named points with intervals both ways, and the Pareto front of more y for less x.

Its values are told in ``aria-label``, and in ``data-hover`` for the page's script, as those of
:mod:`perilune.report.charts` are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from html import escape

from perilune.report.axes import Format, Scale, linear_bounds, nice_ticks, number, percent
from perilune.report.charts import COLOURS
from perilune.report.labels import Box, place_labels

SCATTER_WIDTH, SCATTER_HEIGHT = 760, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 34, 46
_RADIUS = 7.0
_CHARACTER = 8.1
"""About the width of a character of 14 px in bold."""
_MOST_CHARACTERS = 28
_NEAR = 9.0
"""Pixels of x within which points are told together under the pointer."""
_SHAPES = ("circle", "square", "triangle")

SCATTER_CSS = "\n".join(
    [
        "svg.scatter text{font-size:14px}",
        "svg.scatter text.name{fill:var(--ink);font-weight:600;paint-order:stroke;stroke:var(--surface);"
        "stroke-width:4px;stroke-linejoin:round}",
        ".front{fill:none;stroke:var(--quiet);stroke-width:1.5;stroke-dasharray:6 4}",
        ".leader{stroke-width:1.8}",
        ".mark{stroke-width:2.5}.mark.hollow{fill:var(--surface)}",
        "svg.scatter .interval{stroke-width:1.3;opacity:.6}",
        *(
            f".mark.h{i}{{stroke:var(--hue-{i})}}.mark.full.h{i}{{fill:var(--hue-{i})}}"
            f".leader.h{i}{{stroke:var(--hue-{i})}}"
            for i in range(COLOURS)
        ),
    ]
)
"""Style sheet of scatter charts; colours come from :data:`perilune.report.charts.CHART_CSS`."""


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
class _Drawn:
    """A mark with its pixels and its look."""

    mark: Mark
    x: float
    y: float
    hue: int
    shape: str
    front: bool


def scatter_chart(
    title: str,
    marks: Sequence[Mark],
    *,
    front: Collection[str] = (),
    reference: str | None = None,
    x_name: str = "tokens a response",
    y_name: str = "accuracy",
    x_form: Format = number,
    y_form: Format = percent,
) -> str:
    """Points with their names beside them; "" if there is nothing to draw.

    Args:
        title: for screen readers; not drawn.
        marks: any number; one whose x or y is not finite is left out, as is an interval that is not.
        front: names of the points on the Pareto front, which are filled and joined by a dashed line.
        reference: name of the point drawn as a diamond.
        x_name: what x is; less is better.
        y_name: what y is: a share in [0, 1]; more is better.
        x_form: how an x value is told.
        y_form: how a y value is told.
    """
    kept = [mark for mark in marks if math.isfinite(mark.x) and math.isfinite(mark.y)]
    if not kept:
        return ""
    x, y = _scales(kept)
    drawn = [_drawn(place, mark, x, y, mark.name in front, mark.name == reference) for place, mark in enumerate(kept)]
    corners = sorted((one.x, one.y) for one in drawn if one.front)
    whiskers = [(stroke, one.hue) for one in drawn for stroke in _whiskers(one, x, y)]
    names = [_clipped(one.mark.name) for one in drawn]
    labels = place_labels(
        [(one.x, one.y, len(name) * _CHARACTER) for one, name in zip(drawn, names, strict=True)],
        radius=_RADIUS,
        frame=Box(_LEFT + 2, _TOP - 8, SCATTER_WIDTH - 2, SCATTER_HEIGHT - _BOTTOM - 2),
        strokes=[stroke for stroke, _ in whiskers] + _steps(corners),
    )
    body = [_axes(x, y, (x_name, y_name), (x_form, y_form)), _front(corners)]
    body += [_line((w.left, w.top, w.right, w.bottom), f"interval h{hue}") for w, hue in whiskers]
    led = [(label.leader, one.hue) for label, one in zip(labels, drawn, strict=True) if label.leader]
    body += [_line(leader, f"leader h{hue}") for leader, hue in led]
    body += [_shape(one) for one in drawn]
    body += [
        f'<text class="name" x="{label.box.left:.1f}" y="{label.box.bottom - 5:.1f}">{escape(name)}</text>'
        for name, label in zip(names, labels, strict=True)
    ]
    told = [_told(one.mark, (x_name, y_name), (x_form, y_form)) for one in drawn]
    return _svg(title, drawn, told, body)


def _scales(marks: Sequence[Mark]) -> tuple[Scale, Scale]:
    xs = [mark.x for mark in marks] + [end for mark in marks for end in _ends(mark.x_interval)]
    ys = [mark.y for mark in marks] + [end for mark in marks for end in _ends(mark.y_interval)]
    left, right = linear_bounds(xs, zero=False)
    low, high = linear_bounds(ys, zero=False)
    left = max(left, 0.0) if min(xs) >= 0 else left
    return (
        Scale(left, right, _LEFT, SCATTER_WIDTH - _RIGHT),
        Scale(max(low, -0.04), min(high, 1.04), SCATTER_HEIGHT - _BOTTOM, _TOP),
    )


def _ends(interval: tuple[float, float] | None) -> tuple[float, ...]:
    return interval if interval is not None and all(map(math.isfinite, interval)) else ()


def _drawn(place: int, mark: Mark, x: Scale, y: Scale, front: bool, reference: bool) -> _Drawn:
    look = place if mark.look is None else mark.look
    shape = "diamond" if reference else _SHAPES[look // COLOURS % len(_SHAPES)]
    # XML has no way to say most control characters, nor half of a surrogate pair.
    named = replace(mark, name="".join(c if c.isprintable() else "?" for c in mark.name))
    return _Drawn(named, x(mark.x), y(mark.y), look % COLOURS, shape, front)


def _front(corners: Sequence[tuple[float, float]]) -> str:
    """Along and up from point to point, then on to the right."""
    if not corners:
        return ""
    way = "".join(f"H{x:.1f}V{y:.1f}" for x, y in corners[1:])
    start = f"M{corners[0][0]:.1f} {corners[0][1]:.1f}"
    return f'<path class="front" d="{start}{way}H{SCATTER_WIDTH - _RIGHT}"/>'


def _steps(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """The strokes of :func:`_front`."""
    across, up = [], []
    for (x, y), (end, above) in zip(corners, [*corners[1:], (float(SCATTER_WIDTH - _RIGHT), None)], strict=False):
        across.append(Box(x, y, end, y))
        if above is not None:
            up.append(Box(end, min(above, y), end, max(above, y)))
    return across + up


def _whiskers(at: _Drawn, x: Scale, y: Scale) -> list[Box]:
    """The strokes of both intervals, with their caps."""
    strokes = []
    if ends := _ends(at.mark.x_interval):
        left, right = map(x, ends)
        strokes += [Box(left, at.y, right, at.y), *(Box(end, at.y - 4, end, at.y + 4) for end in (left, right))]
    if ends := _ends(at.mark.y_interval):
        bottom, top = map(y, ends)
        strokes += [Box(at.x, top, at.x, bottom), *(Box(at.x - 4, end, at.x + 4, end) for end in (bottom, top))]
    return strokes


def _clipped(name: str) -> str:
    return name if len(name) <= _MOST_CHARACTERS else name[: _MOST_CHARACTERS - 1] + "…"


def _line(ends: Sequence[float], kind: str) -> str:
    x1, y1, x2, y2 = ends
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _axes(x: Scale, y: Scale, names: tuple[str, str], forms: tuple[Format, Format]) -> str:
    right, bottom = SCATTER_WIDTH - _RIGHT, SCATTER_HEIGHT - _BOTTOM
    parts = [f'<text x="16" y="16">{escape(names[1])}</text>']
    for tick in nice_ticks(y.low, y.high):
        if 0 <= tick <= 1:
            parts.append(_line((_LEFT, y(tick), right, y(tick)), "grid"))
            parts.append(
                f'<text x="{_LEFT - 8}" y="{y(tick) + 5:.1f}" text-anchor="end">{escape(forms[1](tick))}</text>'
            )
    for tick in nice_ticks(x.low, x.high, 9):
        parts.append(_line((x(tick), _TOP, x(tick), bottom), "grid"))
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{escape(forms[0](tick))}</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle:.0f}" y="{SCATTER_HEIGHT - 6}" text-anchor="middle">{escape(names[0])}</text>')
    return "".join(parts)


def _shape(one: _Drawn) -> str:
    kind, x, y, r = f"mark {'full' if one.front else 'hollow'} h{one.hue}", one.x, one.y, _RADIUS
    if one.shape == "circle":
        return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{r - 1:.1f}"/>'
    corners = {
        "square": ((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)),
        "triangle": ((0, -1), (1, 0.8), (-1, 0.8)),
        "diamond": ((0, -1.15), (1.15, 0), (0, 1.15), (-1.15, 0)),
    }[one.shape]
    points = " ".join(f"{x + a * r:.1f},{y + b * r:.1f}" for a, b in corners)
    return f'<polygon class="{kind} {one.shape}" points="{points}"/>'


def _told(mark: Mark, names: tuple[str, str], forms: tuple[Format, Format]) -> str:
    """The point in words: '61.2% (58% to 64%) accuracy, 812 (790 to 834) tokens a response'."""

    def value(at: float, interval: tuple[float, float] | None, form: Format) -> str:
        ends = _ends(interval)
        return f"{form(at)} ({form(ends[0])} to {form(ends[1])})" if ends else form(at)

    x, y = value(mark.x, mark.x_interval, forms[0]), value(mark.y, mark.y_interval, forms[1])
    return f"{y} {names[1]}, {x} {names[0]}"


def _svg(title: str, drawn: Sequence[_Drawn], told: Sequence[str], body: Sequence[str]) -> str:
    """The chart; under the pointer are the nearest point and those as good as above or below it."""
    hover = {
        "pixels": [round(one.x, 1) for one in drawn],
        "labels": [title] * len(drawn),
        "rows": [
            {
                "name": row.mark.name,
                "hue": row.hue,
                "values": [words if abs(row.x - one.x) <= _NEAR else None for one in drawn],
            }
            for row, words in zip(drawn, told, strict=True)
        ],
    }
    values = "; ".join(
        f"{one.mark.name}{', on the front' if one.front else ''}: {words}"
        for one, words in zip(drawn, told, strict=True)
    )
    return (
        f'<svg class="chart scatter" viewBox="0 0 {SCATTER_WIDTH} {SCATTER_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}: {escape(values)}" '
        f'data-hover="{escape(json.dumps(hover, ensure_ascii=False))}" xmlns="http://www.w3.org/2000/svg">'
        + "".join(body)
        + "</svg>"
    )
