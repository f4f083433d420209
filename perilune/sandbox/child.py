"""What a freshly forked run does to itself before it is the program: limits, rights, filters; then Python's own start.

Nothing in this process is worth reading or changing: it holds no descriptor but the run's own, its results are taken
from the outside, and it is gone after the run.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import resource
import signal
import sys
import types
from collections.abc import Callable

from perilune.sandbox.jobs import Job
from perilune.sandbox.namespaces import PYTHON_FD

SOURCE_FD = 3
ATTACHED_FD = 4
PRODUCT = "program"
"""What a compiled file is called inside the sandbox."""
_STACK_BYTES = 128 << 20
_EXECUTED_BYTES = 16 << 20  # of address space for a program's own text and libraries, beyond its limit
_CANNOT_EXECUTE = 127


def take_descriptors(descriptors: list[int]) -> None:
    """stdin, stdout, stderr, the source and what is attached become 0 to 4."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number, inheritable=number < SOURCE_FD)


def drop_descriptors(own: int, kept: int) -> None:
    """Close all that are not the run's own, nor the library's."""
    os.closerange(own, PYTHON_FD)
    os.closerange(kept, 1 << 16)


def limit_resources(job: Job, zygote_bytes: int, other_processes: int | None) -> None:
    """Set the kernel's limits.

    Args:
        job: says which.
        zygote_bytes: the address space that a fork starts with.
        other_processes: those of this user namespace that are not the program's; None where processes are counted
            in another way.
    """
    own = zygote_bytes if job.command is None else _EXECUTED_BYTES
    _limit(resource.RLIMIT_CPU, job.cpu_seconds, job.cpu_seconds + 1)
    _limit(resource.RLIMIT_FSIZE, job.file_bytes)
    _limit(resource.RLIMIT_NOFILE, job.open_files)
    if other_processes is not None:
        _limit(resource.RLIMIT_NPROC, job.processes + other_processes)
    _limit(resource.RLIMIT_STACK, _STACK_BYTES)
    for name in (resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE, resource.RLIMIT_RTPRIO):
        _limit(name, 0)
    _limit(resource.RLIMIT_SIGPENDING, 256)
    _limit(resource.RLIMIT_AS, own + job.memory_bytes)


def _limit(name: int, soft: int, hard: int | None = None) -> None:
    _, highest = resource.getrlimit(name)
    most = soft if hard is None else hard
    if highest != resource.RLIM_INFINITY:
        soft, most = min(soft, highest), min(most, highest)
    resource.setrlimit(name, (soft, most))


def default_signals() -> None:
    """No handler and nothing ignored, as after a login; a file that grows too long ends the program."""
    for name in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(name, signal.SIG_DFL)


def filled_in(part: str, source_name: str, folder: str) -> str:
    """A word of a command, with the paths that it stands for."""
    named = part.replace("{source}", f"{folder}/{source_name}").replace("{binary}", f"{folder}/{PRODUCT}")
    return named.replace("{folder}", folder)


def execute(job: Job, folder: str) -> None:
    """Become the command of the job; returns never."""
    assert job.command is not None
    command = [filled_in(part, job.source_name, folder) for part in job.command]
    try:
        if job.command[0] == "{binary}":
            os.execve(ATTACHED_FD, [PRODUCT, *command[1:]], os.environ)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"cannot execute {command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(_CANNOT_EXECUTE)


def run_python(file_name: str) -> None:
    """Be ``python FILE``, with the source from its descriptor; returns never."""
    # Bound here, since the program may change what the names stand for; that would only confuse its own end.
    leave, flush = os._exit, _flush
    code = 1
    try:
        code = _exit_code(lambda: _execute_source(file_name))
    finally:
        leave(flush(code))


def _execute_source(file_name: str) -> None:
    source = _read_all(SOURCE_FD)
    sys.stdin = sys.__stdin__ = _text(0, "r")
    sys.stdout = sys.__stdout__ = _text(1, "w")
    sys.stderr = sys.__stderr__ = _text(2, "w")
    sys.argv = [file_name]
    for name in [name for name in sys.modules if name.partition(".")[0] == "perilune"]:
        del sys.modules[name]
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=file_name, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    gc.enable()
    # Its frames come on top of ours, and it should be able to nest as deeply as in an interpreter of its own.
    sys.setrecursionlimit(sys.getrecursionlimit() + 16)
    exec(compile(source, file_name, "exec", dont_inherit=True), main.__dict__)  # noqa: S102 (what all this is for)


def _read_all(descriptor: int) -> bytes:
    with open(descriptor, "rb") as source:  # noqa: PTH123 (a descriptor has no path)
        source.seek(0)
        return source.read()


def _text(descriptor: int, mode: str) -> io.TextIOWrapper:
    errors = "backslashreplace" if descriptor == 2 else "surrogateescape"
    stream = open(descriptor, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: PTH123, SIM115
    assert isinstance(stream, io.TextIOWrapper)
    if descriptor == 2:
        stream.reconfigure(line_buffering=True)
    return stream


def _exit_code(body: Callable[[], None]) -> int:
    """Run the program and what an interpreter runs at its end; what uncaught exceptions print is printed."""
    code = _code_of(body)
    if (threading := sys.modules.get("threading")) is not None:
        code = max(code, _code_of(threading._shutdown))
    return max(code, _code_of(atexit._run_exitfuncs))


def _code_of(body: Callable[[], None]) -> int:
    try:
        body()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        os.write(2, f"{end.code}\n".encode(errors="backslashreplace"))
        return 1
    except BaseException as error:
        _report(error)
        return 1
    return 0


def _report(error: BaseException) -> None:
    # The program's own frames: ours say nothing to anybody.
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__") == __name__:
        trace = trace.tb_next
    try:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    except BaseException:
        os.write(2, f"{type(error).__name__}\n".encode())


def _flush(code: int) -> int:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:
            return code or 120  # what Python itself exits with
    return code


def warm_up() -> None:
    """Import what most programs import, so that a run need not."""
    names = """bisect cmath collections collections.abc copy dataclasses datetime decimal enum fractions functools
    heapq io itertools json math operator os queue random re statistics string struct sys textwrap threading time
    traceback typing linecache tokenize""".split()
    for name in names:
        with contextlib.suppress(ImportError):
            __import__(name)
