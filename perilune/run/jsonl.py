"""JSON lines that a killed process may have left unfinished."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perilune.errors import RunFolderError


def plain(value: Any) -> Any:
    """The value as JSON can say it: NaN and infinities become None, tuples lists, keys strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def json_line(value: Any) -> str:
    """One line of JSON, newline included."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False) + "\n"


def read_objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file in order; none if there is no file.

    A line that is no whole object is skipped: a process that was killed leaves one at the end, and the run that
    resumes it may have written on behind.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    objects = []
    # Not splitlines(): model text may hold line separators that JSON leaves as they are.
    for line in text.split("\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            objects.append(value)
    return objects


def restore_lines(path: Path, lines: Sequence[str]) -> list[str]:
    """Make a text file hold these lines and no others; nothing is written where it does already.

    Args:
        path: is replaced as a whole.
        lines: newlines included.

    Returns:
        The lines that it lacked.

    Raises:
        RunFolderError: the file cannot be written.
    """
    try:
        found = path.read_bytes() if path.exists() else b""
        wanted = "".join(lines).encode("utf-8")
        if found == wanted:
            return []
        aside = path.with_name(path.name + ".partial")
        aside.write_bytes(wanted)
        aside.replace(path)
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error}; make room, then resume the run") from error
    there = set(found.decode("utf-8", errors="replace").splitlines(keepends=True))
    return [line for line in lines if line not in there]


def replace_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file whole, or leave the one that is there.

    Args:
        path: its folder is made if it is not there.
        lines: newlines included; what UTF-8 cannot say (half of a surrogate pair, from a model) is replaced.

    Raises:
        RunFolderError: the file cannot be written.
    """
    aside = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8", errors="replace", newline="") as file:
            file.writelines(lines)
        aside.replace(path)
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error}; make room, then resume the run") from error


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Add lines to a text file, with one system call.

    Raises:
        RunFolderError: the file cannot be written.
    """
    try:
        with path.open("ab", buffering=0) as file:
            data = "".join(lines).encode("utf-8", errors="replace")
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, "No space left on device")
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error}; make room, then resume the run") from error
