"""Checkpoints: folders that are there whole or not at all, each file guarded by a checksum.

    checkpoints/iteration-00007/
        weights.safetensors, trainer.json …   the trainer's own
        progress.json                          where the run stood
        SHA256SUMS                             a line per file; sha256sum --check reads it too

A checkpoint is written aside, put on the disk, and renamed; only then the buffer names it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from perilune.errors import RunFolderError
from perilune.protocols import Trainer
from perilune.run.folders import sync, write_folder
from perilune.run.state import RunState

_SUMS = "SHA256SUMS"
_STATE = "progress.json"


def write_checkpoint(trainer: Trainer, folder: Path, name: str, state: RunState, *, optimizer: bool = False) -> None:
    """Write ``folder/name`` so that it is there whole or not at all, also after a power cut.

    Args:
        trainer: whose state it is.
        folder: of the run's checkpoints.
        name: one that was written before is replaced.
        state: where the run stands with it.
        optimizer: keep the optimiser's state too: the checkpoint lies within an update.
    """

    def write(aside: Path) -> None:
        trainer.save(aside, optimizer=optimizer)
        (aside / _STATE).write_text(json.dumps(state.to_dict()), encoding="utf-8")
        paths = sorted(aside.iterdir())
        # The disk writes while the processor adds up.
        with ThreadPoolExecutor(2) as pool:
            synced = pool.map(sync, paths)
            lines = [f"{_digest(path)}  {path.name}\n" for path in paths]
            list(synced)
        (aside / _SUMS).write_text("".join(lines), encoding="utf-8")

    write_folder(folder / name, write)


def verify_checkpoint(folder: Path) -> list[str]:
    """What is wrong with a checkpoint, a line per file; nothing if every file is as it was written."""
    try:
        lines = (folder / _SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [f"no list of its files ({_SUMS}: {_reason(error)})"]
    faults = []
    for line in lines:
        expected, _, name = line.partition("  ")
        try:
            found = _digest(folder / name)
        except OSError as error:
            faults.append(f"{name}: {_reason(error)}")
            continue
        if found != expected:
            faults.append(f"{name}: its checksum is not the one that it was written with")
    if _STATE not in {line.partition("  ")[2] for line in lines}:
        faults.append(f"{_SUMS}: cut off")
    return faults


def read_state(folder: Path) -> RunState:
    """Where the run stood when a checkpoint was written.

    Raises:
        RunFolderError: the file is damaged.
    """
    try:
        return RunState.from_dict(json.loads((folder / _STATE).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"cannot read {folder / _STATE}: {error}") from error


def prune_checkpoints(folder: Path, keep: Collection[str]) -> None:
    """Remove every checkpoint but those to keep, and what interrupted saves left."""
    for old in folder.iterdir():
        if old.name not in keep:
            shutil.rmtree(old, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
