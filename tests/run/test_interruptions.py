"""Signals that end a run, and the many faces of a full disk."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from perilune.errors import TrainerError
from perilune.run.interruptions import Stopped, is_disk_full, stopping_on_signals

CHILD = """
import sys, time
from perilune.run.interruptions import stopping_on_signals
with stopping_on_signals():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("leaving", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_raised_and_says_its_exit_status(number: signal.Signals, status: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, stopping_on_signals():
        os.kill(os.getpid(), number)
        time.sleep(5)
    assert stopped.value.exit_code == status
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_process_at_once(second: signal.Signals) -> None:
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "leaving\n"
        process.send_signal(second)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + second
    assert errors == "\nperilune: ended at once; what was committed is kept\n"


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_elsewhere_than_in_the_main_thread_nothing_changes() -> None:
    found = []

    def run() -> None:
        with stopping_on_signals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]


def test_a_full_disk_is_known_behind_other_errors() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    quota = OSError(errno.EDQUOT, "Disk quota exceeded")
    wrapped = TrainerError("cannot save")
    wrapped.__cause__ = quota
    rust = ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert all(map(is_disk_full, (full, quota, wrapped, rust)))
    assert not any(
        map(is_disk_full, (OSError(errno.EACCES, "denied"), ValueError("28"), sqlite3.OperationalError("x")))
    )


def test_a_full_database_is_a_full_disk() -> None:
    db = sqlite3.connect(":memory:")
    db.execute("PRAGMA max_page_count = 2")
    db.execute("CREATE TABLE t (x)")
    with pytest.raises(sqlite3.OperationalError) as full:
        for _ in range(100):
            db.execute("INSERT INTO t VALUES (?)", ("x" * 1000,))
    db.close()
    assert is_disk_full(full.value)
