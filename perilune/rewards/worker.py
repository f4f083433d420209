"""A grading process: takes one task at a time until the pool hangs up. Imports no torch."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.limits import OverLimit, held_bytes, over_limit_grade
from perilune.rewards.messages import LEAVING, READY, STARTED, decode_task, encode_grade
from perilune.rewards.panel import Panel, failed

_ORPHAN_MARGIN_SECONDS = 5.0


def main(descriptor: int, config_json: str, start_seconds: float) -> None:
    """Serve tasks from the socket ``descriptor`` until it closes; a reward may take ``start_seconds`` to import."""
    os.set_inheritable(descriptor, False)
    config = RewardsConfig.model_validate_json(config_json)
    # Where memory runs out, the kernel shall end a grading and not the training.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    panels: dict[str, Panel] = {}
    held = held_bytes()  # With what the rewards bring with them, and without what gradings leave behind.
    with socket.socket(fileno=descriptor) as pool, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _say(pool, READY)
        for line in pool.makefile("rb"):
            request = decode_task(line)
            before = held_bytes()
            try:
                with _bounded(start_seconds):
                    panel = _built(request.problem.reward, config, panels)
                held += held_bytes() - before
            except Exception as error:
                _say(pool, encode_grade(failed(error)))
                continue
            _say(pool, STARTED)
            over_limit = False
            with _bounded(config.timeout_seconds):
                try:
                    found = panel.answer(request)
                except OverLimit as error:
                    found, over_limit = over_limit_grade(request, str(error)), True
            leaving = held_bytes() > held + (config.memory_mb << 20)
            if leaving:
                _say(pool, LEAVING)
            _say(pool, encode_grade(found, over_limit=over_limit))
            if leaving:
                return


def _say(pool: socket.socket, message: bytes) -> None:
    pool.sendall(message + b"\n")


def _built(name: str, config: RewardsConfig, panels: dict[str, Panel]) -> Panel:
    if name not in panels:
        panels[name] = Panel(name, config)
    return panels[name]


@contextlib.contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Let the kernel end this process if nobody else does: the pool may have been killed while this task runs."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + _ORPHAN_MARGIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
