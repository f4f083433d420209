"""A chart as data: a Vega-Lite specification, which :mod:`perilune.report.drawing` makes a picture of.

Of all its marks only those that carry words speak to screen readers: the layer ``hover``, or points that describe
themselves. The page's script shows the same words under the pointer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perilune.report.palette import GRID, QUIET, hue

Spec = dict[str, Any]

SILENT: Spec = {"aria": False}
"""Of a mark that screen readers pass over."""
QUANTITY: Spec = {"type": "quantitative"}
_NOTHING = "–"
_CHARACTER, _SWATCH, _GAPS = 7.2, 16, (10, 18)
"""Pixels of a legend: a character as Vega measures it, a swatch, and the least and the most between columns."""
_TEXT: Spec = {"labelColor": QUIET, "titleColor": QUIET, "labelFontSize": 12, "titleFontSize": 12}
_CONFIG: Spec = {
    "background": "transparent",
    # Measures text and no more, for the page chooses its font: wide enough that what is shown keeps inside.
    "font": "monospace",
    "view": {"stroke": None},
    "axis": {
        **_TEXT,
        **SILENT,
        "domain": False,
        "ticks": False,
        "gridColor": GRID,
        "labelPadding": 7,
        "titleFontWeight": "normal",
    },
    "axisX": {"titlePadding": 6},
    "legend": {
        **_TEXT,
        **SILENT,
        "orient": "top",
        "symbolType": "square",
        "symbolSize": 121,
        "symbolStrokeWidth": 0,
        "symbolOpacity": 1,
        "labelLimit": 380,
        "rowPadding": 4,
        "offset": 8,
    },
}


@dataclass(frozen=True, slots=True)
class Chart:
    """What is to be drawn."""

    spec: Spec
    """Vega-Lite with its own data; it loads nothing."""
    summary: str
    """Title and values in words, for those who do not see the drawing."""
    width: int
    height: int
    """Pixels of the whole."""
    hues: tuple[int, ...]
    """Colours of what a hover mark tells, in its order, or of the points."""


def framed(spec: Spec, summary: str, size: tuple[int, int], hues: Sequence[int]) -> Chart:
    """The chart of a specification, with the look that all have.

    Args:
        spec: what to draw, and how where it differs from the others; any string may be in it.
        summary: title and values in words.
        size: (width, height) of the whole in pixels.
        hues: see :attr:`Chart.hues`.
    """
    frame = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": size[0],
        "height": size[1],
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": {"left": 6, "right": 10, "top": 8, "bottom": 4},
        "config": _CONFIG,
    }
    return Chart(_plain({**frame, **spec}), plain(summary), *size, tuple(hues))


def plain(text: str) -> str:
    """The text with a question mark for each character that is not to be seen; XML cannot say some of them."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _plain(part: Any) -> Any:
    if isinstance(part, str):
        return plain(part)
    if isinstance(part, Mapping):
        return {key: _plain(value) for key, value in part.items()}
    return [_plain(one) for one in part] if isinstance(part, list | tuple) else part


def colour(entries: Sequence[tuple[str, int]], width: int) -> Spec:
    """The channel ``color`` of the field ``series``, with a legend if there are several.

    Args:
        entries: (name, hue) of each series.
        width: pixels that the legend may take.
    """
    names = [name for name, _ in entries]
    columns, gap = _columns(names, width)
    return {
        "field": "series",
        "type": "nominal",
        "title": None,
        "scale": {"domain": names, "range": [hue(number) for _, number in entries]},
        "legend": {"columns": columns, "columnPadding": gap} if len(names) > 1 else None,
    }


def _columns(names: Sequence[str], width: int) -> tuple[int, float]:
    """(as many columns as fit, the gap between them): each is as wide as its longest name."""
    least, most = _GAPS
    for columns in range(len(names), 1, -1):
        longest = [max(map(len, names[column::columns])) for column in range(columns)]
        gap = (width - _CHARACTER * sum(longest)) / columns - _SWATCH
        if gap >= least:
            return columns, min(gap, most)
    return 1, most


def hover_layer(labels: Sequence[tuple[float, str]]) -> Spec:
    """An invisible line over the whole height at each x, which says in words what stands there.

    Args:
        labels: (x, words as of :func:`told`).
    """
    return {
        "name": "hover",
        "data": {"values": [{"x": at, "told": words} for at, words in labels]},
        "mark": {"type": "rule", "opacity": 0},
        "encoding": {
            "x": {"field": "x", **QUANTITY},
            "color": {"value": "transparent"},
            "description": {"field": "told", "type": "nominal"},
        },
    }


def told(head: str, parts: Sequence[tuple[str, str | None]]) -> str:
    """'iteration 3; reward: 0.41; base: –', which the page's script takes apart again at the semicolons."""
    return "; ".join(
        [head.replace(";", ","), *(f"{name.replace(';', ',')}: {value or _NOTHING}" for name, value in parts)]
    )
