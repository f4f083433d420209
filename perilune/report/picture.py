"""Charts as an SVG file of its own, for a README: with its style, for light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from perilune.report.chart import Chart, plain
from perilune.report.drawing import draw
from perilune.report.palette import CHART_CSS, INK, QUIET, SURFACE

_EMPTY = (440, 120)
_HEAD, _FOOT, _MARGIN = 40, 34, 16


def picture_of(panels: Sequence[tuple[str, Chart | None]], name: str = "") -> str:
    """Charts drawn side by side.

    Args:
        panels: (title above it, chart); those with nothing to draw are left out.
        name: of what they show, for screen readers.
    """
    drawings = draw([chart for _, chart in panels])
    drawn = [(title, chart, svg) for (title, chart), svg in zip(panels, drawings, strict=True) if chart is not None]
    titles = ", ".join(title for title, _, _ in drawn)
    return picture(f"{name}: {titles}" if name else titles, drawn)


def picture(label: str, panels: Sequence[tuple[str, Chart, str]], *, foot: str = "") -> str:
    """Drawings side by side.

    Args:
        label: what it all shows, for screen readers.
        panels: (title above it, chart, its drawing); without one, the foot is all there is.
        foot: a line below them.
    """
    width = sum(chart.width for _, chart, _ in panels) or _EMPTY[0]
    below = max((_HEAD + chart.height for _, chart, _ in panels), default=_EMPTY[1] - _FOOT)
    height = below + (_FOOT if foot else 0)
    parts = [
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(plain(label))}"><style>{CHART_CSS}</style>'
        f'<rect width="{width}" height="{height}" rx="8" fill="{SURFACE}"/>'
    ]
    left = 0
    for title, chart, svg in panels:
        parts.append(_text(left + _MARGIN, 27, f'font-size="16px" font-weight="600" fill="{INK}"', title))
        place = f'<svg x="{left}" y="{_HEAD}" width="{chart.width}" height="{chart.height}" '
        parts.append(svg.replace("<svg ", place, 1))
        left += chart.width
    if foot:
        parts.append(_text(_MARGIN, height - 14, f'font-size="13px" fill="{QUIET}"', foot))
    return "".join([*parts, "</svg>\n"])


def _text(x: int, y: int, look: str, words: str) -> str:
    return f'<text x="{x}" y="{y}" {look}>{escape(plain(words))}</text>'
