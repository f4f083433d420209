"""Counts a run's processes and threads where there is no namespace to count them: the kernel asks before each new one.

The inner filter of mode B answers clone, fork and vfork with a seccomp notification; this answers it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from typing import Final

from perilune.sandbox.process_tree import count_tasks, descendants

NOTIFICATION_RECEIVE: Final = 0xC0502100
NOTIFICATION_SEND: Final = 0xC0182101
_NOTIFICATION_BYTES = 80
_CONTINUE = 1


def answer(listener: int, limit: int) -> None:
    """Let one waiting call go on if the run has fewer than ``limit`` processes and threads, else refuse it."""
    request = bytearray(_NOTIFICATION_BYTES)
    # The caller may have been killed meanwhile: then there is nothing to receive, or nobody to answer.
    with contextlib.suppress(FileNotFoundError, InterruptedError):
        fcntl.ioctl(listener, NOTIFICATION_RECEIVE, request)
        number = struct.unpack_from("=Q", request)[0]
        allowed = count_tasks(descendants(os.getpid())) < limit
        error, flags = (0, _CONTINUE) if allowed else (-errno.EAGAIN, 0)
        fcntl.ioctl(listener, NOTIFICATION_SEND, bytearray(struct.pack("=QqiI", number, 0, error, flags)))
