"""The paged cache of the compiled attention: blocks of positions, shared by responses whose tokens begin alike.

A block of the tokens that a response is admitted with is found again by them and all before them, so the prompt of a
group is computed and kept once, and each token's keys and values are the same to the bit wherever they were computed.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perilune.backends.engines.cache import Scores, Step
from perilune.backends.engines.kernels.attention import BLOCK, Arguments, Shape, compiled, scratch_bytes, whole_vectors
from perilune.backends.engines.kernels.memory import zeros
from perilune.backends.engines.kernels.pool import address_of, run_parts
from perilune.errors import EngineError

_ALONE = 20_000
"""Fewer positions times heads than this are read by one thread: waking others would take longer."""
_TOKEN_COST = 16
"""What a token costs besides its positions, in positions."""

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Prefix:
    """A block of the tokens of an admitted response."""

    number: int
    key: tuple[int, tuple[int, ...]]
    """The number of the block before it, and its tokens."""


class PagedCache:
    """Keys and values in blocks of :data:`BLOCK` positions; implements :class:`KeyValueCache` on a CPU."""

    def __init__(self, slots: int, capacity: int, dtype: torch.dtype):
        """Take places; memory is used as they fill.

        Args:
            slots: responses side by side, at most.
            capacity: tokens of the longest one.
            dtype: float32 or bfloat16.
        """
        self.slots = slots
        self.takes_drafts = True
        self.dtype = dtype
        self._width = -(-capacity // BLOCK)
        self._tables: Ints = np.zeros((slots, self._width), np.int32)
        self._rows: list[list[int]] = []
        self._blocks = slots * self._width
        self._free = list(range(self._blocks))
        self._users = np.zeros(self._blocks, np.int32)
        self._prefixes: dict[int, _Prefix] = {}
        self._found: dict[tuple[int, tuple[int, ...]], tuple[int, int]] = {}
        self._numbers = itertools.count(1)
        self._runs: list[tuple[int, int]] = []
        self._unread = 0
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        self._scratch = torch.empty(0, dtype=torch.uint8)

    def admit(self, tokens: Sequence[int]) -> int:
        """See :class:`KeyValueCache`; only what no other response has is computed."""
        earlier = tuple(tokens[:-1])
        row, blocks, parent = len(self._rows), [], 0
        shared = 0
        for start in range(0, len(earlier) - BLOCK + 1, BLOCK):
            key = (parent, earlier[start : start + BLOCK])
            known = self._found.get(key)
            if known is None:
                parent, block = next(self._numbers), self._take()
                self._found[key] = (parent, block)
                self._prefixes[block] = _Prefix(parent, key)
            else:
                parent, block = known
                self._users[block] += 1
                shared = start + BLOCK
            blocks.append(block)
        self._rows.append(blocks)
        self._tables[row, : len(blocks)] = blocks
        if shared < len(earlier):
            self._runs.append((row, shared))
        self._unread += len(earlier) - shared
        return len(earlier) - shared

    @property
    def unread(self) -> int:
        """See :class:`KeyValueCache`."""
        return self._unread

    def step(self, contexts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]] = ()) -> Step:
        """See :class:`KeyValueCache`."""
        lengths = np.array([len(context) for context in contexts], np.int32)
        guessed = np.array([len(draft) for draft in drafts] or np.zeros(len(contexts)), np.int32)
        for row, length in enumerate(lengths + guessed):
            self._extend(row, -(-int(length) // BLOCK))
        ids = [*(context[-1] for context in contexts), *itertools.chain.from_iterable(drafts)]
        rows = [np.arange(len(contexts), dtype=np.int32), np.arange(len(contexts), dtype=np.int32).repeat(guessed)]
        places = [
            lengths - 1,
            *(np.arange(n, n + more, dtype=np.int32) for n, more in zip(lengths, guessed, strict=True)),
        ]
        for row, start in self._runs:
            context = contexts[row]
            ids += context[start:-1]
            places.append(np.arange(start, len(context) - 1, dtype=np.int32))
            rows.append(np.full(len(places[-1]), row, np.int32))
        self._runs.clear()
        self._unread = 0
        row_n, place_n = np.concatenate(rows), np.concatenate(places)
        # Responses with a common beginning one after the other: it is in the processor's cache then.
        count = len(contexts)
        order = np.concatenate([self._tables[:count, 0].argsort(kind="stable"), range(count, len(ids))])
        return Step(ids, place_n.tolist(), PagedBatch(self, self._tables, row_n, place_n, order.astype(np.int32)))

    def drop(self, row: int) -> None:
        """See :class:`KeyValueCache`."""
        for block in self._rows[row]:
            self._users[block] -= 1
            if self._users[block] == 0:
                prefix = self._prefixes.pop(block, None)
                if prefix is not None:
                    del self._found[prefix.key]
                heapq.heappush(self._free, block)
        last = self._rows.pop()
        if row < len(self._rows):
            self._rows[row] = last
            self._tables[row] = self._tables[len(self._rows)]

    def layer(self, number: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """The blocks of a layer; made at its first use, in its own sizes.

        Args:
            number: of the layer.
            key: [kv heads, tokens, key dimension].
            value: [kv heads, tokens, value dimension].
        """
        found = self._layers.get(number)
        if found is None:
            heads, dim = key.shape[0], whole_vectors(value.shape[2])
            found = self._layers[number] = (
                zeros(self._blocks, heads, key.shape[2], BLOCK, dtype=self.dtype),
                zeros(self._blocks, heads, BLOCK, dim, dtype=self.dtype),
            )
        return found

    def scratch(self, size: int) -> Tensor:
        """Room for what threads work out, at least so many bytes."""
        if self._scratch.numel() < size:
            self._scratch = torch.empty(size, dtype=torch.uint8)
        return self._scratch

    @property
    def room(self) -> int:
        """Positions of the longest response, in whole blocks."""
        return self._width * BLOCK

    def _extend(self, row: int, count: int) -> None:
        blocks = self._rows[row]
        while len(blocks) < count:
            self._tables[row, len(blocks)] = block = self._take()
            blocks.append(block)

    def _take(self) -> int:
        block = heapq.heappop(self._free)
        self._users[block] = 1
        return block


@dataclass(slots=True)
class PagedBatch:
    """What one forward pass needs to know about its packed tokens; the layers call :meth:`attend` in turn."""

    cache: PagedCache
    tables: Ints
    """[slots, blocks] of each response."""
    row_n: Ints
    """[n] the response of each token."""
    place_n: Ints
    """[n] its position."""
    order_n: Ints
    """[n] the order in which tokens are worked on."""
    _arguments: Arguments = field(default_factory=Arguments)
    _kept: list[Any] = field(default_factory=list)
    _bounds: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        blocks = self.tables[self.row_n, self.place_n // BLOCK]
        writes = np.stack([np.arange(len(self.row_n)), blocks, self.place_n % BLOCK], 1).astype(np.int32)
        a = self._arguments
        lengths = self.place_n + np.int32(1)
        arrays = {"tables": self.tables, "row_of": self.row_n, "length_of": lengths, "order": self.order_n}
        for name, array in {**arrays, "writes": writes}.items():
            self._kept.append(array)
            setattr(a, name, array.ctypes.data)
        a.tokens = a.write_count = len(self.row_n)
        a.table_width = self.tables.shape[1]
        a.room = self.cache.room
        a.thread, a.threads = address_of("omp_get_thread_num"), address_of("omp_get_num_threads")

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        """See :class:`perilune.backends.engines.cache.Batch`."""
        query, key, value = (x[0] if x.stride(-1) == 1 else x[0].contiguous() for x in (query, key, value))
        keys, values = self.cache.layer(layer, key, value)
        heads, count, dim = query.shape
        shape = Shape(
            heads=heads,
            kv_heads=key.shape[0],
            key_dim=dim,
            value_size=value.shape[2],
            half=query.dtype == torch.bfloat16,
            capped=scores.cap is not None,
            sinks=scores.sinks is not None,
        )
        out = torch.empty(count, heads, shape.value_dim, dtype=query.dtype)
        out[len(self.row_n) :] = 0
        sinks = scores.sinks.detach().float().contiguous() if scores.sinks is not None else None
        a = self._arguments
        for name, tensor in {"query": query, "key": key, "value": value}.items():
            setattr(a, name, tensor.data_ptr())
            setattr(a, f"{name}_head", tensor.stride(0))
            setattr(a, f"{name}_token", tensor.stride(1))
        a.out, a.keys, a.values = out.data_ptr(), keys.data_ptr(), values.data_ptr()
        a.sinks = sinks.data_ptr() if sinks is not None else 0
        a.window = scores.window if scores.window is not None else 1 << 40
        a.scale = scores.scaling if scores.scaling is not None else dim**-0.5
        a.cap = scores.cap or 1.0
        bounds = self._cut(shape.kv_heads, heads)
        a.bounds, a.parts = bounds.ctypes.data, len(bounds) - 1
        a.scratch_size = scratch_bytes(shape, a.room)
        a.scratch = self.cache.scratch(a.parts * a.scratch_size).data_ptr()
        functions = _functions(shape)
        functions.write(ctypes.addressof(a))
        run_parts(ctypes.addressof(a), a.parts, together=functions.together, alone=functions.attend)
        return out[None, :, :, : shape.value_size]

    def _cut(self, kv_heads: int, heads: int) -> NDArray[np.int64]:
        """Where each thread's part of the tokens times heads begins: the same work for each."""
        found = self._bounds.get(kv_heads)
        if found is None:
            work = np.tile(self.place_n[self.order_n].astype(np.int64) + _TOKEN_COST, kv_heads).cumsum()
            threads = torch.get_num_threads() if work[-1] * (heads // kv_heads) > _ALONE else 1
            inner = work.searchsorted(work[-1] * np.arange(1, threads) // threads)
            found = self._bounds[kv_heads] = np.array([0, *inner, len(work)], np.int64)
        return found


@dataclass(frozen=True, slots=True)
class _Functions:
    library: Any
    write: Any
    attend: Any
    together: int


_FUNCTIONS: dict[Shape, _Functions] = {}


def _functions(shape: Shape) -> _Functions:
    found = _FUNCTIONS.get(shape)
    if found is None:
        library = compiled(shape)
        found = _FUNCTIONS[shape] = _Functions(
            library,
            library.function("write", ctypes.c_void_p),
            library.function("attend", ctypes.c_void_p, ctypes.c_int64),
            library.address("attend_parallel"),
        )
    return found


def check_kernel() -> None:
    """Whether the compiled attention works here.

    Raises:
        EngineError: llvmlite cannot be imported, or LLVM cannot make code for this processor.
    """
    try:
        _functions(Shape(1, 1, 16, 16, False, False, False))
    except Exception as error:
        raise EngineError(
            f"the compiled attention cannot be made here ({type(error).__name__}: {error}); install llvmlite, or set "
            "engine.attention = 'torch'"
        ) from error
