"""Charts as SVG text: no scripts, no external resources; colours come from :data:`CHART_CSS`.

Each chart carries what it shows twice: drawn, and as JSON in ``data-hover``, which the report's script reads to show
the values under the pointer.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from perilune.report.axes import (
    Format,
    Scale,
    decades,
    linear_bounds,
    log_bounds,
    nice_ticks,
    number,
    whole_ticks,
)

WIDTH, HEIGHT = 440, 240
_LEFT, _RIGHT, _BOTTOM = 50, 14, 38
_LEGEND_LINE = 20
_CHARACTER = 6.6
"""About the width of a character of 12 px."""

# Six hues that keep 3:1 against either background; order puts unlike ones side by side.
_LIGHT = ("#2563c9", "#c2571a", "#0f8a6b", "#8a4fc7", "#b03060", "#6b7280")
_DARK = ("#6ea8ff", "#ff9d5c", "#3ecfa3", "#c49bff", "#ff8fb1", "#9aa3af")
COLOURS = len(_LIGHT)


def _palette(colours: Sequence[str], ink: str, quiet: str, grid: str, surface: str) -> str:
    hues = "".join(f"--hue-{index}:{colour};" for index, colour in enumerate(colours))
    return f":root{{{hues}--ink:{ink};--quiet:{quiet};--grid:{grid};--surface:{surface}}}"


CHART_CSS = "\n".join(
    [
        _palette(_LIGHT, "#1b1f27", "#59616e", "#dfe3e8", "#ffffff"),
        "@media (prefers-color-scheme: dark){",
        _palette(_DARK, "#e8ebf0", "#a3acb9", "#343b46", "#181c23"),
        "}",
        "svg.chart text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:var(--quiet)}",
        ".grid{stroke:var(--grid);stroke-width:1}",
        ".line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}",
        ".interval{stroke-width:1.5;opacity:.75}",
        ".dot{stroke:var(--surface);stroke-width:1.5}",
        *(
            f".line.h{i},.interval.h{i}{{stroke:var(--hue-{i})}}.dot.h{i},.bar.h{i}{{fill:var(--hue-{i})}}"
            for i in range(COLOURS)
        ),
    ]
)
"""Style sheet of every chart, for light and dark."""


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
) -> str:
    """Lines over a common x; "" if there is nothing to draw.

    Args:
        title: for screen readers; not drawn.
        series: one legend entry each, if there are several.
        x_name: what x counts.
        form: how a y value is told.
        log: logarithmic y; values at or below 0 are left out.
        zero: let a linear y begin at 0.
    """
    drawn = [line for line in (_drawable(s, log) for s in series) if line is not None]
    if not drawn:
        return ""
    values = [y for s in drawn for _, y in s.points if y is not None]
    values += [end for s in drawn for pair in s.intervals if pair for end in pair if end > 0 or not log]
    low, high = log_bounds(values) if log else linear_bounds(values, zero=zero)
    xs = sorted({x for s in drawn for x, _ in s.points})
    legend, top = _legend([(s.name, s.hue) for s in drawn])
    x = Scale(xs[0], xs[-1] if xs[-1] > xs[0] else xs[0] + 1, _LEFT + 8, WIDTH - _RIGHT - 8)
    y = Scale(low, high, HEIGHT - _BOTTOM, top, log)
    y_ticks = decades(low, high) if log else nice_ticks(low, high)
    body = [legend, _axes(x, y, whole_ticks(xs[0], xs[-1]), y_ticks, x_name, form)]
    body += [_line(s, x, y) for s in drawn]
    rows = [(s.name, s.hue, _told(s, xs, form)) for s in drawn]
    return _svg(title, body, [x(at) for at in xs], [f"{x_name} {at:g}" for at in xs], rows)


def stacked_bars(
    title: str, layers: Sequence[Series], *, x_name: str = "iteration", form: Format = number, top: float | None = None
) -> str:
    """One bar per x, its layers stacked from the first up; "" if there is nothing to draw.

    Args:
        title: for screen readers; not drawn.
        layers: all over the same xs; one legend entry each.
        x_name: what x counts.
        form: how a y value is told.
        top: the upper end of y, if it is known: 1 for shares.
    """
    totals: dict[float, float] = {}
    for layer in layers:
        for at, value in layer.points:
            if value is not None and math.isfinite(value):
                totals[at] = totals.get(at, 0.0) + max(value, 0.0)
    if not totals or max(totals.values()) <= 0:
        return ""
    xs = sorted(totals)
    legend, upper = _legend([(layer.name, layer.hue) for layer in layers])
    spacing = min((b - a for a, b in itertools.pairwise(xs)), default=1.0)
    x = Scale(xs[0] - spacing / 2, xs[-1] + spacing / 2, _LEFT, WIDTH - _RIGHT)
    y = Scale(
        0.0, top if top is not None else linear_bounds(list(totals.values()), zero=True)[1], HEIGHT - _BOTTOM, upper
    )
    width = min(40.0, (x(spacing) - x(0)) * 0.82)
    body = [legend, _axes(x, y, whole_ticks(xs[0], xs[-1]), nice_ticks(0.0, y.high), x_name, form)]
    base = dict.fromkeys(xs, 0.0)
    for layer in layers:
        for at, value in layer.points:
            if value is None or not math.isfinite(value) or value <= 0:
                continue
            bottom, upto = y(base[at]), y(base[at] + value)
            # A sliver of the background tells neighbouring layers apart without relying on their hues.
            height = max(bottom - upto - 0.8, 0.4)
            body.append(_rectangle(x(at) - width / 2, upto, width, height, f"bar h{layer.hue}"))
            base[at] += value
    rows = [(layer.name, layer.hue, _told(layer, xs, form)) for layer in layers]
    return _svg(title, body, [x(at) for at in xs], [f"{x_name} {at:g}" for at in xs], rows)


def interval_bar(value: float, low: float, high: float) -> str:
    """A share on a small track from 0 to 1, with its interval."""
    x = Scale(0.0, 1.0, 4, 196)
    return (
        '<svg class="chart track" viewBox="0 0 200 14" aria-hidden="true" xmlns="http://www.w3.org/2000/svg">'
        '<line class="grid" x1="4" y1="7" x2="196" y2="7"/>'
        f'<line class="line h0" style="opacity:.45;stroke-width:6" x1="{x(low):.1f}" y1="7" x2="{x(high):.1f}" y2="7"/>'
        f'<circle class="dot h0" cx="{x(value):.1f}" cy="7" r="5"/></svg>'
    )


def _drawable(series: Series, log: bool) -> Series | None:
    """The series without what cannot be drawn; None if nothing is left."""
    kept = tuple(
        (x, y if y is not None and math.isfinite(y) and (y > 0 or not log) else None) for x, y in series.points
    )
    if all(y is None for _, y in kept):
        return None
    return Series(series.name, series.hue, kept, series.intervals, series.dots)


def _legend(entries: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """(legend, where the plot begins); a single series needs no legend."""
    if len(entries) < 2:
        return "", 12
    parts, x, line = [], float(_LEFT), 0
    for name, hue in entries:
        width = 18 + len(name) * _CHARACTER + 14
        if x + width > WIDTH and x > _LEFT:
            x, line = float(_LEFT), line + 1
        middle = 12 + line * _LEGEND_LINE
        parts.append(_rectangle(x, middle - 5, 11, 11, f"bar h{hue}"))
        parts.append(f'<text x="{x + 17:.0f}" y="{middle + 5}">{escape(name)}</text>')
        x += width
    return "".join(parts), 12 + (line + 1) * _LEGEND_LINE


def _axes(x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float], x_name: str, form: Format) -> str:
    parts = []
    for tick in y_ticks:
        at = y(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{at:.1f}" x2="{WIDTH - _RIGHT}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{escape(form(tick))}</text>')
    for tick in x_ticks:
        parts.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - _BOTTOM + 17}" text-anchor="middle">{tick:g}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_name)}</text>')
    return "".join(parts)


def _line(series: Series, x: Scale, y: Scale) -> str:
    parts = []
    for (at, value), pair in zip(series.points, series.intervals, strict=False):
        if value is not None and pair is not None and (pair[0] > 0 or not y.log):
            ends = f'x1="{x(at):.1f}" y1="{y(pair[0]):.1f}" x2="{x(at):.1f}" y2="{y(pair[1]):.1f}"'
            parts.append(f'<line class="interval h{series.hue}" {ends}/>')
            for end in pair:
                cap = f'x1="{x(at) - 4:.1f}" y1="{y(end):.1f}" x2="{x(at) + 4:.1f}" y2="{y(end):.1f}"'
                parts.append(f'<line class="interval h{series.hue}" {cap}/>')
    path, pen_down, lone = [], False, []
    for index, (at, value) in enumerate(series.points):
        if value is None:
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{x(at):.1f} {y(value):.1f}")
        followed = index + 1 < len(series.points) and series.points[index + 1][1] is not None
        if series.dots or not (pen_down or followed):
            lone.append(f'<circle class="dot h{series.hue}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="4"/>')
        pen_down = True
    return "".join([*parts, f'<path class="line h{series.hue}" d="{"".join(path)}"/>', *lone])


def _rectangle(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1"/>'


def _told(series: Series, xs: Sequence[float], form: Format) -> list[str | None]:
    """The series' value at each x in words, with its interval; None where it has none."""
    told = {x: form(y) for x, y in series.points if y is not None and math.isfinite(y)}
    for (x, _), pair in zip(series.points, series.intervals, strict=False):
        if x in told and pair is not None:
            told[x] += f" ({form(pair[0])} to {form(pair[1])})"
    return [told.get(x) for x in xs]


def _svg(
    title: str,
    body: Sequence[str],
    pixels: Sequence[float],
    labels: Sequence[str],
    rows: Sequence[tuple[str, int, list[str | None]]],
) -> str:
    hover = {
        "pixels": [round(pixel, 1) for pixel in pixels],
        "labels": list(labels),
        "rows": [{"name": name, "hue": hue, "values": values} for name, hue, values in rows],
    }
    ends = "; ".join(_first_and_last(name, values) for name, _, values in rows)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}: {escape(ends)}" '
        f'data-hover="{escape(json.dumps(hover, ensure_ascii=False))}" xmlns="http://www.w3.org/2000/svg">'
        + "".join(body)
        + "</svg>"
    )


def _first_and_last(name: str, values: Sequence[str | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{name} from {known[0]} to {known[-1]}" if known else name
