"""Weights in memory that several processes see, under their Hugging Face names.

The memory is anonymous (``memfd``): readers open it by the writer's entry in /proc. So it is no entry in /dev/shm that
a killed process would leave behind, and a container's limit on /dev/shm does not bound it.
"""

from __future__ import annotations

import mmap
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from perilune.errors import BackendUnavailable, ModelError

_ALIGNMENT = 64
_HEADER = 64
_MAGIC = b"PERILUNE"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where the weights of one version lie."""

    path: str
    """To open by a process of the same user, as long as the writer lives and has not released it."""
    size: int
    """Bytes."""
    version: int
    tensors: tuple[tuple[str, str, tuple[int, ...], int], ...]
    """(name, type, shape, offset in bytes) of each."""

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        return {"path": self.path, "size": self.size, "version": self.version, "tensors": self.tensors}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """What :meth:`to_json` gave, after a journey as JSON."""
        tensors = tuple((name, kind, tuple(shape), offset) for name, kind, shape, offset in values["tensors"])
        return cls(values["path"], values["size"], values["version"], tensors)


class SharedBlock:
    """Memory that other processes can open: a header, which says whose weights it holds, and what follows."""

    def __init__(self) -> None:
        """Take no memory yet."""
        self._file = -1
        self._map: mmap.mmap | None = None

    @property
    def path(self) -> str:
        """By which another process of the same user opens it."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    @property
    def size(self) -> int:
        """Bytes, the header included; 0 while it has no memory."""
        return 0 if self._map is None else len(self._map)

    def reserve(self, size: int) -> None:
        """Have at least so many bytes behind the header; what it held is gone if it has to grow."""
        if self.size >= _HEADER + size:
            return
        self.release()
        self._file = _anonymous_file()
        os.ftruncate(self._file, _HEADER + size)
        self._map = mmap.mmap(self._file, _HEADER + size)

    def allocate(self, count: int) -> Tensor:
        """A float32 tensor of so many elements that lies in it, for as long as both live; once alone."""
        if self._map is not None:
            raise ValueError("this block has been given away already")
        self.reserve(count * torch.float32.itemsize)
        return self.view(torch.float32, (count,), _HEADER)

    def view(self, kind: torch.dtype, shape: tuple[int, ...], offset: int) -> Tensor:
        """What lies at an offset in bytes, which counts the header."""
        assert self._map is not None
        return _view(self._map, kind, shape, offset)

    def offset_of(self, tensor: Tensor) -> int | None:
        """Where a tensor lies in it, in bytes; None if it lies elsewhere or is not in one piece."""
        if self._map is None or tensor.device.type != "cpu" or not tensor.is_contiguous():
            return None
        offset = tensor.data_ptr() - self.view(torch.uint8, (1,), 0).data_ptr()
        return offset if _HEADER <= offset <= self.size - tensor.numel() * tensor.element_size() else None

    def stamp(self, version: int | None) -> None:
        """Say whose weights it holds; None while it is being written, or for none."""
        assert self._map is not None
        self._map[:_HEADER] = b"".ljust(_HEADER, b"\0") if version is None else _stamp_of(version)

    def __del__(self) -> None:
        # The mapping goes with the last tensor that lies in it; the file would keep its pages for ever.
        if self._file >= 0:
            os.close(self._file)

    def release(self) -> None:
        """Give the memory back; no tensor may lie in it any more."""
        if self._map is not None:
            self._map.close()
            os.close(self._file)
            self._map, self._file = None, -1


