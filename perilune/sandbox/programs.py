"""What is run in the sandbox, under which limits, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum

from perilune.errors import SandboxError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run of a program may use; a run that reaches a limit is ended.

    The compiler has limits of its own (:attr:`Language.compile_limits`).
    """

    cpu_seconds: float = 10.0
    """CPU time of all its processes together."""
    wall_seconds: float = 20.0
    """Time from the start to the end of a run."""
    memory_mb: int = 512
    """Address space of each process, in MiB, and of what it keeps in its temporary files."""
    output_bytes: int = 1 << 20
    """Of stdout and of stderr, each."""
    processes: int = 16
    """Processes and threads at once, the program's first included."""
    open_files: int = 64
    """File descriptors of each process."""
    file_bytes: int = 16 << 20
    """Of all temporary files together."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise SandboxError(f"the limit {field.name} must be more than 0, not {getattr(self, field.name)}")


class Ending(Enum):
    """Why a run ended."""

    EXITED = "exited"
    """By itself, with any exit code."""
    CPU_TIME = "cpu time"
    WALL_TIME = "wall time"
    MEMORY = "memory"
    OUTPUT = "output"
    KILLED = "killed"
    """By a signal of its own doing, such as SIGSEGV or SIGABRT."""
    INFRASTRUCTURE = "infrastructure"
    """The sandbox failed: our fault, and never a verdict about the program."""


@dataclass(frozen=True, slots=True)
class Program:
    """Source text in a language that the sandbox was given: ``python``, ``cpp``, or one configured."""

    language: str
    source: str


@dataclass(frozen=True, slots=True)
class Run:
    """How one run went, as seen from outside the sandbox: nothing here is the program's own word but its output."""

    ending: Ending
    exit_code: int | None
    """Where the ending is EXITED."""
    signal: int | None
    """Where a signal ended the program, whoever sent it."""
    stdout: bytes
    stderr: bytes
    cpu_seconds: float
    wall_seconds: float
    peak_memory_mb: float
    """The largest resident set of any one of its processes, in MiB."""
    detail: str = ""
    """A sentence for people about the ending; empty where there is nothing to add."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A program's compilation and its runs, one per input, in order."""

    compile: Run | None
    """None where nothing is compiled, or the result came from the cache."""
    runs: tuple[Run, ...]
    """Empty where the compilation failed; shorter than the inputs where ``stop`` said so."""

    @property
    def compiled(self) -> bool:
        """Whether there was a program to run."""
        return self.compile is None or (self.compile.ending is Ending.EXITED and self.compile.exit_code == 0)


@dataclass(frozen=True, slots=True)
class Language:
    """How programs of a language are compiled and run, all inside the sandbox.

    In both commands ``{source}`` stands for the path of the source file, ``{binary}`` for the compiled one, and
    ``{folder}`` for that of the run's folder.
    """

    name: str
    source_name: str
    """What the source file is called: ``main.cpp``."""
    run: tuple[str, ...] | None
    """None where the sandbox's own warm interpreter runs it, which is for Python alone."""
    compile: tuple[str, ...] | None = None
    """None where the source is run as it is."""
    compile_limits: Limits = Limits(cpu_seconds=20, wall_seconds=40, memory_mb=2048, processes=8, file_bytes=64 << 20)
    precompiled_header: str | None = None
    """A header that most programs include and that is compiled once: ``bits/stdc++.h``."""
    static_libraries: tuple[str, ...] = ()
    """What ``-static`` in the compile command needs; where the compiler lacks one of them, the flag is left out."""
    folders: tuple[str, ...] = ()
    """Folders besides the system's that its programs read, all that is in them; Python imports from them too."""
