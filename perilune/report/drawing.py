"""Charts become SVG in a process apart, so that nothing that happens to it touches the one that asks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

from perilune.report.chart import Chart, plain
from perilune.report.palette import QUIET

RENDERER = (sys.executable, "-P", "-m", "perilune.report.vega")
_CHARACTER, _LINE = 7, 17
"""Pixels of a character of 12 px, and of a line."""


def draw(
    charts: Sequence[Chart | None], *, command: Sequence[str] = RENDERER, timeout_seconds: float = 120.0
) -> list[str]:
    """Each chart as ``<svg>``, to be put into a page as it is.

    One that cannot be drawn becomes the words why, and of what it would have shown; nothing is raised.

    Args:
        charts: drawn in one process, if there are any; of None there is nothing to draw, which is "".
        command: what draws, as :mod:`perilune.report.vega` describes.
        timeout_seconds: of all of them together.
    """
    asked = [chart for chart in charts if chart is not None]
    answers, why = _answers(asked, command, timeout_seconds) if asked else ([], "")
    answers += [{"why": why}] * (len(asked) - len(answers))
    drawings = iter(
        answer["svg"] if "svg" in answer else _excuse(chart, answer["why"])
        for chart, answer in zip(asked, answers, strict=True)
    )
    return ["" if chart is None else next(drawings) for chart in charts]


def _answers(
    charts: Sequence[Chart], command: Sequence[str], timeout_seconds: float
) -> tuple[list[dict[str, str]], str]:
    """What the process says of the charts, from the first, and why it says no more."""
    try:
        done = subprocess.run(
            command,
            input=json.dumps([asdict(chart) for chart in charts]).encode("ascii"),
            capture_output=True,
            timeout=timeout_seconds,
            # It finds what this process finds, and Ctrl-C, which ends a run in order, does not reach it.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)},
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [], f"drawing took more than {timeout_seconds:g} s"
    except OSError as error:
        return [], f"no process to draw could be started ({error.strerror or error})"
    answers = []
    for line in done.stdout.splitlines()[: len(charts)]:
        try:
            answers.append(json.loads(line))
        except ValueError:
            break
    return answers, _end(done)


def _end(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        number = -done.returncode
        return f"the process that draws was ended by signal {number} ({signal.strsignal(number)})"
    words = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
    return words[-1] if words else f"the process that draws ended with status {done.returncode}"


def _excuse(chart: Chart, why: str) -> str:
    """A drawing of words in the chart's place."""
    said, room = f"This chart could not be drawn: {plain(why)}.", chart.width // _CHARACTER
    lines = textwrap.wrap(said, room) + textwrap.wrap(chart.summary, room)
    most = chart.height // _LINE - 1
    shown = lines if len(lines) <= most else [*lines[: most - 1], "…"]
    text = "".join(f'<tspan x="8" dy="{_LINE}">{escape(line)}</tspan> ' for line in shown)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {chart.width} {chart.height}" role="img" '
        f'aria-label="{escape(f"{said} {chart.summary}")}"><text font-size="12px" fill="{QUIET}">{text}</text></svg>'
    )
