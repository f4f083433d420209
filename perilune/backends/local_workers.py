"""Workers in this process: the engine stands beside the trainer and takes its weights by copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from perilune.protocols import Engine, Trainer
from perilune.types import Phase


class LocalWorkers:
    """Implements :class:`perilune.protocols.Workers` with one engine in this process."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._loaded: int | None = None

    @contextmanager
    def serving(self, trainer: Trainer) -> Iterator[Engine]:
        """The engine with the trainer's present weights; they are copied once per version."""
        if self._loaded != trainer.version:
            self._engine.load_weights(trainer.weights(), trainer.version)
            self._loaded = trainer.version
        yield self._engine

    def take_phases(self) -> tuple[Phase, ...]:
        """Engine and trainer share the memory: nothing changes hands."""
        return ()

    def close(self) -> None:
        """Nothing was started."""
