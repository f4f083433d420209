"""What stops a run from outside: signals, a disk without room, a damaged file.

Whatever counts is committed as it arrives, so there is nothing to save in a hurry: a run that is asked to end leaves
its stages in order, and one that is asked again ends at once.
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Stopped(KeyboardInterrupt):
    """A signal asked the run to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        """What a shell reports of a process that the signal ended: 130 SIGINT, 143 SIGTERM, 129 SIGHUP."""


class _Deferral:
    """Holds a stop back until the work is at a place where it can be kept."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self) -> bool:
        """Whether a stop is being held back."""
        return self.number is not None

    def now(self) -> None:
        """Stop here, if a stop was held back."""
        if self.number is not None:
            raise Stopped(self.number)


_deferrals: list[_Deferral] = []


@contextmanager
def deferred() -> Iterator[_Deferral]:
    """Inside, a signal that :func:`stopping_on_signals` handles waits for :meth:`_Deferral.now` or the block's end."""
    deferral = _Deferral()
    _deferrals.append(deferral)
    try:
        yield deferral
    finally:
        _deferrals.remove(deferral)
    deferral.now()


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Inside, the first SIGINT, SIGTERM or SIGHUP raises :class:`Stopped`; a second one ends the process at once.

    A signal that was ignored before (nohup) stays ignored. Elsewhere than in the main thread nothing changes: Python
    delivers signals there alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    stopping = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            _end(number)
        stopping = True
        if _deferrals:
            _deferrals[-1].number = number
        else:
            raise Stopped(number)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def told(error: Exception) -> str | None:
    """What a user can do about an error that the system or a library raised; None for what is a bug."""
    if is_disk_full(error):
        return f"the disk is full: {error}. Make room"
    if isinstance(error, sqlite3.Error):
        return f"the run's database cannot be read or written: {error}. See what is whole with: perilune doctor RUN"
    return None


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or what led to it, is a file system without room (or the user's quota of it)."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        if isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return True
        # safetensors and other Rust packages wrap the system's error in a text of their own.
        if any(f"(os error {number})" in str(cause) for number in _FULL):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _end(number: int) -> None:
    """End without waiting for anyone; a progress bar may have hidden the cursor."""
    shown = "\x1b[?25h" if os.isatty(2) else ""
    message = f"\n{shown}perilune: ended at once; what was committed is kept\n"
    try:
        os.write(2, message.encode())
    finally:
        os._exit(128 + number)
