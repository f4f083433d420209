"""Compiles programs inside the sandbox, and remembers what it compiled.

A source that was compiled before, with the same compiler and flags, is not compiled again. A header that most programs
include is compiled once and kept in the cache folder, which is read-only inside the sandbox.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from perilune.sandbox.memory_files import memory_file, read_from, size_of
from perilune.sandbox.programs import Ending, Language, Limits, Run

_REMEMBERED_BYTES: Final = 256 << 20
_REMEMBERED: Final = 200  # each keeps a descriptor open
_STATIC: Final = "-static"
_STATIC_THREADS_SINCE: Final = (2, 34)  # of the GNU C library; before, threads broke in static programs
_HEADER_LIMITS: Final = Limits(cpu_seconds=60, wall_seconds=120, memory_mb=4096, processes=8, file_bytes=1 << 30)
_VERSION_SECONDS: Final = 20


class Execute(Protocol):
    """Runs one command in the sandbox; the product goes into a file."""

    def __call__(self, command: tuple[str, ...], source_name: str, source: bytes, product: int, limits: Limits) -> Run:
        """Returns how it went."""


@dataclass(frozen=True, slots=True)
class Binary:
    """A compiled program in a file without a name, which nobody can change."""

    descriptor: int
    size: int
    """In bytes."""

    @classmethod
    def of(cls, content: bytes) -> Self:
        """A new one."""
        with memory_file(content, sealed=True) as descriptor:
            return cls(os.dup(descriptor), len(content))

    def copy(self) -> Binary:
        """The same file, to be closed by itself."""
        return Binary(os.dup(self.descriptor), self.size)

    def close(self) -> None:
        """Forget it."""
        os.close(self.descriptor)

    def __enter__(self) -> int:
        """The descriptor, for the block."""
        return self.descriptor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Build:
    """A program that was compiled, or not."""

    run: Run | None
    """None where it was remembered."""
    binary: Binary | None
    """None where the compilation failed."""


def default_cache() -> Path:
    """Where compiled headers are kept: the user's cache folder; root's where ordinary users can read it too."""
    if os.geteuid() == 0:
        return Path("/var/cache/perilune/sandbox")
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "perilune" / "sandbox"


class Compiler:
    """Safe to call from many threads.

    Args:
        languages: those that programs are in.
        cache: the folder for compiled headers, :func:`default_cache` if None.
    """

    def __init__(self, languages: Mapping[str, Language], cache: Path | None) -> None:
        self._lock = threading.Lock()
        self._remembered: OrderedDict[str, Binary] = OrderedDict()
        self._size = 0
        self._making: dict[str, threading.Lock] = {}
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        compiled = [_as_here(language) for language in languages.values() if language.compile]
        self._languages = {language.name: language for language in compiled}
        self._keys = {language.name: _key(language) for language in compiled}
        with_header = [language for language in compiled if language.precompiled_header]
        self._header_folders = self._make_folders(cache or default_cache(), with_header)

    @property
    def folders(self) -> tuple[str, ...]:
        """What compilers read besides the system's folders."""
        return tuple(str(folder) for folder in self._header_folders.values())

    def close(self) -> None:
        """Remove what is not kept."""
        with self._lock:
            while self._remembered:
                self._remembered.popitem()[1].close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def compile(self, language: Language, source: bytes, execute: Execute) -> Build:
        """Compile a program, unless that is remembered; the caller closes the binary."""
        language = self._languages[language.name]
        key = hashlib.sha256(self._keys[language.name].encode() + source).hexdigest()
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        # The same program from many threads at once is compiled by one of them.
        try:
            with making:
                if binary := self._recall(key):
                    return Build(None, binary)
                build = self._compile(language, source, execute)
                if build.binary is not None:
                    self._remember(key, build.binary)
                return build
        finally:
            with self._lock:
                self._making.pop(key, None)

    def _compile(self, language: Language, source: bytes, execute: Execute) -> Build:
        assert language.compile is not None
        command = language.compile
        header = language.precompiled_header
        if header and header.encode() in source and (folder := self._header(language, execute)):
            command = (command[0], f"-I{folder}", *command[1:])
        with memory_file() as product:
            run = execute(command, language.source_name, source, product, language.compile_limits)
            content = read_from(product, size_of(product))
        if run.ending is Ending.EXITED and run.exit_code == 0 and not content:
            run = replace(run, ending=Ending.KILLED, exit_code=None, detail="the compiler left no program")
        return Build(run, Binary.of(content) if content else None)

    def _header(self, language: Language, execute: Execute) -> Path | None:
        """The folder that holds the compiled header, made now where it is missing; None where that fails."""
        folder = self._header_folders.get(language.name)
        if folder is None or language.precompiled_header is None or language.compile is None:
            return None
        compiled = folder / f"{language.precompiled_header}.gch"
        with self._lock:
            making = self._making.setdefault(str(compiled), threading.Lock())
        with making:
            if compiled.exists():
                return folder
            text = f"#include <{language.precompiled_header}>\n".encode()
            command = (language.compile[0], "-x", "c++-header", *language.compile[1:])
            with memory_file() as product:
                run = execute(command, "header.hpp", text, product, _HEADER_LIMITS)
                if run.ending is not Ending.EXITED or run.exit_code != 0 or not size_of(product):
                    self._header_folders.pop(language.name)
                    return None
                _keep(product, compiled)
            return folder

    def _make_folders(self, cache: Path, languages: list[Language]) -> dict[str, Path]:
        folders = {}
        for language in languages:
            name = f"headers/{hashlib.sha256(self._keys[language.name].encode()).hexdigest()[:16]}"
            try:
                folders[language.name] = _folder(cache / name)
            except OSError:
                if self._temporary is None:
                    self._temporary = tempfile.TemporaryDirectory(prefix="perilune-headers-")
                    Path(self._temporary.name).chmod(0o755)
                folders[language.name] = _folder(Path(self._temporary.name) / name)
        return folders

    def _recall(self, key: str) -> Binary | None:
        with self._lock:
            if key not in self._remembered:
                return None
            self._remembered.move_to_end(key)
            return self._remembered[key].copy()

    def _remember(self, key: str, binary: Binary) -> None:
        with self._lock:
            if binary.size <= _REMEMBERED_BYTES // 4 and key not in self._remembered:
                self._remembered[key] = binary.copy()
                self._size += binary.size
                while self._size > _REMEMBERED_BYTES or len(self._remembered) > _REMEMBERED:
                    forgotten = self._remembered.popitem(last=False)[1]
                    self._size -= forgotten.size
                    forgotten.close()


