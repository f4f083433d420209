"""What people see while a run goes on: bars on a terminal, plain lines anywhere else."""

from __future__ import annotations

import math
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from perilune.evaluation.scoring import EvaluationSummary

Advance = Callable[[int, int], None]
"""Called with (done, total)."""

_PLAIN_SECONDS = 30.0
"""Without a terminal, a task that takes long says how far it is this often."""


class Phases:
    """Shows one phase at a time; a phase begins when it first advances."""

    def __init__(self, new_bar: Callable[[str, int], _Bar]) -> None:
        self._new_bar = new_bar
        self._name: str | None = None
        self._bar: _Bar | None = None

    def advance(self, name: str, done: int, total: int) -> None:
        """Phase ``name`` has done so much of the total."""
        if name != self._name:
            self.end()
            self._name, self._bar = name, self._new_bar(name, total)
        if self._bar is not None:
            self._bar.advance(done, total)

    def end(self) -> None:
        """The present phase is over."""
        if self._bar is not None:
            self._bar.end()
        self._name = self._bar = None


class Display:
    """Progress on standard error, the outcome on standard output; use it as a context manager.

    Bars need a terminal; elsewhere there are lines without control characters. NO_COLOR is honoured.

    Args:
        quiet: show warnings and the outcome alone.
        stream: for progress; standard error by default.
        outcome: for :meth:`finish`; standard output by default.
    """

    def __init__(self, quiet: bool = False, stream: TextIO | None = None, outcome: TextIO | None = None) -> None:
        self._quiet = quiet
        self._console = _console(stream or sys.stderr)
        self._outcome = _console(outcome or sys.stdout)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Stopping what was never started would print an empty line where there is no terminal.
        if self._progress.live.is_started:
            self._progress.stop()

    def heading(self, text: str) -> None:
        """A stage begins."""
        self._say(text, "bold")

    def note(self, text: str) -> None:
        """Something worth a line; may be called from any thread."""
        self._say(text, "dim")

    def warn(self, text: str) -> None:
        """Something that people should look at; shown in quiet mode too."""
        self._console.print(Text(f"warning: {_printable(text)}", "yellow"), soft_wrap=True)

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        """A bar while the block runs; what is yielded is called with (done, total)."""
        bar = self._bar(label, total)
        try:
            yield bar.advance
        finally:
            bar.end()

    @contextmanager
    def phases(self, iterations: int) -> Iterator[Phases]:
        """A bar per phase while the block runs the iterations."""
        self.note(f"{iterations} iterations in all")
        phases = Phases(self._bar)
        try:
            yield phases
        finally:
            phases.end()

    def iteration(self, number: int, total: int, metrics: Mapping[str, float]) -> None:
        """One line about a finished iteration; ``number`` counts from 1."""
        self._say(iteration_line(number, total, metrics))

    def evaluation(self, name: str, summary: EvaluationSummary) -> None:
        """One line about an evaluation."""
        self._say(evaluation_line(name, summary), "bold")

    def show(self, lines: Sequence[str]) -> None:
        """An outcome in lines of text, on the outcome's stream."""
        for line in lines:
            self._outcome.print(Text(_printable(line)), soft_wrap=True)

    def finish(self, summary: Mapping[str, Any], report: Path) -> None:
        """The outcome of a run: accuracy and length of each model that was evaluated, and where the report is."""
        for line in outcome_lines(summary):
            self._outcome.print(Text(line), soft_wrap=True)
        self._outcome.print(Text(f"report: {_printable(str(report))}"), soft_wrap=True)

    def _say(self, text: str, style: str = "") -> None:
        if not self._quiet:
            self._console.print(Text(_printable(text), style), soft_wrap=True)

    def _bar(self, label: str, total: int) -> _Bar:
        if self._quiet:
            return _Bar()
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            return _TerminalBar(self._progress, _printable(label), total)
        return _PlainBar(self._say, label)


