"""The run folder: where everything of a run is, and how what it has done is committed.

A checkpoint and the buffer agree on where the run stands, whenever it is killed:

    checkpoint written aside, synced, renamed      killed before this: the buffer names the one before
    one transaction of the buffer                  groups closed, lines told, state, the checkpoint's name
    older checkpoints removed                      killed before this: the next start removes them

What an iteration has drawn, generated and graded before its commit stays in the buffer and is not done again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from perilune.errors import RunFolderError
from perilune.protocols import Trainer
from perilune.run.answers import Answers
from perilune.run.buffer import ReplayBuffer
from perilune.run.checkpoint import prune_checkpoints, read_state, verify_checkpoint, write_checkpoint
from perilune.run.journal import Journal
from perilune.run.observations import Observations
from perilune.run.state import RunState

BUFFER_FILE = "buffer.sqlite"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths within a run, and its one database, which says how far the run is."""

    path: Path
    buffer: ReplayBuffer
    """Groups that are not trained yet; the others below keep theirs in the same file."""
    journal: Journal
    answers: Answers
    observations: Observations
    keep: int = 2
    """How many checkpoints stay."""

    @classmethod
    def open(cls, path: Path, keep: int = 2) -> RunFolder:
        """A folder that is there, its database made where there is none.

        Raises:
            RunFolderError: the folder cannot be written, or the buffer is damaged.
        """
        buffer = ReplayBuffer(path / BUFFER_FILE)
        run = cls(path, buffer, Journal(buffer), Answers(buffer), Observations(buffer), keep)
        state = run.state
        if state.sampler is not None:
            with buffer.transaction():
                run.set_state(state)
        return run

    @property
    def checkpoints(self) -> Path:
        """Folder of the trainer's checkpoints."""
        return self.path / "checkpoints"

    @property
    def skipped(self) -> Path:
        """Folder of minibatches whose optimiser step was skipped."""
        return self.path / "skipped"

    def model(self, name: str) -> Path:
        """Folder of a model in Hugging Face form."""
        return self.path / "models" / name

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        found = self.buffer.get("progress")
        return RunState() if found is None else RunState.from_dict(found)

    def set_state(self, state: RunState) -> None:
        """State where the run stands, without a checkpoint: an evaluation is over."""
        if state.sampler is not None:
            self.observations.replace(state.sampler)
        self.buffer.set("progress", state.to_dict())

    def write_checkpoint(self, trainer: Trainer, name: str, state: RunState, *, optimizer: bool = False) -> None:
        """The first half of a commit: see :func:`perilune.run.checkpoint.write_checkpoint`."""
        write_checkpoint(trainer, self.checkpoints, name, state, optimizer=optimizer)

    def commit(self, name: str, state: RunState, inside: Callable[[], None] = lambda: None) -> None:
        """The second half: in one transaction the checkpoint becomes the one to go on from.

        Args:
            name: of a checkpoint that was written.
            state: that it was written with.
            inside: what else belongs to the transaction.
        """
        before = [old for old in self.buffer.get("checkpoints", []) if old != name]
        names = [*before, name][-self.keep :]
        with self.buffer.transaction():
            inside()
            self.buffer.set("checkpoints", names)
            self.set_state(state)
        prune_checkpoints(self.checkpoints, names)

    def newest_checkpoint(self, warn: Callable[[str], None]) -> Path | None:
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
                    self._rewind(names[: place + 1], read_state(path))
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

    def _rewind(self, names: list[str], state: RunState) -> None:
        with self.buffer.transaction():
            self.buffer.rewind(state.iteration)
            self.journal.rewind(state.iteration)
            self.observations.rewind(state.iteration)
            self.answers.forget()
            self.buffer.set("checkpoints", names)
            self.set_state(state)