def _as_here(language: Language) -> Language:
    """The language without static linking, where this machine's compiler cannot."""
    assert language.compile is not None
    if _STATIC not in language.compile or _links_statically(language):
        return language
    return replace(language, compile=tuple(word for word in language.compile if word != _STATIC))


def _links_statically(language: Language) -> bool:
    assert language.compile is not None
    name, version = platform.libc_ver()
    if name == "glibc" and tuple(map(int, version.split(".")[:2])) < _STATIC_THREADS_SINCE:
        return False
    for library in language.static_libraries:
        command = [language.compile[0], f"-print-file-name={library}"]
        try:
            found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_VERSION_SECONDS)
        except (OSError, subprocess.SubprocessError):
            return False
        if not Path(found.stdout.strip()).is_file():  # the bare name is said where there is none
            return False
    return True


def _key(language: Language) -> str:
    """What decides about a compiled file, besides its source."""
    assert language.compile is not None
    try:
        command = [language.compile[0], "--version"]
        shown = subprocess.run(command, capture_output=True, check=False, timeout=_VERSION_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        shown = b""
    return repr((shown, language.compile, language.precompiled_header, language.source_name))


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=0o755)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be written to")
    return path


def _keep(product: int, path: Path) -> None:
    """Put a file in its place at once and whole, so that no other process sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        done, size = 0, size_of(product)
        while done < size:
            done += os.sendfile(descriptor, product, done, size - done)
        os.fchmod(descriptor, 0o644)
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
