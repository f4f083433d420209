"""Weights in memory that several processes see, under their Hugging Face names.

The memory is anonymous (``memfd``): readers open it by the writer's entry in /proc. So it is no entry in /dev/shm that
a killed process would leave behind, and a container's limit on /dev/shm does not bound it.
"""

from __future__ import annotations

import mmap
import os
import warnings
from collections.abc import Iterable, Iterator
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


class SharedWeights:
    """Memory that holds one version of the weights at a time; its pages are used again for the next."""

    def __init__(self, dtype: torch.dtype):
        """Take no memory yet.

        Args:
            dtype: floating-point weights are rounded to it as they are written; others stay.
        """
        self._dtype = dtype
        self._file = -1
        self._map: mmap.mmap | None = None
        self._manifest: Manifest | None = None

    @property
    def manifest(self) -> Manifest | None:
        """Of what it holds; None before the first write and after :meth:`release`."""
        return self._manifest

    def write(self, weights: Iterable[tuple[str, Tensor]], version: int) -> Manifest:
        """Replace what it holds."""
        listed = [(name, weight.detach()) for name, weight in weights]
        kinds = [self._dtype if weight.is_floating_point() else weight.dtype for _, weight in listed]
        offset = _HEADER
        tensors = []
        for (name, weight), kind in zip(listed, kinds, strict=True):
            tensors.append((name, str(kind).removeprefix("torch."), tuple(weight.shape), offset))
            offset += -(-weight.numel() * kind.itemsize // _ALIGNMENT) * _ALIGNMENT
        memory = self._reserve(offset)
        # A reader that comes too early or too late finds no version here.
        memory[:_HEADER] = bytes(_HEADER)
        for (_, weight), kind, (_, _, shape, start) in zip(listed, kinds, tensors, strict=True):
            _view(memory, kind, shape, start).copy_(weight)
        memory[:_HEADER] = (_MAGIC + version.to_bytes(8, "little", signed=True)).ljust(_HEADER, b"\0")
        self._manifest = Manifest(f"/proc/{os.getpid()}/fd/{self._file}", len(memory), version, tuple(tensors))
        return self._manifest

    def release(self) -> None:
        """Give the memory back."""
        self._manifest = None
        if self._map is not None:
            self._map.close()
            os.close(self._file)
            self._map, self._file = None, -1

    def _reserve(self, size: int) -> mmap.mmap:
        if self._map is not None and len(self._map) >= size:
            return self._map
        self.release()
        self._file = _anonymous_file()
        os.ftruncate(self._file, size)
        self._map = mmap.mmap(self._file, size)
        return self._map


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
    held = int.from_bytes(memory[len(_MAGIC) : len(_MAGIC) + 8], "little", signed=True)
    if memory[: len(_MAGIC)] != _MAGIC or held != manifest.version:
        raise ModelError(f"the shared memory no longer holds the weights of version {manifest.version}")
    # Closed with its last view.
    yield ((name, _view(memory, getattr(torch, kind), shape, offset)) for name, kind, shape, offset in manifest.tensors)


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
