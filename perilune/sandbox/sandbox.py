"""Runs untrusted programs where they can harm nothing.

    program ── compiled once, in the sandbox ── run once per input, each in a process, a folder and files of its own

See ``docs/sandbox.md`` for what is kept from whom, and by what.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from perilune.errors import SandboxError, SandboxUnavailable
from perilune.sandbox.compiler import Compiler
from perilune.sandbox.jobs import Attached, Job, Setup
from perilune.sandbox.languages import LANGUAGES
from perilune.sandbox.memory_files import memory_file
from perilune.sandbox.packages import Packages, find_packages
from perilune.sandbox.probes import Mode, first_worker
from perilune.sandbox.programs import Ending, Language, Limits, Program, Run, Submission
from perilune.sandbox.seen import seen
from perilune.sandbox.together import run_together
from perilune.sandbox.worker import WorkerLost
from perilune.sandbox.workshop import Workshop

_ATTEMPTS = 3
_DEFAULT_LIMITS = Limits()
_NAMES_STREAMS = re.compile(rb"\bdev\b|/proc\b")
"""What the text of a program has that opens its streams by name; the others are spared the files for it."""
_PAGES = 64 << 10


class Sandbox:
    """Runs untrusted programs; safe to call from many threads; use it as a context manager.

    Args:
        workers: how many programs run at the same time.
        mode: how to isolate; ``auto`` takes the first of namespaces and landlock whose probes all pass.
        languages: those that programs may be in, by name.
        cache: the folder for compiled headers; the user's cache folder if None.
        packages: what Python programs may import besides its own library; :func:`find_packages` of the default ones if
            None.

    Raises:
        SandboxUnavailable: this machine cannot isolate programs; says what each probe found and what to do.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        mode: Literal["auto", "namespaces", "landlock"] = "auto",
        languages: Mapping[str, Language] = LANGUAGES,
        cache: Path | None = None,
        packages: Packages | None = None,
    ) -> None:
        if workers < 1:
            raise SandboxError(f"a sandbox needs at least 1 worker, not {workers}")
        self._languages = dict(languages)
        self._owner = os.getpid()
        self._compiler = Compiler(self._languages, cache)
        extra = [folder for language in self._languages.values() for folder in language.folders]
        imports = [
            folder for language in self._languages.values() if language.run is None for folder in language.folders
        ]
        folders = (*extra, *self._compiler.folders)
        self._packages = find_packages() if packages is None else packages
        self._mentions = _mentions(self._packages.modules)
        try:
            plain = Setup("namespaces", folders, tuple(imports), self._packages.paths)
            setup, worker = first_worker(mode, plain)
            self._mode: Mode = setup.mode
            self._workshop = Workshop(replace(setup, preloaded=self._packages.preloaded), worker, workers)
            self._workshop.start()
        except BaseException:
            self._compiler.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def mode(self) -> Mode:
        """How programs are isolated."""
        return self._mode

    @property
    def replaced(self) -> int:
        """How many workers have failed and been replaced."""
        return self._workshop.replaced

    @property
    def packages(self) -> Packages:
        """The packages that it was given."""
        return self._packages

    @property
    def modules(self) -> frozenset[str]:
        """What Python programs may import besides its own library: top names, of what can be imported here.

        Raises:
            SandboxUnavailable: no worker that imports them can be started.
        """
        try:
            failed = self._workshop.failed()
        except WorkerLost as failure:
            raise SandboxUnavailable(f"no worker with the packages {self._packages.names} starts: {failure}") from None
        return self._packages.modules - set(failed)

    def run(
        self,
        program: Program,
        inputs: Sequence[bytes],
        limits: Limits = _DEFAULT_LIMITS,
        stop: Callable[[Run], bool] | None = None,
    ) -> Submission:
        """Run a program once per input, in order, with nothing carried from one run to the next.

        Args:
            program: its language and source.
            inputs: what each run reads on stdin.
            limits: of each run; a compilation has the language's.
            stop: asked after each run; true leaves out the runs that are left.

        Raises:
            SandboxError: the language is not known, the sandbox is closed, or this is a fork of its process.
        """
        if os.getpid() != self._owner:
            raise SandboxError("a sandbox belongs to the process that made it: make another in this one")
        language = self._language(program.language)
        source = program.source.encode("utf-8", "surrogatepass")
        compiled: Run | None = None
        runs: list[Run] = []
        with ExitStack() as files:
            attached: list[int] = []
            if language.compile is not None:
                build = self._compiler.compile(language, source, self._compile)
                compiled = build.run
                if build.binary is None:
                    return Submission(compiled, ())
                attached = [files.enter_context(build.binary)]
            source_fd = files.enter_context(memory_file(source, sealed=True))
            job = _job(language.run, language.source_name, limits, "binary" if attached else "nothing")
            if _NAMES_STREAMS.search(source):
                # stdin, and room for all that stdout and stderr may hold
                longest = max(map(len, inputs), default=0)
                job = replace(job, names_streams=True, stream_bytes=longest + 2 * job.file_bytes + _PAGES)
            packages = language.run is None and self._mentions.search(source) is not None
            for given in inputs:
                runs.append(self._run(job, given, [source_fd, *attached], limits, packages=packages))
                if stop is not None and stop(runs[-1]):
                    break
        return Submission(compiled, tuple(runs))

    def close(self) -> None:
        """End every worker, once their jobs are done."""
        if os.getpid() == self._owner:
            self._workshop.close()
            self._compiler.close()

    def _language(self, name: str) -> Language:
        if name not in self._languages:
            near = difflib.get_close_matches(name, self._languages, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(self._languages))}"
            raise SandboxError(f"the sandbox knows no language {name!r}: {hint}")
        return self._languages[name]

    def _compile(self, command: tuple[str, ...], source_name: str, source: bytes, product: int, limits: Limits) -> Run:
        words = command if any("{source}" in word for word in command) else (*command, "{source}")
        with memory_file(source, sealed=True) as source_fd:
            return self._run(_job(words, source_name, limits, "product"), b"", [source_fd, product], limits)

    def _run(self, job: Job, given: bytes, descriptors: list[int], limits: Limits, *, packages: bool = False) -> Run:
        """One run, tried again on another worker where one fails."""
        failure = ""
        for _ in range(_ATTEMPTS):
            try:
                with memory_file(given) as stdin, memory_file() as stdout, memory_file() as stderr:
                    with self._workshop.pool(packages=packages).worker() as worker:
                        result = worker.do(job, [stdin, stdout, stderr, *descriptors], limits)
                    return seen(result, stdout, stderr, limits)
            except (WorkerLost, OSError) as error:
                failure = str(error)
        return _failed(failure)

    def run_pair(self, first: Program, second: Program, limits: Limits, mentioned: tuple[str, str]) -> tuple[Run, Run]:
        """Run two Python programs at the same time, each with its standard input and :data:`PEER_FD` as two ends of
        pipes to the other, and with no other tie.

        Args:
            first: whose limits are these.
            second: the one that ends the first where it ends itself; has the same limits.
            limits: of each of them.
            mentioned: texts of theirs in which packages may be named.

        Raises:
            SandboxError: a language is not python, the sandbox is closed, or this is a fork of its process.
        """
        if os.getpid() != self._owner:
            raise SandboxError("a sandbox belongs to the process that made it: make another in this one")
        languages = [self._language(program.language) for program in (first, second)]
        if any(language.run is not None for language in languages):
            raise SandboxError("only two programs in Python can be run as a pair")
        sources = [program.source.encode("utf-8", "surrogatepass") for program in (first, second)]
        packages = [self._mentions.search(text.encode("utf-8", "surrogatepass")) is not None for text in mentioned]
        failure = ""
        for _ in range(_ATTEMPTS):
            try:
                pools = (
                    self._workshop.pool(packages=packages[0]),
                    self._workshop.pool(packages=packages[1], partner=True),
                )
                job = _job(None, languages[0].source_name, limits, "peer")
                return run_together(pools, job, (sources[0], sources[1]), limits)
            except (WorkerLost, OSError) as error:
                failure = str(error)
        return _failed(failure), _failed(failure)


def _failed(reason: str) -> Run:
    return Run(Ending.INFRASTRUCTURE, None, None, b"", b"", 0.0, 0.0, 0.0, f"the sandbox failed: {reason}")


def _mentions(modules: frozenset[str]) -> re.Pattern[bytes]:
    """Finds the name of a module in a program's text; nothing, where there are none."""
    names = "|".join(sorted(map(re.escape, modules)))
    return re.compile(rf"\b(?:{names})\b".encode() if names else rb"(?!)")


def _job(
    command: tuple[str, ...] | None,
    source_name: str,
    limits: Limits,
    attached: Attached,
) -> Job:
    compiling = attached == "product"
    return Job(
        command=command,
        source_name=source_name,
        attached=attached,
        cpu_seconds=math.ceil(limits.cpu_seconds),
        wall_seconds=limits.wall_seconds,
        memory_bytes=limits.memory_mb << 20,
        # One limit of the kernel for files and for stdout and stderr; which of them was broken is seen afterwards.
        file_bytes=max(limits.file_bytes, limits.output_bytes + 1),
        folder_bytes=limits.file_bytes,
        processes=limits.processes,
        open_files=limits.open_files,
        writes_files=compiling,
    )
