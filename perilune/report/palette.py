"""The colours of every page, for light and dark; drawings name them as CSS custom properties, so one serves both."""

from __future__ import annotations

from collections.abc import Sequence

# Six hues that keep 3:1 against either background; order puts unlike ones side by side.
_LIGHT = ("#2563c9", "#c2571a", "#0f8a6b", "#8a4fc7", "#b03060", "#6b7280")
_DARK = ("#6ea8ff", "#ff9d5c", "#3ecfa3", "#c49bff", "#ff8fb1", "#9aa3af")
COLOURS = len(_LIGHT)
INK, QUIET, GRID, SURFACE = "var(--ink)", "var(--quiet)", "var(--grid)", "var(--surface)"


def hue(index: int) -> str:
    """The colour of this number, as CSS; they come round again."""
    return f"var(--hue-{index % COLOURS})"


def _properties(colours: Sequence[str], ink: str, quiet: str, grid: str, surface: str) -> str:
    hues = "".join(f"--hue-{index}:{colour};" for index, colour in enumerate(colours))
    return f":root{{{hues}--ink:{ink};--quiet:{quiet};--grid:{grid};--surface:{surface}}}"


CHART_CSS = "\n".join(
    [
        _properties(_LIGHT, "#1b1f27", "#59616e", "#dfe3e8", "#ffffff"),
        "@media (prefers-color-scheme: dark){",
        _properties(_DARK, "#e8ebf0", "#a3acb9", "#343b46", "#181c23"),
        "}",
        "svg.chart text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}",
        # What Vega has no word for: letters that stay legible over lines, and a mark that shows itself when pointed at.
        f"svg.chart .names_marks text{{paint-order:stroke;stroke:{SURFACE};stroke-width:4px;stroke-linejoin:round}}",
        f"svg.chart .hover_marks .shown{{stroke:{QUIET};stroke-dasharray:3 3;opacity:1}}",
    ]
)
"""The style sheet of every page and picture with charts."""
