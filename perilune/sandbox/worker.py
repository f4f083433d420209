"""A worker as the trainer's process sees it: one zygote, given jobs one at a time, replaced when it fails."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import perilune
from perilune.sandbox import process_tree
from perilune.sandbox.jobs import Job, Result, Setup, StopReason
from perilune.sandbox.programs import Limits

# The package is imported from where this process has it, and no other folder of this process is searched.
_BOOT = (
    "import sys; sys.path.append({root!r}); from perilune.sandbox.launcher import main; "
    "sys.path.remove({root!r}); main()"
)
_MESSAGE_BYTES = 1 << 16
_START_SECONDS = 60.0
_MARGIN_SECONDS = 15.0
_FIRST_LOOK_SECONDS = 0.05
_LOOK_SECONDS = 0.1
_CLOSE_SECONDS = 5.0


class WorkerLost(Exception):
    """A zygote does not start, has died, or does not answer: says nothing about any program."""


class Worker:
    """A zygote and its launcher, started here; WorkerLost where it cannot isolate.

    Args:
        setup: how it isolates.
    """

    def __init__(self, setup: Setup) -> None:
        self.runs = 0
        self._folder: Path | None = None
        self._zygote: int | None = None  # a descriptor of the process
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        root = str(Path(perilune.__file__).parent.parent)
        with theirs:
            self._launcher = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    "-X",
                    "utf8",
                    "-c",
                    _BOOT.format(root=root),
                    str(theirs.fileno()),
                    setup.encode(),
                ],
                pass_fds=[theirs.fileno()],
                env={"PYTHONHASHSEED": "0"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            self._get_ready()
        except BaseException:
            self.close()
            raise

    def _get_ready(self) -> None:
        message, descriptors = self._receive(time.monotonic() + _START_SECONDS)
        if not descriptors:
            raise WorkerLost(message.decode(errors="replace"))
        self._zygote = descriptors[0]
        self.pid = int(message)
        message, _ = self._receive(time.monotonic() + _START_SECONDS)
        word, _, rest = message.decode(errors="replace").partition(" ")
        if word != "ready":
            raise WorkerLost(f"{word} {rest}")
        abi, failed, folder = rest.split(" ", 2)
        self.abi = int(abi)
        """The version of Landlock that it uses, 0 for none."""
        self.failed = tuple(failed.split(",")) if failed else ()
        """What was to be imported beforehand, and cannot be."""
        if folder.startswith(f"{tempfile.gettempdir()}/perilune-sandbox-"):
            self._folder = Path(folder).parent.parent
        self._spared_bytes = process_tree.anonymous_bytes(self.pid)

    def do(self, job: Job, descriptors: list[int], limits: Limits) -> Result:
        """One job, from start to end.

        Args:
            job: what to run.
            descriptors: stdin, stdout, stderr, the source, and what the job says is attached.
            limits: for what the kernel does not limit: the processes of a run together.

        Raises:
            WorkerLost: the zygote failed; close this worker, and try the job on another.
        """
        self.begin(job, descriptors)
        return self.finish(job, limits)

    def begin(self, job: Job, descriptors: list[int]) -> None:
        """Start a job, as :meth:`do` does; the descriptors may be closed then."""
        self.runs += 1
        try:
            socket.send_fds(self._control, [job.encode()], descriptors)
        except OSError as error:
            raise WorkerLost(f"the zygote is gone: {error}") from error

    def finish(self, job: Job, limits: Limits) -> Result:
        """Wait for the end of the job that was begun."""
        deadline = time.monotonic() + job.wall_seconds + _MARGIN_SECONDS
        look = time.monotonic() + _FIRST_LOOK_SECONDS
        while not self._readable(min(look, deadline)):
            if time.monotonic() >= deadline:
                raise WorkerLost("the zygote does not answer")
            look = time.monotonic() + _LOOK_SECONDS
            if reason := self._excess(limits):
                self._control.send(reason.encode())
                look = deadline
        message, _ = self._receive(deadline)
        if not message.startswith(b"{"):
            raise WorkerLost(message.decode(errors="replace") or "the zygote has died")
        return Result.decode(message)

    def _excess(self, limits: Limits) -> StopReason | None:
        used = process_tree.usage(self.pid, self._spared_bytes)
        if used.cpu_seconds > limits.cpu_seconds:
            return "cpu"
        return "memory" if used.memory_bytes > limits.memory_mb << 20 else None

    def _readable(self, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))

    def _receive(self, deadline: float) -> tuple[bytes, list[int]]:
        if not self._readable(deadline):
            raise WorkerLost("the zygote does not answer")
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 1)
        except OSError as error:
            raise WorkerLost(f"the zygote is gone: {error}") from error
        return message, descriptors

    def close(self) -> None:
        """End it, with whatever it runs; returns when it is gone. Can be called twice."""
        self._control.close()
        if self._zygote is not None:
            self._end_zygote(self._zygote)
            self._zygote = None
        try:
            self._launcher.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._launcher.kill()
            self._launcher.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _end_zygote(self, descriptor: int) -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(_FIRST_LOOK_SECONDS * 1000):  # an idle one leaves by itself
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)
