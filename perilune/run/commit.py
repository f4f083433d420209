"""The commit: a checkpoint and the buffer agree on where the run stands, whenever it is killed.

    checkpoint written aside, synced, renamed      killed before this: the buffer names the one before
    one transaction of the buffer                  groups closed, lines told, progress, the checkpoint's name
    older checkpoints removed                      killed before this: the next start removes them

What an iteration has drawn, generated and graded before its commit stays in the buffer and is not done again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from perilune.errors import RunFolderError
from perilune.protocols import Trainer
from perilune.run.buffer import ReplayBuffer
from perilune.run.checkpoint import Progress, prune_checkpoints, read_progress, verify_checkpoint, write_checkpoint
from perilune.run.journal import Journal

BUFFER_FILE = "buffer.sqlite"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where a run's commits go."""

    buffer: ReplayBuffer
    journal: Journal
    checkpoints: Path
    """Folder of the checkpoints."""
    keep: int = 2
    """How many of them stay."""

    @classmethod
    def open(cls, folder: Path, keep: int = 2) -> Ledger:
        """The ledger of a run folder, made where there is none.

        Raises:
            RunFolderError: the folder cannot be written, or the buffer is damaged.
        """
        buffer = ReplayBuffer(folder / BUFFER_FILE)
        return cls(buffer, Journal(buffer), folder / "checkpoints", keep)

    @property
    def progress(self) -> Progress:
        """Where the run stands."""
        found = self.buffer.get("progress", {})
        return Progress(**{**found, "steps_done": tuple(found.get("steps_done", ()))})

    def set_progress(self, progress: Progress) -> None:
        """State where the run stands, without a checkpoint: an evaluation is over."""
        self.buffer.set("progress", _table(progress))

    def write(self, trainer: Trainer, name: str, progress: Progress, *, optimizer: bool = False) -> None:
        """The first half of a commit: see :func:`perilune.run.checkpoint.write_checkpoint`."""
        write_checkpoint(trainer, self.checkpoints, name, progress, optimizer=optimizer)

    def commit(self, name: str, progress: Progress, inside: Callable[[], None] = lambda: None) -> None:
        """The second half: in one transaction the checkpoint becomes the one to go on from.

        Args:
            name: of a checkpoint that was written.
            progress: that it was written with.
            inside: what else belongs to the transaction.
        """
        before = [old for old in self.buffer.get("checkpoints", []) if old != name]
        names = [*before, name][-self.keep :]
        with self.buffer.transaction():
            inside()
            self.buffer.set("checkpoints", names)
            self.set_progress(progress)
        prune_checkpoints(self.checkpoints, names)

    def newest(self, warn: Callable[[str], None]) -> Path | None:
        """The newest checkpoint that is whole; the run goes back to it if later ones are not. None before the first.

        What a kill left between a commit and the removal of older checkpoints is removed now.

        Args:
            warn: is told of each that is damaged.

        Raises:
            RunFolderError: there were checkpoints and none is whole.
        """
        names: list[str] = self.buffer.get("checkpoints", [])
        for place in range(len(names) - 1, -1, -1):
            path = self.checkpoints / names[place]
            faults = verify_checkpoint(path)
            if not faults:
                if place < len(names) - 1:
                    self._rewind(names[: place + 1], read_progress(path))
                    warn(f"the run goes back to the checkpoint {path}; what came after it is done again")
                else:
                    prune_checkpoints(self.checkpoints, names)
                return path
            warn(f"the checkpoint {path} is damaged: {'; '.join(faults)}")
        if names:
            raise RunFolderError(
                f"no checkpoint of {self.checkpoints} is whole ({', '.join(names)}), so the run cannot go on; put a "
                "copy of one back, or start anew with --overwrite (models/ holds the models of the stages that are "
                "over)"
            )
        return None

    def _rewind(self, names: list[str], progress: Progress) -> None:
        with self.buffer.transaction():
            self.buffer.rewind(progress.iteration)
            self.journal.rewind(progress.iteration)
            self.buffer.set("checkpoints", names)
            self.set_progress(progress)


def _table(progress: Progress) -> dict[str, object]:
    return {
        "iteration": progress.iteration,
        "sft_steps": progress.sft_steps,
        "steps_done": list(progress.steps_done),
        "sampler": progress.sampler,
    }
