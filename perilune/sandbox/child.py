"""What a run does to itself before it is the program: descriptors, limits, the command; and Python's own start.

Nothing in this process is worth reading or changing: it holds no descriptor but the run's own, its results are taken
from the outside, and it is gone after the run.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import atexit
import builtins
import contextlib
import ctypes
import functools
import gc
import importlib
import io
import linecache
import os
import re
import resource
import site
import struct
import sys
import types
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from typing import Final

from perilune.sandbox.calls import Call
from perilune.sandbox.crossing.start import start
from perilune.sandbox.jobs import Job
from perilune.sandbox.namespaces import PYTHON_FD

SOURCE_FD: Final = 3
ATTACHED_FD: Final = 4
PRODUCT: Final = "program"
"""What a compiled file is called inside the sandbox."""
_O_CLOEXEC: Final = os.O_CLOEXEC
_AT_EMPTY_PATH: Final = 0x1000
_STACK_BYTES: Final = 128 << 20
_EXECUTED_BYTES: Final = 16 << 20  # of address space for a program's own text and libraries, beyond its limit
_ALL_DESCRIPTORS: Final = 0xFFFFFFFF
_MAIN: Final = types.ModuleType("__main__")
_FINALIZES: Final = re.compile(rb"__del__|\bfinally\b|\bwith\b")
"""What of a program's text may run when its objects go."""


def take_descriptors(descriptors: list[int]) -> list[Call]:
    """stdin, stdout, stderr, the source and what is attached become 0 to 4; those that a program needs stay open."""
    return [
        ("dup3", descriptor, number, _O_CLOEXEC if number >= SOURCE_FD else 0)
        for number, descriptor in enumerate(descriptors)
    ]


def drop_descriptors(own: int, kept: int) -> list[Call]:
    """Close all that are not the run's own, nor the library's."""
    between: list[Call] = [("close_range", own, PYTHON_FD - 1, 0)] if own < PYTHON_FD else []
    return [*between, ("close_range", kept, _ALL_DESCRIPTORS, 0)]


def limit_resources(job: Job, zygote_bytes: int, other_processes: int | None) -> list[Call]:
    """Set the kernel's limits.

    Args:
        job: says which.
        zygote_bytes: the address space that a fork starts with.
        other_processes: those of this user namespace that are not the program's; None where processes are counted
            in another way.
    """
    own = zygote_bytes if job.command is None else _EXECUTED_BYTES
    limits = [
        (resource.RLIMIT_CPU, job.cpu_seconds, job.cpu_seconds + 1),
        (resource.RLIMIT_FSIZE, job.file_bytes, job.file_bytes),
        (resource.RLIMIT_NOFILE, job.open_files, job.open_files),
        # Programs that nest deeply ask for more, without end if they can: it counts as memory all the same.
        (resource.RLIMIT_STACK, _STACK_BYTES, resource.RLIM_INFINITY),
        (resource.RLIMIT_SIGPENDING, 256, 256),
        (resource.RLIMIT_AS, own + job.memory_bytes, own + job.memory_bytes),
    ]
    for name in (resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE, resource.RLIMIT_RTPRIO):
        limits.append((name, 0, 0))
    if other_processes is not None:
        most = job.processes + other_processes
        limits.append((resource.RLIMIT_NPROC, most, most))
    return [("prlimit64", 0, name, _limit(name, soft, hard), None) for name, soft, hard in limits]


_highest = functools.cache(resource.getrlimit)  # of the zygote, which never changes its own


def _limit(name: int, soft: int, hard: int) -> bytes:
    _, highest = _highest(name)
    if highest != resource.RLIM_INFINITY:
        soft = min(soft, highest)
        hard = highest if hard == resource.RLIM_INFINITY else min(hard, highest)
    return struct.pack("=qq", soft, hard)  # infinity is -1


def filled_in(part: str, source_name: str, folder: str) -> str:
    """A word of a command, with the paths that it stands for."""
    named = part.replace("{source}", f"{folder}/{source_name}").replace("{binary}", f"{folder}/{PRODUCT}")
    return named.replace("{folder}", folder)


def execution(job: Job, folder: str) -> list[Call]:
    """Become the command of the job."""
    assert job.command is not None
    words = [filled_in(part, job.source_name, folder) for part in job.command]
    arguments = _strings(words)
    environment = _strings([f"{name}={value}" for name, value in os.environ.items()])
    if job.command[0] == "{binary}":
        return [("execveat", ATTACHED_FD, b"", arguments, environment, _AT_EMPTY_PATH)]
    return [("execve", _find(words[0]).encode(), arguments, environment)]


def _strings(words: list[str]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (len(words) + 1))(*[word.encode() for word in words], None)


def _find(name: str) -> str:
    """Where a command is, which is looked for as a shell does."""
    if "/" in name:
        return name
    paths = [f"{folder}/{name}" for folder in os.environ["PATH"].split(":")]
    return next((path for path in paths if os.access(path, os.X_OK)), name)


