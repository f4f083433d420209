"""vLLM in a process of its own: what it allocates is given back when it ends, and its death is not the run's.

k1.5 ends vLLM after each rollout phase, since its memory cannot be released in full otherwise (section 2.6.3).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

import perilune
from perilune import errors
from perilune.backends.engines.vllm import messages
from perilune.backends.engines.vllm.host import EngineDied, Progress
from perilune.backends.engines.vllm.options import VllmOptions
from perilune.backends.memory import KERNEL_CACHES
from perilune.backends.weights.shared_memory import Manifest
from perilune.errors import BackendUnavailable, EngineError
from perilune.types import Request

if TYPE_CHECKING:
    import torch

_SERVER = "perilune.backends.engines.vllm.server"
_END_SECONDS = 10.0
"""How long a process may take to end by itself."""
_GONE_SECONDS = 10.0
"""How long what was killed may take to be gone: a driver takes its time to free a device."""
_LOG_LINES = 12
_POLL_SECONDS = 0.5


class VllmProcess:
    """Implements :class:`perilune.backends.engines.vllm.host.VllmHost` with a child process."""

    def __init__(
        self,
        options: VllmOptions,
        *,
        log: Path,
        python: str | None = None,
        start_seconds: float = 600.0,
        silent_seconds: float = 300.0,
        alive: Callable[[], None] = lambda: None,
    ):
        """Start nothing yet.

        Args:
            options: what vLLM is started with.
            log: file that takes what the process prints.
            python: the interpreter, if it is another than this one.
            start_seconds: how long it may take to start, and to take weights.
            silent_seconds: how long a step may take.
            alive: called as long as it shows signs of life.
        """
        self._options = options
        self._log = log
        self._python = python or sys.executable
        self._start_seconds = start_seconds
        self._silent_seconds = silent_seconds
        self._alive = alive
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._asleep = False

    @property
    def running(self) -> bool:
        """Whether the process is started and lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process's, if it is started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process, or wake vLLM up in it."""
        if self.running and not self._asleep:
            return
        if not self.running:
            self._spawn()
        try:
            self._call({"do": "start"}, self._start_seconds)
        except BaseException:
            self.end()
            raise
        self._asleep = False

    def generate(self, requests: Sequence[Request]) -> Generator[list[Progress]]:
        """What each step adds; closing the iterator aborts what is still going on."""
        self._send({"do": "generate", "requests": [messages.pack_request(request) for request in requests]})
        over = False
        try:
            while True:
                message = self._receive(self._silent_seconds)
                if "done" in message:
                    over = True
                    _raise_error(message)
                    return
                yield [messages.unpack_progress(values) for values in message["step"]]
        except EngineDied:
            over = True
            raise
        finally:
            if not over:
                self._abort()

    def load_shared(self, manifest: Manifest) -> None:
        """Take weights from shared memory."""
        self._call({"do": "load_shared", "manifest": manifest.to_json()}, self._start_seconds)

    def load_named(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        """Not from here: another process does not see them."""
        raise EngineError("weights of this process cannot be handed to another; use shared memory")

    def load_ipc(self, handles: dict[str, str], version: int) -> None:
        """Take weights from checkpoint-engine's server."""
        self._call({"do": "load_ipc", "handles": handles, "version": version}, self._start_seconds)

    def served_versions(self) -> list[int]:
        """The version of the weights of each worker."""
        return [int(version) for version in self._call({"do": "versions"}, self._start_seconds)["versions"]]

    def sleep(self) -> None:
        """Give up weights and cache, and stay."""
        self._call({"do": "sleep"}, self._start_seconds)
        self._asleep = True

    def end(self) -> None:
        """End the process and its children; wait until they are gone."""
        process, self._process = self._process, None
        connection, self._connection = self._connection, None
        self._asleep = False
        if process is None:
            return
        if connection is not None:
            with suppress(OSError):
                messages.send(connection, {"do": "end"})
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS if connection is not None else 0.0)
        _kill_group(process.pid)
        process.wait()
        if connection is not None:
            connection.close()

    def _spawn(self) -> None:
        self.end()
        ours, theirs = socket.socketpair()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        package = str(Path(perilune.__file__).parent.parent)
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        command = [self._python, "-m", _SERVER, str(theirs.fileno())]
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    env=self._environment(os.pathsep.join(paths)),
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise BackendUnavailable(f"engine.vllm.python = {self._python!r} cannot be started: {error}") from error
        finally:
            theirs.close()
        self._connection = Connection(ours.detach())
        self._send({"options": self._options.to_json()})

    def _environment(self, python_path: str) -> dict[str, str]:
        """Ours, without the bounds of our kernel caches; and what must be set before the process loads torch."""
        options = self._options
        found = {name: value for name, value in os.environ.items() if name not in KERNEL_CACHES}
        found["PYTHONPATH"] = python_path
        if options.device == "cpu":
            found["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(options.threads))
        elif options.device_index is not None:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            index = options.device_index
            found["CUDA_VISIBLE_DEVICES"] = visible[index] if visible != [""] else str(index)
        return found

    def _abort(self) -> None:
        """Stop what is generated, and wait until the process listens again; else it is ended."""
        try:
            self._send({"do": "abort"})
            while self._receive(self._silent_seconds).get("done") != "abort":
                pass
        except EngineDied:
            self.end()

    def _call(self, message: messages.Message, seconds: float) -> messages.Message:
        self._send(message)
        reply = self._receive(seconds)
        _raise_error(reply)
        return reply

    def _send(self, message: messages.Message) -> None:
        if self._connection is None:
            raise EngineDied("the engine's process is not started")
        try:
            messages.send(self._connection, message)
        except OSError as error:
            raise self._death("it closed its end") from error

    def _receive(self, seconds: float) -> messages.Message:
        """The next message, waited for no longer than the limit."""
        connection = self._connection
        if connection is None:
            raise EngineDied("the engine's process is not started")
        end = time.monotonic() + seconds
        try:
            while not connection.poll(_POLL_SECONDS):
                if time.monotonic() > end:
                    raise self._death(f"it was silent for {seconds:g} s", silent=True)
            message = messages.receive(connection)
        except (EOFError, OSError) as error:
            raise self._death("it closed its end") from error
        self._alive()
        return message

    def _death(self, why: str, *, silent: bool = False) -> EngineDied:
        """What happened to the process, for people; it is gone for good."""
        process, self._process = self._process, None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if process is not None:
            # What is silent does not end by itself; what has closed its end may have last words to say.
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.0 if silent else _END_SECONDS)
                why = _status(process.returncode)
            _kill_group(process.pid)
            process.wait()
        tail = _tail(self._log)
        return EngineDied(f"the engine's process is gone: {why}.{tail}")


def _raise_error(message: messages.Message) -> None:
    if "error" in message:
        kind = getattr(errors, message["kind"], EngineError)
        raise kind(message["error"])


def _kill_group(pid: int) -> None:
    """The process and what it has started: it leads a session of its own. Wait until all of it is gone."""
    end = time.monotonic() + _GONE_SECONDS
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
        # The leader is for its parent to reap, and it alone.
        while time.monotonic() < end and _others_of(pid):
            time.sleep(0.05)


def _others_of(group: int) -> bool:
    """Whether a process of the group lives beside its leader."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if process.pid != group and os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def _status(code: int) -> str:
    if code >= 0:
        return f"it ended with status {code}"
    name = signal.Signals(-code).name
    return f"it was ended by {name}" + (", perhaps because memory was short" if name == "SIGKILL" else "")


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    last = [line for line in lines if line.strip()][-_LOG_LINES:]
    return f" The end of {log}:\n  " + "\n  ".join(last) if last else f" It printed nothing to {log}."
