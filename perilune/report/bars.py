"""Horizontal bars with labels of any length, as markup that flows with the page: readable on a phone, without scripts.

All bars of a chart have one scale. Every length is told as a figure too, so nothing depends on the drawing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from perilune.report.formats import percent
from perilune.report.palette import COLOURS, GRID, SURFACE, hue

BEFORE_HUE, AFTER_HUE = COLOURS - 1, 0

BARS_CSS = "\n".join(
    [
        # Labels stand beside the bars where the chart itself is wide, however wide the window is.
        ".barchart{container-type:inline-size;min-width:0}",
        ".bars{list-style:none;margin:0;padding:0;display:grid;gap:11px}",
        ".bars>li{display:grid;grid-template-columns:minmax(0,1fr);gap:2px 14px}",
        ".bars .name{font-size:.92rem;line-height:1.35;overflow-wrap:anywhere;unicode-bidi:isolate}",
        ".bars .tracks{display:grid;gap:2px;align-content:start;min-width:0}",
        ".bars .track{display:grid;grid-template-columns:minmax(0,1fr) 7.4em;gap:10px;align-items:center}",
        ".bars .rail{display:flex;gap:1px;height:12px;background:color-mix(in srgb,var(--grid) 45%,transparent);"
        "border-radius:3px;overflow:hidden}",
        ".bars .tall .rail{height:22px}",
        ".bars .rail b{display:block;min-width:2px}",
        ".bars .figure{font-size:.84rem;line-height:1.2;color:var(--quiet);font-variant-numeric:tabular-nums;"
        "white-space:nowrap}",
        ".bars .parts,.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:.84rem;color:var(--quiet)}",
        ".legend{padding:0 0 10px}",
        ".swatch{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}",
        *(f".fill{i}{{background:var(--hue-{i})}}" for i in range(COLOURS)),
        "@container (min-width:520px){.bars>li{grid-template-columns:minmax(110px,230px) minmax(0,1fr)}"
        ".bars .parts{grid-column:2}.bars .track{grid-template-columns:minmax(0,1fr) 8.6em}}",
        "@media print{.bars .rail,.swatch{print-color-adjust:exact}}",
    ]
)
"""Style sheet of these bars; colours come from :data:`perilune.report.palette.CHART_CSS`."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a bar."""

    hue: int
    value: float
    told: str = ""
    """Named below the bar, if there is anything to tell."""


@dataclass(frozen=True, slots=True)
class Track:
    """One bar: its parts one after another, and what is told at its end."""

    parts: tuple[Part, ...]
    figure: str


@dataclass(frozen=True, slots=True)
class Row:
    """A label with its bars."""

    label: str
    tracks: tuple[Track, ...]
    href: str = ""
    """Fragment that the label links to."""


def horizontal_bars(
    title: str, rows: Sequence[Row], *, legend: Sequence[tuple[str, int]] = (), longest: float | None = None
) -> str:
    """A list of labelled bars; "" if there is nothing to draw.

    Args:
        title: for screen readers; not drawn.
        rows: from the top down.
        legend: (name, hue).
        longest: the value that fills the width; by default the largest of the rows.
    """
    largest = max((sum(p.value for p in track.parts) for row in rows for track in row.tracks), default=0.0)
    largest = longest or largest
    if largest <= 0:
        return ""
    entries = "".join(f'<span><i class="swatch fill{hue}"></i>{escape(name)}</span>' for name, hue in legend)
    key = f'<div class="legend">{entries}</div>' if legend else ""
    body = "".join(_row(row, largest) for row in rows)
    return f'<div class="barchart">{key}<ul class="bars" aria-label="{escape(title)}">{body}</ul></div>'


def paired_rows(
    before: Mapping[str, int], after: Mapping[str, int], *, most: int = 20, order: Sequence[str] = ()
) -> list[Row]:
    """Counts before and after, a row each, with their shares of all; what is beyond the most is summed as one row.

    Args:
        before: name → count.
        after: name → count.
        most: rows in all, at least 2.
        order: names in the order to show; without one, the largest come first.
    """
    names = list(dict.fromkeys([*before, *after]))
    if order:
        names.sort(key=lambda name: order.index(name) if name in order else len(order))
    else:
        names.sort(key=lambda name: (-before.get(name, 0), -after.get(name, 0), name))
    shown = names if len(names) <= most else names[: most - 1]
    rows = [(name, before.get(name, 0), after.get(name, 0)) for name in shown]
    rest = names[len(shown) :]
    if rest:
        first, last = (sum(counts.get(name, 0) for name in rest) for counts in (before, after))
        rows.append((f"{len(rest)} others", first, last))
    wholes = sum(before.values()), sum(after.values())
    return [
        Row(name, (_counted(BEFORE_HUE, first, wholes[0]), _counted(AFTER_HUE, last, wholes[1])))
        for name, first, last in rows
    ]


def interval_bar(value: float, low: float, high: float) -> str:
    """A share on a small track from 0 to 1, with its interval, as SVG; the figures stand beside it."""
    start, length = 4, 192
    at, left, right = (f"{start + length * share:.1f}" for share in (value, low, high))
    return (
        '<svg class="track" viewBox="0 0 200 14" aria-hidden="true" xmlns="http://www.w3.org/2000/svg">'
        f'<line x1="{start}" y1="7" x2="{start + length}" y2="7" stroke="{GRID}"/>'
        f'<line x1="{left}" y1="7" x2="{right}" y2="7" stroke="{hue(0)}" stroke-width="6" stroke-linecap="round" '
        f'opacity=".45"/><circle cx="{at}" cy="7" r="5" fill="{hue(0)}" stroke="{SURFACE}" stroke-width="1.5"/></svg>'
    )


def _counted(hue: int, count: int, whole: int) -> Track:
    share = f" ({percent(count / whole)})" if whole else ""
    return Track((Part(hue, count),), f"{count:,}{share}")


def _row(row: Row, largest: float) -> str:
    label = f'<a href="#{escape(row.href)}">{escape(row.label)}</a>' if row.href else escape(row.label)
    kind = ' class="tall"' if len(row.tracks) == 1 else ""
    tracks = "".join(_track(track, largest) for track in row.tracks)
    told = "".join(
        f'<span><i class="swatch fill{part.hue}"></i>{escape(part.told)}</span>'
        for track in row.tracks
        for part in track.parts
        if part.told
    )
    parts = f'<div class="parts">{told}</div>' if told else ""
    return f'<li{kind}><span class="name">{label}</span><div class="tracks">{tracks}</div>{parts}</li>'


def _track(track: Track, largest: float) -> str:
    parts = "".join(
        f'<b class="fill{part.hue}" style="width:{100 * part.value / largest:.2f}%"></b>'
        for part in track.parts
        if part.value > 0
    )
    return (
        f'<div class="track"><div class="rail" aria-hidden="true">{parts}</div>'
        f'<span class="figure">{escape(track.figure)}</span></div>'
    )