class _Bar:
    """Shows nothing."""

    def advance(self, done: int, total: int) -> None:
        pass

    def end(self) -> None:
        pass


class _TerminalBar(_Bar):
    """A line of the one live display, which is up while any bar is."""

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task(label, total=total)
        progress.start()

    def advance(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def end(self) -> None:
        self._progress.remove_task(self._task)
        if not self._progress.tasks:
            self._progress.stop()


class _PlainBar(_Bar):
    """A line now and then."""

    def __init__(self, say: Callable[[str], None], label: str) -> None:
        self._say, self._label = say, label
        self._last = time.monotonic()

    def advance(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _PLAIN_SECONDS and done < total:
            self._last = now
            self._say(f"{self._label}: {done}/{total}")


def iteration_line(number: int, total: int, metrics: Mapping[str, float]) -> str:
    """An iteration's metrics as one readable line; what was not measured is a dash."""

    def value(name: str, form: str) -> str:
        found = metrics.get(name)
        return format(found, form) if found is not None and math.isfinite(found) else "–"

    stops = " ".join(f"{stop} {value(f'stop_{stop}', '.0%')}" for stop in ("ended", "repeated", "limit", "cut"))
    seconds = " ".join(
        f"{name.removeprefix('seconds_')} {value(name, '.1f')} s" for name in metrics if name.startswith("seconds_")
    )
    parts = [
        f"iteration {number:>{len(str(total))}}/{total}",
        f"reward {value('reward_mean', '.3f')}",
        f"solved {value('solve_rate', '.0%')}",
        f"tokens {value('response_tokens_mean', '.0f')}",
        f"entropy {value('entropy', '.2f')}",
        stops,
        f"mismatch {value('mismatch_mean', '.2g')}",
        f"KL {value('kl_to_reference', '.2g')}",
        f"NOT GRADABLE {value('grade_errors', '.0f')}" if metrics.get("grade_errors") else "",
        f"STEPS SKIPPED {value('steps_skipped', '.0f')}" if metrics.get("steps_skipped") else "",
        seconds,
    ]
    return " | ".join(part for part in parts if part)


def evaluation_line(name: str, summary: EvaluationSummary) -> str:
    """An evaluation's summary as one readable line."""
    low, high = summary.accuracy_interval
    parts = [
        f"{name}: accuracy {_percent(summary.accuracy)} (95 %: {low:.0%} to {high:.0%}, {summary.problems} problems, "
        f"{summary.decoding})",
        f"{summary.mean_tokens:.0f} tokens a response",
    ]
    if summary.sampled_accuracy is not None and summary.decoding == "greedy":
        parts.append(f"sampled {_percent(summary.sampled_accuracy)}")
    parts += [f"pass@{k} {_percent(value)}" for k, value in (summary.pass_at_k or {}).items() if k > 1]
    if summary.errors:
        parts.append(f"{summary.errors} not gradable")
    return ", ".join(parts)


def outcome_lines(summary: Mapping[str, Any]) -> list[str]:
    """Accuracy and length of each evaluated model, from the run's summary."""
    lines = []
    for name, accuracy in summary.get("accuracy", {}).items():
        interval = summary.get("accuracy_interval", {}).get(name)
        tokens = summary.get("tokens", {}).get(name)
        between = f"  (95 %: {interval[0]:.0%} to {interval[1]:.0%})" if interval else ""
        length = f"  {tokens:.0f} tokens a response" if tokens is not None else ""
        lines.append(f"{name:<8} {_percent(accuracy):>6}{between}{length}")
    return lines


def _percent(share: float | None) -> str:
    return f"{share:.1%}" if share is not None and math.isfinite(share) else "–"


def _console(stream: TextIO) -> Console:
    # FORCE_COLOR must not bring control characters into a file or a pipe.
    return Console(file=stream, highlight=False, markup=False, force_terminal=stream.isatty())


def _printable(text: str) -> str:
    """Without control characters: notes may quote what a model wrote."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else "\N{REPLACEMENT CHARACTER}" for c in text)
