"""Checkpoints are written aside and renamed, and named in the buffer only when whole."""

from __future__ import annotations

import shutil
from pathlib import Path

from perilune.protocols import Trainer


def write_checkpoint(trainer: Trainer, folder: Path, name: str) -> None:
    """Write ``folder/name`` so that it is there whole or not at all."""
    target, aside = folder / name, folder / f".{name}"
    for leftover in (target, aside):
        shutil.rmtree(leftover, ignore_errors=True)
    trainer.save(aside)
    aside.rename(target)


def prune_checkpoints(folder: Path, keep: str) -> None:
    """Remove every checkpoint but the one to keep."""
    for old in folder.iterdir():
        if old.name != keep:
            shutil.rmtree(old, ignore_errors=True)