class SharedWeights:
    """One version of the weights at a time, for other processes; the memory is used again for the next.

    Weights that lie in a shared block already, as a trainer's may, are not copied: they are read where they lie.
    """

    def __init__(self, dtype: torch.dtype, home: SharedBlock | None = None):
        """Take no memory yet.

        Args:
            dtype: floating-point weights are rounded to it as they are copied; others stay.
            home: where the trainer keeps its weights.
        """
        self._dtype = dtype
        self._home = home
        self._copies = SharedBlock()
        self._manifest: Manifest | None = None

    @property
    def manifest(self) -> Manifest | None:
        """Of what it holds; None before the first write and after :meth:`release`."""
        return self._manifest

    def write(self, weights: Iterable[tuple[str, Tensor]], version: int) -> Manifest:
        """Replace what it holds. Weights that are not copied must not change before :meth:`release`."""
        listed = [(name, weight.detach()) for name, weight in weights]
        self._manifest = self._at_home(listed, version) or self._copied(listed, version)
        return self._manifest

    def release(self) -> None:
        """Give the memory of copies back, and let nobody read what was not copied."""
        self._manifest = None
        self._copies.release()
        if self._home is not None and self._home.size:
            self._home.stamp(None)

    def _at_home(self, weights: Sequence[tuple[str, Tensor]], version: int) -> Manifest | None:
        home = self._home
        if home is None:
            return None
        tensors = []
        for name, weight in weights:
            offset = home.offset_of(weight)
            if offset is None:
                return None
            tensors.append((name, _name_of(weight.dtype), tuple(weight.shape), offset))
        home.stamp(version)
        return Manifest(home.path, home.size, version, tuple(tensors))

    def _copied(self, weights: Sequence[tuple[str, Tensor]], version: int) -> Manifest:
        kinds = [self._dtype if weight.is_floating_point() else weight.dtype for _, weight in weights]
        offset = _HEADER
        tensors = []
        for (name, weight), kind in zip(weights, kinds, strict=True):
            tensors.append((name, _name_of(kind), tuple(weight.shape), offset))
            offset += -(-weight.numel() * kind.itemsize // _ALIGNMENT) * _ALIGNMENT
        block = self._copies
        block.reserve(offset - _HEADER)
        # A reader that comes too early or too late finds no version here.
        block.stamp(None)
        for (_, weight), kind, (_, _, shape, start) in zip(weights, kinds, tensors, strict=True):
            block.view(kind, shape, start).copy_(weight)
        block.stamp(version)
        return Manifest(block.path, block.size, version, tuple(tensors))


@contextmanager
def read_weights(manifest: Manifest) -> Iterator[Iterator[tuple[str, Tensor]]]:
    """(name, weight) of each, views of the shared memory that are valid within the block alone.

    Raises:
        ModelError: the memory is gone, or holds another version than the manifest says.
    """
    try:
        file = os.open(manifest.path, os.O_RDONLY)
    except OSError as error:
        raise ModelError(
            f"cannot read the weights of version {manifest.version} in {manifest.path}: {error}"
        ) from error
    try:
        memory = mmap.mmap(file, manifest.size, access=mmap.ACCESS_READ)
    finally:
        os.close(file)
    if memory[:_HEADER] != _stamp_of(manifest.version):
        raise ModelError(f"the shared memory no longer holds the weights of version {manifest.version}")
    # Closed with its last view.
    yield ((name, _view(memory, getattr(torch, kind), shape, offset)) for name, kind, shape, offset in manifest.tensors)


def _stamp_of(version: int) -> bytes:
    return (_MAGIC + version.to_bytes(8, "little", signed=True)).ljust(_HEADER, b"\0")


def _name_of(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def _view(memory: mmap.mmap, kind: torch.dtype, shape: tuple[int, ...], offset: int) -> Tensor:
    count = 1
    for size in shape:
        count *= size
    if not count:
        return torch.empty(shape, dtype=kind)
    with warnings.catch_warnings():
        # Read-only memory is read only.
        warnings.filterwarnings("ignore", message="The given buffer is not writable")
        return torch.frombuffer(memory, dtype=kind, count=count, offset=offset).view(shape)


def _anonymous_file() -> int:
    if not hasattr(os, "memfd_create"):
        raise BackendUnavailable("weights in shared memory need Linux (memfd); use engine.vllm.process = false")
    return os.memfd_create("perilune-weights")
