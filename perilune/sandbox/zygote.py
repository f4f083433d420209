"""The warm process that every run of a worker is forked from.

It isolates itself as far as it can while it still has to isolate others, and then does job after job. It never reads a
program, an input or an output, so that there is nothing of one run in the memory that the next is forked from; and
what it reports is the kernel's word on how processes ended.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from perilune.sandbox import child, namespaces, task_counter
from perilune.sandbox.calls import CANNOT, Call, Calls, Spawner
from perilune.sandbox.isolation import Isolation
from perilune.sandbox.jobs import STOP_REASONS, Job, Result, StopReason

_MESSAGE_BYTES = 1 << 16
_FOLDER_CHECK_SECONDS = 0.1
_CONFINED = b"confined"
_STOPS = {reason.encode(): reason for reason in STOP_REASONS}


class Zygote:
    """Does one job at a time, until its socket is closed.

    Args:
        control: where jobs come from.
        isolation: how runs are isolated.
        size_bytes: the address space of this process, which comes on top of a Python program's limit.
    """

    def __init__(self, control: socket.socket, isolation: Isolation, size_bytes: int) -> None:
        self._control = control
        self._isolation = isolation
        self._size_bytes = size_bytes
        self._heard, self._spoken = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._heard.setblocking(False)
        self._spawner: Spawner | None = None
        with contextlib.suppress(OSError):
            self._spawner = Spawner()
        gc.collect()
        gc.freeze()
        gc.disable()

    def serve(self) -> NoReturn:
        """Job after job; OSError where one could not be isolated."""
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 5)
            if not message:
                self._leave()
            if message in _STOPS:
                continue  # it came too late: its run had ended by itself
            job = Job.decode(message)
            # Nothing of it is kept here, where the next run would find it in its memory.
            self._control.send(self._do(job, descriptors).encode())

    def _do(self, job: Job, descriptors: list[int]) -> Result:
        folder = self._isolation.open_folder(job)
        _lay_out(job, folder, descriptors)
        streams = self._isolation.open_streams(descriptors[:3]) if job.names_streams else []
        result = self._run(job, folder, [*streams, *descriptors[len(streams) :]])
        for stream, descriptor in zip(streams, descriptors, strict=False):
            if stream != descriptor:
                if descriptor != descriptors[0]:
                    namespaces.send(stream, descriptor)
                os.close(stream)
        self._isolation.close_folder()
        for descriptor in descriptors:
            os.close(descriptor)
        return result

    def _leave(self) -> NoReturn:
        """The other end is closed, on purpose or because its process is gone."""
        self._isolation.close()
        os._exit(0)

    def _run(self, job: Job, folder: str, descriptors: list[int]) -> Result:
        calls = [
            ("setsid",),
            *child.take_descriptors(descriptors),
            ("chdir", folder.encode()),
            *child.limit_resources(job, self._size_bytes, self._isolation.other_processes),
            *self._isolation.confinement(job),
        ]
        begun = time.monotonic()
        pid = self._start(job, folder, calls, len(descriptors))
        watch = _Watch(job, self._control, self._heard, self._isolation)
        stopped = watch.until_end(pid, begun + job.wall_seconds)
        result = self._end(pid, stopped, time.monotonic() - begun)
        if stopped == "hangup":
            self._leave()
        said = watch.close()
        if said != _CONFINED and (said or stopped is None):
            raise OSError(said.decode(errors="replace") or f"a run ended before it was isolated: {result}")
        if job.attached == "product" and result.exit_code == 0:
            size = _take_product(folder, descriptors[child.ATTACHED_FD], job.file_bytes)
            return replace(result, product_bytes=size)
        return result

    def _start(self, job: Job, folder: str, calls: list[Call], own: int) -> int:
        """Start the run; returns its pid."""
        rest = child.drop_descriptors(own, self._isolation.kept_descriptors)
        if job.command is not None:
            rest += child.execution(job, folder)
        if self._isolation.spawns:
            # Said once nothing but the rest can happen, and heard by nobody but this process.
            calls += [("write", self._spoken.fileno(), _CONFINED, len(_CONFINED)), *rest]
            if self._spawner is not None and job.command is not None:
                return self._spawner.spawn(Calls(calls))
            rest = []
        first, second = Calls(calls), Calls(rest)
        pid = os.fork()
        if pid == 0:
            self._become_run(job, first, second)
        return pid

    def _become_run(self, job: Job, calls: Calls, rest: Calls) -> NoReturn:
        try:
            calls.make()
            if not self._isolation.spawns:
                socket.send_fds(self._spoken, [_CONFINED], self._isolation.last_filter())
        except BaseException as error:
            with contextlib.suppress(OSError):
                self._spoken.send(f"cannot confine a run: {error!r}".encode())
            os._exit(CANNOT)
        with contextlib.suppress(OSError):
            rest.make()
            child.run_python(job.source_name, paired=job.attached == "peer")
        os._exit(CANNOT)

    def _end(self, pid: int, stopped: StopReason | None, wall_seconds: float) -> Result:
        """Kill what is left of a run, and add up what its processes used."""
        cpu_seconds, peak_kb, status = 0.0, 0, 0
        with contextlib.suppress(ProcessLookupError):
            self._isolation.end_all(pid)
        with contextlib.suppress(ChildProcessError):
            while True:
                ended, its_status, usage = os.wait4(-1, 0)
                status = its_status if ended == pid else status
                cpu_seconds += usage.ru_utime + usage.ru_stime
                peak_kb = max(peak_kb, usage.ru_maxrss)
        exited = os.WIFEXITED(status)
        return Result(
            exit_code=os.WEXITSTATUS(status) if exited else None,
            signal=None if exited else os.WTERMSIG(status),
            stopped=stopped,
            cpu_seconds=cpu_seconds,
            wall_seconds=wall_seconds,
            peak_memory_kb=peak_kb,
            product_bytes=0,
        )


class _Watch:
    """Waits for a run to end, or for a reason to end it."""

    def __init__(self, job: Job, control: socket.socket, heard: socket.socket, isolation: Isolation) -> None:
        self._job = job
        self._control = control
        self._heard = heard
        self._counts_tasks = isolation.other_processes is None
        self._folder = isolation.folder if self._counts_tasks and job.writes_files else None
        self._said = b""
        self._listeners: list[int] = []
        self._poll = select.poll()

    def until_end(self, pid: int, deadline: float) -> StopReason | None:
        """Returns why the run must be ended, None where it ended."""
        answering = time.process_time()
        ended = os.pidfd_open(pid)
        self._poll.register(ended, select.POLLIN)
        self._poll.register(self._control, select.POLLIN)
        if self._counts_tasks:
            self._poll.register(self._heard, select.POLLIN)
        try:
            while (left := deadline - time.monotonic()) > 0:
                if self._folder and _bytes_below(self._folder) > self._job.folder_bytes:
                    return "files"
                wait = min(left, _FOLDER_CHECK_SECONDS) if self._folder else left
                ready = {descriptor for descriptor, _ in self._poll.poll(wait * 1000)}
                if ended in ready:
                    return None
                if self._control.fileno() in ready:
                    message = self._control.recv(_MESSAGE_BYTES)
                    return _STOPS[message] if message else "hangup"
                self._serve(ready)
                # Answering is work that the program makes: a fork bomb would keep this process busy for free.
                if time.process_time() - answering > self._job.cpu_seconds:
                    return "cpu"
            return "wall"
        finally:
            os.close(ended)

    def _serve(self, ready: set[int]) -> None:
        if self._heard.fileno() in ready:
            self._hear()
        for listener in [listener for listener in self._listeners if listener in ready]:
            task_counter.answer(listener, self._job.processes)

    def close(self) -> bytes:
        """What the run said of its own isolation, before it became the program."""
        self._hear()
        for listener in self._listeners:
            os.close(listener)
        return self._said

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            message, listeners, _, _ = socket.recv_fds(self._heard, _MESSAGE_BYTES, 1)
            self._said += message
            self._listeners += listeners
            for listener in listeners:
                self._poll.register(listener, select.POLLIN)


def _lay_out(job: Job, folder: str, descriptors: list[int]) -> None:
    """Put the source and the compiled program where the command looks for them."""
    words = job.command or ()
    if any("{source}" in word for word in words):
        _copy(descriptors[child.SOURCE_FD], f"{folder}/{job.source_name}", 0o644)
    # A command that is the program alone executes the descriptor.
    if job.attached == "binary" and any("{binary}" in word for word in words if word != "{binary}"):
        _copy(descriptors[child.ATTACHED_FD], f"{folder}/{child.PRODUCT}", 0o755)


def _copy(source: int, path: str, mode: int) -> None:
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        namespaces.send(source, target)
    finally:
        os.close(target)


def _take_product(folder: str, target: int, limit: int) -> int:
    """What a compiler made, if it is a plain file of a size that is allowed; returns its size, else 0."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        source = os.open(f"{folder}/{child.PRODUCT}", flags)
    except OSError:
        return 0
    try:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            return 0
        return namespaces.send(source, target)
    finally:
        os.close(source)


def _bytes_below(folder: str) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(place, name).lstat().st_size
    return total
