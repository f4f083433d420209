"""Safetensors files by their headers alone: where each tensor's bytes lie, without loading or mapping any."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from perilune.errors import ModelError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The types that can be averaged, by their names in a header."""
_LONGEST_HEADER = 100_000_000
"""As safetensors itself has it."""
_AGAIN = "copy or download the model again"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor's place in a file."""

    path: Path
    dtype: str
    """As the header names it, e.g. BF16."""
    shape: tuple[int, ...]
    start: int
    """Byte in the file."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a model's weights."""

    path: Path
    head: bytes
    """All that comes before the first tensor's bytes."""
    tensors: Mapping[str, StoredTensor]
    """In the order of their bytes."""


def weight_files(folder: Path) -> tuple[WeightFile, ...]:
    """The files of a model's weights, each checked as far as its header and its length tell.

    Raises:
        ModelError: there are none, one is missing, cut short or damaged, or they are not what their index says.
    """
    if (folder / SINGLE).exists():
        return (_read(folder / SINGLE),)
    if not (folder / INDEX).exists():
        raise ModelError(
            f"{folder} holds no safetensors weights (neither {SINGLE} nor {INDEX}); load the model with transformers "
            "and save it with save_pretrained, which writes them"
        )
    indexed = _indexed(folder / INDEX)
    files = []
    for name in sorted(set(indexed.values())):
        if Path(name).name != name or not (folder / name).exists():
            raise ModelError(f"{folder / INDEX} names the file {name}, which is not there; {_AGAIN}")
        file = _read(folder / name)
        wanted = {tensor for tensor, place in indexed.items() if place == name}
        if odd := sorted(wanted ^ set(file.tensors)):
            raise ModelError(
                f"{folder / INDEX} and {name} do not agree on {len(odd)} tensor(s), e.g. {odd[0]}; {_AGAIN}"
            )
        files.append(file)
    return tuple(files)


class OpenFiles:
    """Weight files open for reading at any place; use it as a context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._descriptors: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, tensor: StoredTensor, skip: int, buffer: memoryview) -> None:
        """Fill the buffer with a tensor's bytes, from byte ``skip`` of it on.

        Raises:
            ModelError: the file has become shorter, or cannot be read.
        """
        try:
            if tensor.path not in self._descriptors:
                opened = self._stack.enter_context(tensor.path.open("rb", buffering=0))
                self._descriptors[tensor.path] = opened.fileno()
            done = 0
            # One call gives no more than 2 GiB.
            while done < len(buffer):
                got = os.preadv(self._descriptors[tensor.path], [buffer[done:]], tensor.start + skip + done)
                if not got:
                    raise ModelError(f"{tensor.path} became shorter while it was read; {_AGAIN}")
                done += got
        except OSError as error:
            raise ModelError(f"cannot read {tensor.path}: {error.strerror or error}; {_AGAIN}") from error


def _indexed(path: Path) -> dict[str, str]:
    """Tensor → name of its file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        return {str(tensor): str(name) for tensor, name in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is no index of weights ({type(error).__name__}: {error}); {_AGAIN}") from error


def _read(path: Path) -> WeightFile:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8)
            length = int.from_bytes(head, "little")
            if len(head) < 8 or length > min(size - 8, _LONGEST_HEADER):
                raise _Damage("cut short within its header")
            head += file.read(length)
        return WeightFile(path, head, _tensors(path, head, size))
    except _Damage as damage:
        raise ModelError(f"{path} is damaged: it is {damage}; {_AGAIN}") from damage
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def _tensors(path: Path, head: bytes, size: int) -> dict[str, StoredTensor]:
    """The header's entries; their bytes must follow each other without a gap to the file's end."""
    try:
        entries: dict[str, Any] = json.loads(head[8:])
        entries.pop("__metadata__", None)
        found = {name: _stored(path, entry, len(head)) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _Damage("not in safetensors form") from error
    ordered = dict(sorted(found.items(), key=lambda item: (item[1].start, item[1].size)))
    place = len(head)
    for name, tensor in ordered.items():
        fits = tensor.dtype not in FLOATS or tensor.size == math.prod(tensor.shape) * FLOATS[tensor.dtype].itemsize
        if tensor.start != place or tensor.size < 0 or not fits:
            raise _Damage(f"wrong about where the bytes of {name} are")
        place += tensor.size
    if place != size:
        raise _Damage(f"{'cut short' if size < place else 'too long'}: {size} bytes where its header says {place}")
    return ordered


def _stored(path: Path, entry: dict[str, Any], head: int) -> StoredTensor:
    start, end = (int(offset) for offset in entry["data_offsets"])
    return StoredTensor(path, str(entry["dtype"]), tuple(int(n) for n in entry["shape"]), head + start, end - start)


class _Damage(Exception):
    """What a file is that it should not be."""
