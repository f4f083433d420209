"""Which charts a curation is shown by, and what each of them says."""

from __future__ import annotations

from collections.abc import Sequence

from perilune.report.bars import AFTER_HUE, BEFORE_HUE, horizontal_bars, paired_rows
from perilune.report.chart import Chart
from perilune.report.curation_data import BANDS, Counts, CurationData, Difficulty, Guesses
from perilune.report.figures import Figure
from perilune.report.formats import count, percent
from perilune.report.series import Series, stacked_bars

_MOST_TAGS = 18
_LEGEND = (("before", BEFORE_HUE), ("after", AFTER_HUE))


def distributions(data: CurationData) -> list[Figure]:
    """Difficulty, bands and guesses; charts without data are left out."""
    found = []
    if data.difficulty:
        found += [
            Figure(
                "Right answers",
                f"Problems by how many of {data.difficulty.samples} answers were right: 0 is out of the model's "
                "reach, all is no work. Both parts of a bar together are the problems before.",
                _split("Right answers", data.difficulty),
            ),
            Figure(
                "Bands",
                "Pass rates in coarse bands, which a curriculum draws from: before, and among the problems that stay.",
                band_bars(data.difficulty.bands),
            ),
        ]
    if data.guess:
        found.append(_guess_figure(data.guess))
    return [figure for figure in found if figure.chart]


def tag_bars(tags: Counts) -> str:
    """Problems by domain/discipline, before and after; "" if none is labelled."""
    rows = paired_rows(dict(tags.before), dict(tags.after), most=_MOST_TAGS)
    return horizontal_bars("Problems by domain and discipline", rows, legend=_LEGEND)


def band_bars(bands: Counts) -> str:
    """Problems by band, before and after."""
    rows = paired_rows(dict(bands.before), dict(bands.after), order=BANDS)
    return horizontal_bars("Problems by band", rows, legend=_LEGEND)


def _split(title: str, found: Difficulty) -> Chart | None:
    gone = [max(0, before - after) for before, after in zip(found.before, found.after, strict=True)]
    layers = [_layer("stay", AFTER_HUE, found.after), _layer("dropped", 1, gone)]
    return stacked_bars(title, layers, x_name="right answers", form=count)


def _guess_figure(found: Guesses) -> Figure:
    asked, hit = sum(found.hits), sum(found.hits[1:])
    share = f" ({percent(hit / asked)})" if asked else ""
    note = (
        f"{hit:,} of {asked:,} problems{share} were guessed without reasoning at least once in {found.attempts} "
        "attempts; here is how often. The others never were."
    )
    # Those that were never guessed are most of all and would dwarf the rest.
    points = tuple((float(at), float(count)) for at, count in enumerate(found.hits) if at)
    layers = [Series("problems", 1, points)]
    return Figure("Right guesses", note, stacked_bars("Right guesses", layers, x_name="right guesses", form=count))


def _layer(name: str, hue: int, counts: Sequence[int]) -> Series:
    return Series(name, hue, tuple((float(at), float(count)) for at, count in enumerate(counts)))
