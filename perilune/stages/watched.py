"""Engine, trainer and workers under the watchdog: whatever backend stands behind a seam, no wait for it is endless."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from perilune.protocols import Engine, Trainer, Workers
from perilune.recipe.recipe import Recipe
from perilune.run.watchdog import Watchdog
from perilune.stages.backends import Backends
from perilune.types import Completion, Objective, OptimizerStep, Phase, Request, Sample, StepMetrics, UpdateMetrics

if TYPE_CHECKING:
    import torch


def watched(backends: Backends, recipe: Recipe) -> Backends:
    """The same backends, with the watchdog over each call of trainer and engine."""
    watchdog = backends.watchdog
    return replace(
        backends,
        trainer=_WatchedTrainer(backends.trainer, watchdog, recipe.trainer.timeout_seconds),
        workers=_WatchedWorkers(backends.workers, watchdog, recipe.engine.timeout_seconds),
    )


class _WatchedTrainer:
    """Implements :class:`perilune.protocols.Trainer` around another."""

    def __init__(self, trainer: Trainer, watchdog: Watchdog, seconds: float) -> None:
        self._trainer = trainer
        self._watchdog = watchdog
        self._seconds = seconds

    @property
    def version(self) -> int:
        return self._trainer.version

    def begin_iteration(self, *, keep_reference: bool = False) -> None:
        with self._expected("began an iteration"):
            self._trainer.begin_iteration(keep_reference=keep_reference)

    def logprobs(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        with self._expected(f"scored {len(samples)} samples"):
            return self._trainer.logprobs(samples)

    def update(
        self,
        samples: Sequence[Sample],
        objective: Objective,
        steps: Sequence[OptimizerStep],
        on_step: Callable[[StepMetrics], None] | None = None,
    ) -> UpdateMetrics:
        def on_live_step(step: StepMetrics) -> None:
            self._watchdog.alive()
            if on_step is not None:
                on_step(step)

        with self._expected(f"took {len(steps)} optimiser steps on {len(samples)} samples"):
            return self._trainer.update(samples, objective, steps, on_live_step)

    def offload(self) -> None:
        with self._expected("gave the device up"):
            self._trainer.offload()

    def onload(self) -> None:
        with self._expected("took the device back"):
            self._trainer.onload()

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        return self._trainer.weights()

    def save(self, folder: Path, *, optimizer: bool = False) -> None:
        with self._expected(f"saved its state to {folder}"):
            self._trainer.save(folder, optimizer=optimizer)

    def load(self, folder: Path) -> None:
        with self._expected(f"loaded its state from {folder}"):
            self._trainer.load(folder)

    def save_pretrained(self, folder: Path) -> None:
        with self._expected(f"wrote the model to {folder}"):
            self._trainer.save_pretrained(folder)

    def _expected(self, doing: str) -> AbstractContextManager[None]:
        return self._watchdog.expects("trainer", doing, self._seconds)


class _WatchedEngine:
    """Implements :class:`perilune.protocols.Engine` around another."""

    def __init__(self, engine: Engine, watchdog: Watchdog, seconds: float) -> None:
        self._engine = engine
        self._watchdog = watchdog
        self._seconds = seconds

    @property
    def version(self) -> int:
        return self._engine.version

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        with self._watchdog.expects("engine", f"took the weights of version {version}", self._seconds):
            self._engine.load_weights(weights, version)

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        completions = self._engine.generate(requests)
        done = 0
        while True:
            # Only while it is waited for: what is done with a completion is not the engine's time.
            doing = f"served {len(requests)} requests, {done} of them done"
            with self._watchdog.expects("engine", doing, self._seconds):
                completion = next(completions, None)
            if completion is None:
                return
            yield completion
            done += 1


class _WatchedWorkers:
    """Implements :class:`perilune.protocols.Workers` around others."""

    def __init__(self, workers: Workers, watchdog: Watchdog, seconds: float) -> None:
        self._workers = workers
        self._watchdog = watchdog
        self._seconds = seconds

    @contextmanager
    def serving(self, trainer: Trainer) -> Iterator[Engine]:
        with ExitStack() as stack:
            with self._watchdog.expects("engine", f"took the weights of version {trainer.version}", self._seconds):
                engine = stack.enter_context(self._workers.serving(trainer))
            yield _WatchedEngine(engine, self._watchdog, self._seconds)

    def take_phases(self) -> tuple[Phase, ...]:
        return self._workers.take_phases()

    def close(self) -> None:
        self._workers.close()
