"""What goes over the socket between the trainer's process and a zygote: a job out, a result back.

The program itself, its input and its output travel as file descriptors beside the message, so that a zygote, which
every later run is forked from, never holds a byte of them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final, Literal, Self

StopReason = Literal["cpu", "memory", "files", "wall", "hangup"]
Attached = Literal["nothing", "binary", "product", "peer"]
"""A fifth descriptor: the program to execute, an empty file to put what the command made, or a pipe to another run."""
STOP_REASONS: Final[tuple[StopReason, ...]] = ("cpu", "memory")
"""Those that the trainer's process can send while a job is done."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How a zygote isolates what it runs; given to it on its command line."""

    mode: Literal["namespaces", "landlock"]
    folders: tuple[str, ...] = ()
    """Folders that programs may read besides the system's."""
    import_paths: tuple[str, ...] = ()
    """Those of them that Python programs import from."""
    packages: tuple[str, ...] = ()
    """Files and folders of packages that programs may import besides."""
    preloaded: tuple[str, ...] = ()
    """Modules that are imported before any program starts."""
    abi: int | None = None
    """The newest Landlock to use; None for what the kernel has."""

    def encode(self) -> str:
        """As text, for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Self:
        """The inverse of :meth:`encode`."""
        data = json.loads(text)
        for name in ("folders", "import_paths", "packages", "preloaded"):
            data[name] = tuple(data[name])
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Job:
    """One run: with it come descriptors of stdin, stdout, stderr, the source, and what ``attached`` says.

    In the command ``{source}``, ``{binary}`` and ``{folder}`` stand for paths inside the sandbox.
    """

    command: tuple[str, ...] | None
    """None for Python by the zygote itself."""
    source_name: str
    attached: Attached
    cpu_seconds: int
    wall_seconds: float
    memory_bytes: int
    file_bytes: int
    """Of one file, stdout and stderr included."""
    folder_bytes: int
    """Of all temporary files."""
    processes: int
    open_files: int
    writes_files: bool
    """Without namespaces, whether there is a folder to write to; with them there always is one."""
    names_streams: bool = False
    """Whether the program opens its standard streams by name (``/dev/stdin``)."""
    stream_bytes: int = 0
    """Of those streams together."""

    def encode(self) -> bytes:
        """As a message."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """The inverse of :meth:`encode`."""
        data = json.loads(message)
        if data["command"] is not None:
            data["command"] = tuple(data["command"])
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Result:
    """How the processes of a job ended, as the zygote saw it: the kernel's word, and nothing of the program's."""

    exit_code: int | None
    signal: int | None
    stopped: StopReason | None
    """Why the zygote ended it; None where it ended by itself."""
    cpu_seconds: float
    wall_seconds: float
    peak_memory_kb: int
    product_bytes: int
    """What the command made, in bytes; 0 where it made nothing."""

    def encode(self) -> bytes:
        """As a message."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def decode(cls, message: bytes) -> Self:
        """The inverse of :meth:`encode`."""
        return cls(**json.loads(message))
