"""Charts with what is said about them, and how all those of a page become markup at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from perilune.report.chart import Chart
from perilune.report.drawing import draw


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its title and what it means."""

    title: str
    note: str
    chart: Chart | str | None
    """A string is markup, which needs no drawing; there is nothing to show in "" and None."""


def shown(*groups: Sequence[Figure]) -> list[list[tuple[Figure, Markup]]]:
    """Each group's figures with their markup; all charts are drawn in one go."""
    charts = [figure.chart for group in groups for figure in group]
    drawings = iter(draw([chart if isinstance(chart, Chart) else None for chart in charts]))

    def markup(figure: Figure) -> Markup:
        drawing = next(drawings)
        return Markup(figure.chart if isinstance(figure.chart, str) else drawing)

    return [[(figure, markup(figure)) for figure in group] for group in groups]
