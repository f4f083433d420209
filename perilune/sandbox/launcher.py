"""The first process of a worker: makes the namespaces, forks the zygote into them, and waits for it.

the trainer's process ── socket ── zygote ── fork ── run, which becomes the program
          └─ starts ─ launcher ─ forks ─┘
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
from typing import NoReturn

from perilune.sandbox import child, kernel, namespaces, process_tree
from perilune.sandbox.isolation import LandlockAlone, Namespaces
from perilune.sandbox.jobs import Setup
from perilune.sandbox.zygote import Zygote

_RESERVED_FDS = 16
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MARGIN_BYTES = 4 << 20
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
"""Numerical libraries would start a thread a core, each with memory of its own."""


def main() -> NoReturn:
    """``SOCKET_FD SETUP`` on the command line: be the launcher, which forks the zygote."""
    status = 1
    given, setup = int(sys.argv[1]), Setup.decode(sys.argv[2])
    sys.argv[1:] = []
    _all_signals_default()
    control = socket.socket(fileno=fcntl.fcntl(given, fcntl.F_DUPFD_CLOEXEC, _RESERVED_FDS))
    os.close(given)
    _reserve_descriptors()
    try:
        if setup.mode == "landlock":
            kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
            mapped_root = False
        else:
            mapped_root = namespaces.enter_user_namespace()
            namespaces.enter_other_namespaces()
        pid = os.fork()
        if pid == 0:
            _be_zygote(control, setup, mapped_root)
        socket.send_fds(control, [str(pid).encode()], [os.pidfd_open(pid)])
        control.close()
        _, status = os.waitpid(pid, 0)
        _end_orphans()
    except OSError as error:
        control.send(f"cannot make namespaces: {error}".encode())
    finally:
        os._exit(min(status, 1))


def _all_signals_default() -> None:
    """Process 1 gets only signals that it handles: it must handle none, not even Python's Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o022)


def _reserve_descriptors() -> None:
    """What comes with a job gets higher numbers than those that a run puts it at."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    while null < _RESERVED_FDS:
        null = os.dup(null)
    os.close(null)


def _end_orphans() -> None:
    """Where there is no process namespace, end what a killed zygote left."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            for pid in process_tree.descendants(os.getpid()):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _be_zygote(control: socket.socket, setup: Setup, mapped_root: bool) -> NoReturn:
    try:
        child.warm_up()
        own_size = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)  # /proc may be gone when it is read
        isolation: Namespaces | LandlockAlone = (
            Namespaces(setup, mapped_root) if setup.mode == "namespaces" else LandlockAlone(setup)
        )
        sys.path += [path for path in isolation.import_paths if path not in sys.path]
        sys.executable = sys._base_executable  # type: ignore[attr-defined]
        os.environ.clear()
        os.environ.update(PATH="/usr/local/bin:/usr/bin:/bin", LANG="C.UTF-8", HOME=isolation.folder)
        os.environ.update(TMPDIR=isolation.folder, PYTHONHASHSEED="0", **_ONE_THREAD)
        failed = child.preload(setup.preloaded)
        size = int(os.pread(own_size, 200, 0).split()[0]) * _PAGE_BYTES
        os.close(own_size)
        zygote = Zygote(control, isolation, size + _MARGIN_BYTES)
        child.forget_the_package()
        control.send(f"ready {isolation.abi} {','.join(failed)} {isolation.folder}".encode())
    except (OSError, ValueError) as error:
        control.send(f"cannot isolate: {error}".encode())
        os._exit(1)
    try:
        zygote.serve()
    except OSError as error:
        control.send(f"failed: {error}".encode())
    finally:
        os._exit(1)
