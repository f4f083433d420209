"""Folders of files that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Have a folder of files written aside, put them on the disk, and rename it; one that exists is replaced.

    Whatever ends the writing, an interrupt too, the folder that was there stays, and what was written is removed.

    Args:
        target: the folder's name in the end.
        write: is given the folder to write into.
    """
    aside, old = (target.with_name(f".{target.name}{end}") for end in (".partial", ".old"))
    for leftover in (aside, old):
        shutil.rmtree(leftover, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        write(aside)
        for path in (*aside.rglob("*"), aside):
            sync(path)
        if target.exists():
            target.rename(old)
        aside.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
