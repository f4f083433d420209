"""The funnel of a curation as plain text for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from perilune.report.curation_data import BANDS, COUNTS, DROPPED, PROBLEMS, Counts, CurationData, StepCounts
from perilune.report.curation_words import reason_term
from perilune.report.formats import percent

_COLUMNS = 100
_NAME, _BAR, _TAG = 14, 24, 38
_MOST_TAGS = 10
_STAYS, _GOES = "█", "░"


def funnel_lines(data: CurationData) -> list[str]:
    """What each step kept and dropped, bands and tags before and after, and where the files are.

    Returns:
        Lines of at most 100 columns, wide characters counted as two; a path or a name may be longer. None of them
        holds a control character, whatever a file says.
    """
    lines = [_headline(data)]
    if data.steps:
        lines += ["", f"  {_STAYS} stays  {_GOES} goes"]
    for step in data.steps:
        lines += _step_lines(step, data.entered)
    if data.running:
        run = data.running
        lines.append(f"  {_fit(run.name, _NAME)} {run.done:,} of {run.total:,} so far")
    if data.difficulty:
        title = f"Bands, by pass rate of {data.difficulty.samples} answers"
        lines += _distribution(title, data.difficulty.bands, _NAME, order=BANDS)
    lines += _distribution("Domain and discipline", data.tags, _TAG)
    lines.append("")
    lines += [f"{what}: {_plain(str(data.folder / name))}" for what, name in _files(data)]
    return lines


def _headline(data: CurationData) -> str:
    model = f" with {_plain(data.model)}" if data.model else ""
    state = "" if data.finished else " (not finished)"
    if not data.steps:
        return f"{_plain(data.name)}{model}: no step is done yet"
    share = f" ({percent(data.kept / data.entered)})" if data.entered else ""
    return f"{_plain(data.name)}{model}: {data.kept:,} of {data.entered:,} problems stay{share}{state}"


def _step_lines(step: StepCounts, whole: int) -> list[str]:
    """One line, and more below it where the reasons do not fit."""
    numbers = f"{step.entered:>7,} → {step.kept:>7,}"
    start = f"  {_fit(step.name, _NAME)} {numbers}  {_bar(step.kept, step.entered, whole)}  "
    reasons = [f"{_plain(reason_term(reason).name)} {count:,}" for reason, count in step.reasons]
    wrapped = _wrapped(reasons, _COLUMNS - cell_len(start)) or [""]
    return [(start + wrapped[0]).rstrip(), *(" " * cell_len(start) + line for line in wrapped[1:])]


def _distribution(title: str, counts: Counts, width: int, order: Sequence[str] = ()) -> list[str]:
    before, after = dict(counts.before), dict(counts.after)
    rows = _rows(before, after, order)
    if not rows:
        return []
    largest = max(max(first, last) for _, first, last in rows)
    lines = ["", f"{title}: before → after"]
    for name, first, last in rows:
        lines.append(f"  {_fit(name, width)} {first:>7,} → {last:>7,}  {_bar(last, first, largest)}".rstrip())
    return lines


def _rows(before: Mapping[str, int], after: Mapping[str, int], order: Sequence[str]) -> list[tuple[str, int, int]]:
    """(name, before, after): in the order, or the largest first and the smallest summed."""
    rows = [(name, before.get(name, 0), after.get(name, 0)) for name in dict.fromkeys([*before, *after])]
    if order:
        return sorted(rows, key=lambda row: order.index(row[0]) if row[0] in order else len(order))
    rows.sort(key=lambda row: (-row[1], -row[2], row[0]))
    if len(rows) <= _MOST_TAGS:
        return rows
    rest = rows[_MOST_TAGS - 1 :]
    return [*rows[: _MOST_TAGS - 1], (f"{len(rest)} others", sum(r[1] for r in rest), sum(r[2] for r in rest))]


def _files(data: CurationData) -> Iterable[tuple[str, str]]:
    named = (("kept   ", PROBLEMS), ("dropped", DROPPED), ("counts ", COUNTS), ("report ", "report.html"))
    return [(what, name) for what, name in named if (data.folder / name).is_file()]


def _bar(kept: int, entered: int, largest: int) -> str:
    """What stays and what goes of the problems that came in; whatever there is has a mark."""
    if not largest:
        return " " * _BAR
    stays = max(round(_BAR * kept / largest), int(kept > 0))
    whole = max(round(_BAR * entered / largest), stays)
    if entered > kept and whole == stays:
        # Few go: one mark of those that stay makes room for them.
        stays, whole = (stays - 1, whole) if stays > 1 else (stays, stays + 1)
    return (_STAYS * stays + _GOES * (whole - stays)).ljust(_BAR)


def _wrapped(parts: Sequence[str], width: int) -> list[str]:
    """The parts with commas between them, in lines of at most this width where a part allows it."""
    lines: list[str] = []
    for place, part in enumerate(parts):
        text = part + ("," if place + 1 < len(parts) else "")
        if lines and cell_len(lines[-1]) + 1 + cell_len(text) <= width:
            lines[-1] += " " + text
        else:
            lines.append(_cut(text, width))
    return lines


def _fit(text: str, width: int) -> str:
    """The text in just so many columns."""
    return set_cell_size(_cut(_plain(text), width), width)


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _plain(text: str) -> str:
    """One line without control characters, surrogates and marks that turn the direction of text."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
