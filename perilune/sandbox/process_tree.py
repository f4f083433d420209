"""What the descendants of a process use, read from the host's /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """The sum over processes."""

    tasks: int
    """Processes and their threads."""
    cpu_seconds: float
    """With what their children that have ended took."""
    memory_bytes: int
    """Resident memory that is backed by no file, less ``spared`` of each process."""


def descendants(pid: int) -> Iterator[int]:
    """Children, their children, and so on, without the process itself; those that end meanwhile may be missing."""
    pending = list(_children(pid))
    while pending:
        child = pending.pop()
        yield child
        pending += _children(child)


def parent(pid: int) -> int:
    """The process that it is a child of; 0 where it is gone."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 (as fast as can be: it runs while programs do)
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        if not Path("/proc/self/task/self/children").exists() and Path(f"/proc/{pid}").exists():
            return _children_by_parent(pid)
    return found


def _children_by_parent(pid: int) -> list[int]:
    """For kernels that keep no list of children."""
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit():
            fields = _stat(int(entry))
            if fields and int(fields[1]) == pid:
                found.append(int(entry))
    return found


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on, which follows a name that may hold anything; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def anonymous_bytes(pid: int) -> int:
    """Resident memory of a process that is backed by no file."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE_BYTES


def count_tasks(pids: Iterator[int]) -> int:
    """Processes and threads."""
    return sum(int(fields[17]) for fields in map(_stat, pids) if fields)


def usage(pid: int, spared: int = 0) -> Usage:
    """What the descendants of a process use now.

    Args:
        pid: the process, itself not counted.
        spared: bytes not counted of each, for what it shares with its parent since the fork.
    """
    tasks, ticks, memory = 0, 0, 0
    for child in descendants(pid):
        fields = _stat(child)
        if fields:
            tasks += int(fields[17])
            ticks += sum(int(field) for field in fields[11:15])
            memory += max(0, anonymous_bytes(child) - spared)
    return Usage(tasks, ticks / _TICKS, memory)
