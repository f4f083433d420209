"""Files without a name, in memory: how sources, inputs and outputs get into the sandbox and out of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@contextlib.contextmanager
def memory_file(content: bytes = b"", sealed: bool = False) -> Iterator[int]:
    """A descriptor of a new file, read from its start, and closed at the end of the block.

    Args:
        content: what is in it.
        sealed: whether nobody can change it, not even who holds a descriptor.
    """
    descriptor = os.memfd_create("perilune", os.MFD_CLOEXEC | (os.MFD_ALLOW_SEALING if sealed else 0))
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        if sealed:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        yield descriptor
    finally:
        os.close(descriptor)


def size_of(descriptor: int) -> int:
    """How long a file is, in bytes."""
    return os.fstat(descriptor).st_size


def read_from(descriptor: int, count: int, start: int = 0) -> bytes:
    """At most ``count`` bytes of a file; does not move the position that others may share."""
    parts: list[bytes] = []
    while count > 0 and (part := os.pread(descriptor, count, start)):
        parts.append(part)
        start += len(part)
        count -= len(part)
    return b"".join(parts)
