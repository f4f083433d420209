"""Which way of isolating works here: each is tried by a program that tries to get out (:mod:`perilune.sandbox.canary`).

What it is to reach is really there: a file that anybody may read and write, listeners on loopback and on a Unix socket,
a process to signal. A way is used only if every attempt failed, seen from inside and from outside.
"""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

from perilune.errors import SandboxUnavailable
from perilune.sandbox import process_tree, syscall_numbers
from perilune.sandbox.jobs import Job, Setup
from perilune.sandbox.memory_files import memory_file, read_from
from perilune.sandbox.programs import Limits
from perilune.sandbox.worker import Worker, WorkerLost

Mode = Literal["namespaces", "landlock"]
_SECRET: Final = "a secret that no program may see"
_LIMITS: Final = Limits(cpu_seconds=10, wall_seconds=30, memory_mb=256, processes=6, open_files=48)
TO_DO: Final[Mapping[str, str]] = {
    "namespaces": "let users make namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0, "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container, a seccomp profile that allows unshare and mount)",
    "landlock": "use a kernel of 5.19 or later with Landlock on (lsm=landlock,… on its command line; in a container, a "
    "seccomp profile that allows its calls)",
}
"""What lets a way of isolating work where it does not."""


@dataclass(frozen=True, slots=True)
class Bait:
    """What the canary is to reach, and must not."""

    secret: Path
    unix: Path
    port: int
    sentinel: subprocess.Popen[bytes]
    listeners: tuple[socket.socket, ...]

    def as_input(self) -> bytes:
        """The canary's input."""
        facts: dict[str, Any] = {
            "secret": str(self.secret),
            "unix": str(self.unix),
            "port": self.port,
            "sentinel": self.sentinel.pid,
            "processes": _LIMITS.processes,
            "memory": _LIMITS.memory_mb << 20,
            "files": _LIMITS.open_files,
        }
        return json.dumps(facts).encode() + b"\n"

    def taken(self) -> str:
        """What of it was reached, as seen from outside; empty if nothing was."""
        if not self.secret.exists() or self.secret.read_text() != _SECRET:
            return "a file outside was changed"
        status = self.secret.stat()
        if status.st_mode & 0o777 != 0o666 or status.st_mtime < 1:
            return "the mode or time of a file outside was changed"
        if sorted(path.name for path in self.secret.parent.iterdir()) != ["secret", "unix"]:
            return "a file was made outside"
        if self.sentinel.poll() is not None:
            return "a process outside was killed"
        for listener in self.listeners:
            try:
                listener.accept()
            except BlockingIOError:
                continue
            return "a listener outside was reached"
        return ""


@contextmanager
def bait() -> Iterator[Bait]:
    """Lay it out, and clear it away."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perilune-bait-")))
        folder.chmod(0o777)
        secret = folder / "secret"
        secret.write_text(_SECRET)
        secret.chmod(0o666)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(folder / "unix"))
        unix.listen()
        (folder / "unix").chmod(0o777)
        for listener in (tcp, unix):
            listener.setblocking(False)
        wait = [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"]
        sentinel = stack.enter_context(subprocess.Popen(wait, stdin=subprocess.PIPE))
        stack.callback(sentinel.kill)
        yield Bait(secret, folder / "unix", tcp.getsockname()[1], sentinel, (tcp, unix))


def first_worker(mode: Literal["auto", "namespaces", "landlock"], setup: Setup) -> tuple[Setup, Worker]:
    """A worker that holds, with the first mode whose probe passes; SandboxUnavailable where none does."""
    modes: tuple[Mode, ...] = ("namespaces", "landlock") if mode == "auto" else (mode,)
    findings = []
    for candidate in modes:
        try:
            chosen = replace(setup, mode=candidate)
            return chosen, probed_worker(chosen)
        except WorkerLost as failure:
            findings.append(f"- {candidate}: {failure}. To mend it, {TO_DO[candidate]}.")
    raise SandboxUnavailable("programs cannot be isolated on this machine, so none is run:\n" + "\n".join(findings))


def probed_worker(setup: Setup) -> Worker:
    """A worker that the canary did not get out of; WorkerLost, with what it reached, where it did."""
    if sys.platform != "linux" or not syscall_numbers.SUPPORTED:
        raise WorkerLost(
            f"this is {platform.system()} on {platform.machine()}, and it takes Linux on x86_64 or aarch64"
        )
    worker = Worker(setup)
    try:
        with bait() as laid:
            _let_loose(worker, laid)
            if taken := laid.taken():
                raise WorkerLost(taken)
            if left := list(process_tree.descendants(worker.pid)):
                raise WorkerLost(f"{len(left)} processes outlived their run")
            _run(worker, "import os; assert not os.path.exists('left')", b"")
    except BaseException:
        worker.close()
        raise
    return worker


def _let_loose(worker: Worker, laid: Bait) -> None:
    report = json.loads(_run(worker, files("perilune.sandbox").joinpath("canary.py").read_text(), laid.as_input()))
    if report["escapes"]:
        raise WorkerLost("a program could " + "; ".join(f"{name} ({how})" for name, how in report["escapes"].items()))


def _run(worker: Worker, source: str, given: bytes) -> bytes:
    job = Job(
        command=None,
        source_name="canary.py",
        attached="nothing",
        cpu_seconds=int(_LIMITS.cpu_seconds),
        wall_seconds=_LIMITS.wall_seconds,
        memory_bytes=_LIMITS.memory_mb << 20,
        file_bytes=_LIMITS.file_bytes,
        folder_bytes=_LIMITS.file_bytes,
        processes=_LIMITS.processes,
        open_files=_LIMITS.open_files,
        writes_files=False,
    )
    with (
        memory_file(given) as stdin,
        memory_file() as stdout,
        memory_file() as stderr,
        memory_file(source.encode()) as text,
    ):
        result = worker.do(job, [stdin, stdout, stderr, text], _LIMITS)
        if result.exit_code != 0:
            said = read_from(stderr, 2000).decode(errors="replace").strip().rpartition("\n")[2]
            raise WorkerLost(f"a plain program does not run ({result.stopped or result.signal or said})")
        return read_from(stdout, 1 << 20)