def run_python(file_name: str, *, paired: bool) -> None:
    """Be ``python FILE``, with the source from its descriptor; returns never.

    Args:
        file_name: what the source is called.
        paired: whether it is one of two runs that talk, and has what begins that among its names.
    """
    # Bound here, since the program may change what the names stand for; that would only confuse its own end.
    leave, flush = os._exit, _flush
    code = 1
    names: dict[str, object] = {"start": start} if paired else {}
    try:
        source = _read_all(SOURCE_FD)
        os.close(SOURCE_FD)
        code = _exit_code(lambda: _execute(source, file_name, names), finalizes=_FINALIZES.search(source) is not None)
    finally:
        leave(flush(code))


def _execute(source: bytes, file_name: str, names: dict[str, object]) -> None:
    sys.argv = [file_name]
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    _MAIN.__dict__.update(__file__=file_name, __builtins__=builtins, __annotations__={}, __cached__=None, **names)
    # What asks for the source's text, as inspect and tracebacks do, gets it, though it lies in no file.
    linecache.cache[file_name] = (lambda: source.decode("utf-8", errors="replace"),)
    # As a start of Python's own leaves them; the zygote, as process 1, handles none.
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
    gc.enable()
    # Its frames come on top of ours, and it should be able to nest as deeply as in an interpreter of its own.
    sys.setrecursionlimit(sys.getrecursionlimit() + 16)
    exec(compile(source, file_name, "exec", dont_inherit=True), _MAIN.__dict__)


def _read_all(descriptor: int) -> bytes:
    parts: list[bytes] = []
    size = os.fstat(descriptor).st_size
    while size > 0 and (part := os.pread(descriptor, size, sum(map(len, parts)))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _text(descriptor: int, name: str) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, "w" if descriptor else "r", closefd=False)
    raw.name = f"<{name}>"
    buffer = io.BufferedWriter(raw) if descriptor else io.BufferedReader(raw)
    errors = "backslashreplace" if descriptor == 2 else "surrogateescape"
    stream = io.TextIOWrapper(buffer, encoding="utf-8", errors=errors, line_buffering=descriptor == 2)
    stream.mode = "w" if descriptor else "r"  # type: ignore[misc]
    return stream


def _exit_code(body: Callable[[], None], *, finalizes: bool) -> int:
    """Run the program and what an interpreter runs at its end; what uncaught exceptions print is printed."""
    code = _code_of(body)
    if (threading := sys.modules.get("threading")) is not None:
        code = max(code, _code_of(threading._shutdown))
    code = max(code, _code_of(atexit._run_exitfuncs))
    if finalizes:
        _code_of(_forget_names)
    return code


def _forget_names() -> None:
    """Let go of what the program's names hold, as an interpreter does at its end: finalizers may print."""
    for private in (True, False):
        for name in list(_MAIN.__dict__):
            if name.startswith("_") is private and name != "__builtins__":
                _MAIN.__dict__[name] = None
    gc.collect()


def _code_of(body: Callable[[], None]) -> int:
    try:
        body()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            code = end.code or 0
            return code & 0xFF if -(1 << 63) <= code < 1 << 63 else 255
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
    """Import what most programs import, so that a run need not, and open what they print to."""
    names = [
        "bisect",
        "cmath",
        "collections",
        "collections.abc",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "heapq",
        "io",
        "itertools",
        "json",
        "math",
        "operator",
        "os",
        "queue",
        "random",
        "re",
        "statistics",
        "string",
        "struct",
        "sys",
        "textwrap",
        "threading",
        "time",
        "traceback",
        "typing",
        "linecache",
        "tokenize",
    ]
    for name in names:
        with contextlib.suppress(ImportError):
            __import__(name)
    # What Python's start leaves out with -S: exit, quit, help, copyright, credits, license.
    site.setquit()
    site.setcopyright()
    site.sethelper()
    sys.stdin = sys.__stdin__ = _text(0, "stdin")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _text(1, "stdout")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text(2, "stderr")  # type: ignore[misc]


class OfferedFinder:
    """Finds offered packages among others that lie beside them and cannot be read, as if those were not there."""

    def __init__(self, names: frozenset[str], places: list[str]) -> None:
        self._names = names
        self._places = places

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """What Python's import asks."""
        return PathFinder.find_spec(name, self._places) if path is None and name in self._names else None


def preload(names: Sequence[str]) -> list[str]:
    """Import packages that programs use; returns the names of those that cannot be imported."""
    failed = []
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:
            failed.append(name)
    return failed


def forget_the_package() -> None:
    """Leave nothing in ``sys.modules`` that Python does not have by itself."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "perilune"]:
        del sys.modules[name]
    sys.modules["__main__"] = _MAIN
