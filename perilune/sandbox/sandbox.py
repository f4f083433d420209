"""Runs untrusted programs where they can harm nothing.

    program ── compiled once, in the sandbox ── run once per input, each in a process, a folder and files of its own

See ``docs/sandbox.md`` for what is kept from whom, and by what.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from perilune.errors import SandboxError
from perilune.sandbox.compiler import Compiler
from perilune.sandbox.endings import detail_of, ending_of
from perilune.sandbox.jobs import Job, Setup
from perilune.sandbox.languages import LANGUAGES
from perilune.sandbox.memory_files import memory_file, read_from, size_of
from perilune.sandbox.pool import WorkerPool
from perilune.sandbox.probes import Mode, first_worker
from perilune.sandbox.programs import Ending, Language, Limits, Program, Run, Submission
from perilune.sandbox.worker import WorkerLost

_ATTEMPTS = 3
_STDERR_END = 4096
_DEFAULT_LIMITS = Limits()


class Sandbox:
    """Runs untrusted programs; safe to call from many threads; use it as a context manager.

    Args:
        workers: how many programs run at the same time.
        mode: how to isolate; ``auto`` takes the first of namespaces and landlock whose probes all pass.
        languages: those that programs may be in, by name.
        cache: the folder for compiled headers; the user's cache folder if None.

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
        try:
            setup, worker = first_worker(mode, Setup("namespaces", folders=folders, import_paths=tuple(imports)))
            self._mode: Mode = setup.mode
            self._pool = WorkerPool(setup, worker, workers)
            self._pool.start()
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
        return self._pool.replaced

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
            for given in inputs:
                runs.append(self._run(job, given, [source_fd, *attached], limits))
                if stop is not None and stop(runs[-1]):
                    break
        return Submission(compiled, tuple(runs))

    def close(self) -> None:
        """End every worker, once their jobs are done."""
        if os.getpid() == self._owner:
            self._pool.close()
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

    def _run(self, job: Job, given: bytes, descriptors: list[int], limits: Limits) -> Run:
        """One run, tried again on another worker where one fails."""
        failure = ""
        for _ in range(_ATTEMPTS):
            try:
                with memory_file(given) as stdin, memory_file() as stdout, memory_file() as stderr:
                    return self._attempt(job, [stdin, stdout, stderr, *descriptors], limits)
            except (WorkerLost, OSError) as error:
                failure = str(error)
        return Run(Ending.INFRASTRUCTURE, None, None, b"", b"", 0.0, 0.0, 0.0, f"the sandbox failed: {failure}")

    def _attempt(self, job: Job, descriptors: list[int], limits: Limits) -> Run:
        with self._pool.worker() as worker:
            result = worker.do(job, descriptors, limits)
        _, stdout, stderr, *_ = descriptors
        sizes = size_of(stdout), size_of(stderr)
        stderr_end = read_from(stderr, _STDERR_END, max(0, sizes[1] - _STDERR_END))
        ending = ending_of(result, *sizes, stderr_end, limits)
        return Run(
            ending=ending,
            exit_code=result.exit_code if ending is Ending.EXITED else None,
            signal=result.signal,
            stdout=read_from(stdout, limits.output_bytes),
            stderr=read_from(stderr, limits.output_bytes),
            cpu_seconds=result.cpu_seconds,
            wall_seconds=result.wall_seconds,
            peak_memory_mb=result.peak_memory_kb / 1024,
            detail=detail_of(ending, result, limits),
        )


def _job(
    command: tuple[str, ...] | None,
    source_name: str,
    limits: Limits,
    attached: Literal["nothing", "binary", "product"],
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
