"""Trainer and vLLM in turn on the same devices (k1.5, section 2.6.3, Figure 4).

    offload    the trainer gives the device up
    start      vLLM, with dummy weights; or it wakes up, or is there still
    transfer   it takes the trainer's weights, and is asked for their version
    rollout
    stop       it is kept, put to sleep, or ended
    onload     the trainer takes the device back

With *keep* both stay on the device, so nothing is moved but the weights.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import psutil
import torch

from perilune.backends.engines.vllm.engine import VllmEngine
from perilune.protocols import Engine, Trainer
from perilune.recipe.engine import AfterRollout
from perilune.types import Phase

_PhaseName = Literal["offload", "start", "transfer", "rollout", "stop", "onload"]


class HybridWorkers:
    """Implements :class:`perilune.protocols.Workers` with vLLM beside the trainer."""

    def __init__(self, engine: VllmEngine, after_rollout: AfterRollout):
        """Start nothing yet.

        Args:
            engine: vLLM.
            after_rollout: keep, sleep or end.
        """
        self._engine = engine
        self._after = after_rollout
        self._phases: list[Phase] = []

    @contextmanager
    def serving(self, trainer: Trainer) -> Iterator[Engine]:
        """vLLM with the trainer's present weights."""
        shares = self._after != "keep"
        if shares:
            with self._phase("offload"):
                trainer.offload()
        try:
            with self._phase("start"):
                self._engine.start()
            with self._phase("transfer"):
                if self._engine.version != trainer.version or not self._engine.running:
                    self._engine.load_weights(trainer.weights(), trainer.version)
            with self._phase("rollout"):
                yield self._engine
        finally:
            try:
                with self._phase("stop"):
                    self._stop()
            finally:
                if shares:
                    with self._phase("onload"):
                        trainer.onload()

    def take_phases(self) -> tuple[Phase, ...]:
        """What was done since the last call, in order."""
        phases, self._phases = self._phases, []
        return tuple(phases)

    def close(self) -> None:
        """End vLLM, whatever it was to do after a rollout."""
        self._engine.end()

    def _stop(self) -> None:
        if self._after == "end":
            self._engine.end()
        elif self._after == "sleep" and self._engine.running:
            self._engine.sleep()

    @contextmanager
    def _phase(self, name: _PhaseName) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self._phases.append(Phase(name, seconds, memory_gb(), device_gb()))


def memory_gb() -> float:
    """Memory of this process and those it has started, in GB (1e9 bytes): shared pages count once (Linux: PSS)."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    total = 0
    for process in processes:
        with suppress(psutil.Error, OSError):
            total += _proportional(process.pid) or process.memory_info().rss
    return total / 1e9


def device_gb() -> float:
    """Memory in use on the current GPU, by whomever, in GB; 0 without one."""
    if not torch.cuda.is_available():
        return 0.0
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 1e9


def _proportional(pid: int) -> int | None:
    """Proportional set size in bytes, where the kernel tells it."""
    if os.name != "posix":
        return None
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return None
