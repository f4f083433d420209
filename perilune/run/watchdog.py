"""The watchdog: no part may be silent for longer than its limit; the one that is is named, and the run is ended.

A forward pass, a collective operation or a driver that never comes back cannot be interrupted from the thread that
waits for it. So a second thread listens for signs of life and, where they stay out, ends the process. Nothing is lost
by that: what counts was committed to the buffer and the checkpoints before, and ``perilune resume`` goes on from there.

It hears no silence of its own making: it counts the time that it has itself seen pass, not the clock's, so a run that
was stopped (Ctrl-Z) or starved for hours is not taken for a stuck one. A part that holds Python's global lock for ever
stops the watchdog too; the operations of torch release it.
"""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

EXIT_STUCK = 75
"""Exit status of a run that was ended because a part of it was stuck (sysexits' EX_TEMPFAIL: try again)."""

_STACKS = "stuck.txt"
_TICK_SECONDS = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class _Expectation:
    """Who is at work, on what, and how long it may be silent."""

    party: str
    doing: str
    seconds: float


class Watchdog:
    """Knows who is at work and when there was the last sign of life; watches while :meth:`watching` is entered."""

    def __init__(self) -> None:
        self._expected: list[_Expectation] = []
        self._signs = 0

    def alive(self) -> None:
        """A sign of life of whoever is at work: an engine's step, a trainer's micro-batch."""
        self._signs += 1

    @contextmanager
    def expects(self, party: str, doing: str, seconds: float) -> Iterator[None]:
        """Until the block ends the party is at work, and never silent for longer than its limit.

        Entering and leaving are signs of life; of nested blocks the innermost is at work.

        Args:
            party: engine or trainer: the table of the recipe that holds its timeout_seconds.
            doing: what it does, to follow "while it".
            seconds: its limit.
        """
        expectation = _Expectation(party, doing, seconds)
        self._expected.append(expectation)
        self._signs += 1
        try:
            yield
        finally:
            self._expected.remove(expectation)
            self._signs += 1

    @contextmanager
    def watching(self, run_folder: Path) -> Iterator[None]:
        """Watch until the block ends.

        Args:
            run_folder: named to the user; takes ``stuck.txt``, the place in the code where each thread was.
        """
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(run_folder, over), name="perilune-watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _watch(self, run_folder: Path, over: threading.Event) -> None:
        heard, silence = self._signs, 0.0
        while not over.wait(_TICK_SECONDS):
            expected = self._expected[-1:]
            if self._signs != heard or not expected:
                heard, silence = self._signs, 0.0
                continue
            silence += _TICK_SECONDS
            if silence >= expected[0].seconds:
                _end(expected[0], run_folder)


def _end(stuck: _Expectation, run_folder: Path) -> None:
    """Say who is stuck, leave the stacks, and end this process without waiting for anyone."""
    message = (
        f"perilune: the {stuck.party} has shown no sign of life for {stuck.seconds:g} s while it {stuck.doing}, so "
        f"the run was ended; every finished iteration is kept. Go on with: perilune resume {run_folder}. Where it was "
        f"stuck is in {run_folder / _STACKS}. If it was slow rather than stuck, raise {stuck.party}.timeout_seconds\n"
    )
    # Past sys.stderr, whose lock the stuck thread may hold; a progress bar may have hidden the cursor.
    shown = "\n\x1b[?25h" if os.isatty(2) else ""
    try:
        os.write(2, (shown + message).encode(errors="replace"))
        with (run_folder / _STACKS).open("w", encoding="utf-8") as file:
            file.write(message)
            file.flush()
            faulthandler.dump_traceback(file)
    finally:
        os._exit(EXIT_STUCK)
