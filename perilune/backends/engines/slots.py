"""The preallocated key/value cache that torch's own attention reads, on CPU and CUDA; tokens are packed as [1, N]:

    rows 0 … n-1     the newest token of each occupied slot, one per slot
    then             the earlier tokens of the responses admitted in this step, one run after the other

    at last          padding to a whole block of rows, whose result nobody reads

Each layer first writes its keys and values into the slots; then every row attends to its slot, and every run to
itself, causally. Nothing is concatenated, or expanded from key/value heads to query heads.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from perilune.backends.attention import causal_attention, plain_attention, visible
from perilune.backends.engines.cache import Scores, Step
from perilune.errors import EngineError

_PIECE, _LONG_PIECE, _LONG = 128, 512, 512
"""The cache is read in pieces of these sizes, the longer ones from position _LONG on: see :func:`pieces`."""
_LANES = 32
"""A multiple of what a vector of the processor holds, twice over, for a power of two of threads."""
_QUERIES = 4
"""Queries per key/value head come in whole blocks of so many, for the same reason."""


@dataclass(frozen=True, slots=True)
class Run:
    """Earlier tokens of one context, all written in this step; siblings with equal context share the computation."""

    start: int
    """Index of its first token among the packed tokens."""
    length: int
    slots: tuple[int, ...]
    """Slots that receive its keys and values."""


_PRODUCT_COST = 1000
"""Cache positions that a CPU core reads in the time that another product costs it."""


class SlotCache:
    """Keys and values of every slot: per layer [slots, kv heads, capacity, dimension].

    Implements :class:`perilune.backends.engines.cache.KeyValueCache` with torch's own attention.
    """

    def __init__(self, slots: int, capacity: int, dtype: torch.dtype, device: torch.device):
        self.slots = slots
        self.takes_drafts = False
        self.capacity = _whole_pieces(capacity)
        self._dtype = dtype
        self._device = device
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        self._earlier: list[tuple[int, ...]] = []
        self._lengths: list[int] = []
        self._settled = 0
        self._runs: dict[tuple[int, ...], Run] = {}

    def admit(self, tokens: Sequence[int]) -> int:
        """See :class:`KeyValueCache`; siblings share the computation of equal tokens, each has its copy."""
        earlier, slot = tuple(tokens[:-1]), len(self._earlier)
        self._earlier.append(earlier)
        self._lengths.append(len(tokens))
        if not earlier:
            return 0
        # What was decoded rounds differently: only what was computed in one run serves another response.
        source = next((k for k in range(self._settled) if self._earlier[k] == earlier), None)
        if earlier in self._runs:
            self._runs[earlier] = replace(self._runs[earlier], slots=(*self._runs[earlier].slots, slot))
        elif source is not None:
            self.copy(source, slot, len(earlier))
        else:
            begin = sum(run.length for run in self._runs.values())
            self._runs[earlier] = Run(begin, len(earlier), (slot,))
            return len(earlier)
        return 0

    @property
    def unread(self) -> int:
        """See :class:`KeyValueCache`."""
        return sum(run.length for run in self._runs.values())

    def step(self, contexts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]] = ()) -> Step:
        """See :class:`KeyValueCache`; guesses would round otherwise than what is decoded, so there are none."""
        if any(drafts):
            raise EngineError("torch's attention takes no drafts; set engine.drafts = false")
        ids = [context[-1] for context in contexts]
        self._lengths = [len(context) for context in contexts]
        positions = [length - 1 for length in self._lengths]
        count = len(ids)
        runs = [replace(run, start=run.start + count) for run in self._runs.values()]
        for run in runs:
            ids += contexts[run.slots[0]][: run.length]
            positions += range(run.length)
        self._runs.clear()
        self._settled = count
        # A GPU reads the cache faster than it starts another kernel.
        cost = _PRODUCT_COST if self._device.type == "cpu" else 1 << 62
        places = torch.tensor(positions[:count], device=self._device)
        rows_n = torch.arange(count, device=self._device)
        return Step(
            ids, positions, SlotBatch(self, places, cut_blocks(self._lengths, product_cost=cost), runs, rows_n, {})
        )

    def drop(self, row: int) -> None:
        """See :class:`KeyValueCache`."""
        earlier, length = self._earlier.pop(), self._lengths.pop()
        if row < len(self._earlier):
            self.copy(len(self._earlier), row, length)
            self._earlier[row], self._lengths[row] = earlier, length
        self._settled = len(self._earlier)

    def layer(self, number: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer; made at its first use, in its own sizes.

        Args:
            number: of the layer.
            key: [1, kv heads, tokens, key dimension].
            value: [1, kv heads, tokens, value dimension].
        """
        found = self._layers.get(number)
        if found is None:
            made = (
                torch.zeros(self.slots, x.shape[1], self.capacity, x.shape[3], dtype=self._dtype, device=self._device)
                for x in (key, value)
            )
            found = self._layers[number] = (next(made), next(made))
        return found

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` positions of one slot to another."""
        for tensor in itertools.chain.from_iterable(self._layers.values()):
            tensor[target, :, :length] = tensor[source, :, :length]


_BLOCK_ROWS = 4


@dataclass(frozen=True, slots=True)
class Block:
    """Slots [start, stop) that attend in one product, over the first ``span`` positions of the cache.

    The span is in whole pieces.
    """

    start: int
    stop: int
    span: int

    @property
    def area(self) -> int:
        """Cache positions that are read."""
        return (self.stop - self.start) * self.span


@dataclass(slots=True)
class SlotBatch:
    """What one forward pass needs to know about its packed tokens."""

    cache: SlotCache
    positions_n: Tensor
    """[n] position of each row's token in its slot."""
    blocks: Sequence[Block]
    """The rows, cut where reading all of them to the longest context would cost more than another product."""
    runs: Sequence[Run]
    rows_n: Tensor
    """[n] 0 … n-1, kept to avoid making it in every layer."""
    masks: dict[tuple[int | None, int], Tensor]
    """Additive masks [rows, 1, 1, span] by sliding window and block, made at first use."""

    def mask(self, window: int | None, block: Block, dtype: torch.dtype) -> Tensor:
        """Which cache positions each row of a block may read, as an additive mask [rows, 1, 1, span]."""
        found = self.masks.get((window, block.start))
        if found is None:
            column = torch.arange(block.span, device=self.positions_n.device)
            newest = self.positions_n[block.start : block.stop, None]
            hidden = column > newest
            if window is not None:
                hidden |= column <= newest - window
            mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, float("-inf"))
            found = self.masks[window, block.start] = mask[:, None, None, :]
        return found

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        """See :class:`perilune.backends.engines.cache.Batch`."""
        keys, values = self.cache.layer(layer, key, value)
        heads, head_dim = query.shape[1], query.shape[3]
        kv_heads = key.shape[1]
        count = self.positions_n.shape[0]
        out = torch.zeros(query.shape[2], heads, value.shape[3], dtype=query.dtype, device=query.device)
        for run in self.runs:
            part = slice(run.start, run.start + run.length)
            for slot in run.slots:
                keys[slot, :, : run.length] = key[0, :, part]
                values[slot, :, : run.length] = value[0, :, part]
            out[part] = _causal(query[:, :, part], key[:, :, part], value[:, :, part], scores)
        keys[self.rows_n, :, self.positions_n] = key[0, :, :count].transpose(0, 1)
        values[self.rows_n, :, self.positions_n] = value[0, :, :count].transpose(0, 1)
        # The query heads that share a key/value head become its query positions: no expansion of the cache.
        shared = heads // kv_heads
        queries = query[0, :, :count].transpose(0, 1).reshape(count, kv_heads, shared, head_dim)
        queries = F.pad(queries, (0, 0, 0, -shared % _QUERIES))
        for block in self.blocks:
            part = slice(block.start, block.stop)
            mask = self.mask(scores.window, block, query.dtype)
            cached = queries[part], keys[part, :, : block.span], values[part, :, : block.span]
            if scores.plain and value.shape[3] == head_dim:
                rows = _attend(*cached, mask, scores.scaling)
            else:
                rows = _special(*cached, mask, scores)
            out[part] = rows[:, :, :shared].reshape(-1, heads, value.shape[3])
        return out[None]


def pieces(span: int) -> list[slice]:
    """The parts in which the first ``span`` positions of the cache are read on a CPU.

    A matrix product adds up a sum in an order that depends on its length, so attention over a longer span would round
    differently although the positions added are hidden: a response would depend on its neighbours. Pieces always lie
    at the same places, and each is reduced on its own.
    """
    edges = [*range(0, min(span, _LONG), _PIECE), *range(_LONG, span, _LONG_PIECE), span]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def _whole_pieces(length: int) -> int:
    size = _PIECE if length <= _LONG else _LONG_PIECE
    return -(-length // size) * size


def cut_blocks(contexts: Sequence[int], *, product_cost: int) -> list[Block]:
    """Neighbouring slots in blocks of about equal contexts: long responses do not make all slots be read to their end.

    Args:
        contexts: tokens of each slot, its newest one counted.
        product_cost: what another product costs, in cache positions read.
    """
    blocks: list[Block] = []
    for start in range(0, len(contexts), _BLOCK_ROWS):
        part = contexts[start : start + _BLOCK_ROWS]
        blocks.append(Block(start, start + len(part), _whole_pieces(max(part))))
        while len(blocks) > 1:
            joined = Block(blocks[-2].start, blocks[-1].stop, max(blocks[-2].span, blocks[-1].span))
            if joined.area - blocks[-2].area - blocks[-1].area > product_cost:
                break
            blocks[-2:] = [joined]
    return blocks


def _special(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scores: Scores) -> Tensor:
    """Soft-capped or sink attention of each row's queries to its slot; see :func:`_attend`.

    On a CPU each row is worked out on its own, over its own positions, so that its neighbours do not change it.
    """
    sinks = None
    if scores.sinks is not None:
        sinks = scores.sinks.view(1, key.shape[1], -1, 1)
        sinks = F.pad(sinks, (0, 0, 0, query.shape[2] - sinks.shape[2]))
    if query.device.type != "cpu":
        return plain_attention(query, key, value, scores.scaling, mask, scores.cap, sinks)
    found = query.new_empty(*query.shape[:-1], value.shape[-1])
    for row in range(query.shape[0]):
        span = int((mask[row, 0, 0] == 0).nonzero().max()) + 1
        at = slice(row, row + 1)
        found[at] = plain_attention(
            query[at], key[at, :, :span], value[at, :, :span], scores.scaling, mask[at, ..., :span], scores.cap, sinks
        )
    return found


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float | None) -> Tensor:
    """Attention of each row's queries to its slot, [rows, kv heads, queries, head dimension].

    Args:
        query: [rows, kv heads, queries, head dimension].
        key: [rows, kv heads, span, head dimension], the span in whole pieces.
        value: like ``key``.
        mask: additive, [rows, 1, 1, span].
        scaling: factor on the scores.
    """
    parts = pieces(key.shape[2])
    if len(parts) == 1 or query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    outs: list[Tensor] = []
    weights: list[Tensor] = []
    for part in parts:
        hidden = mask[..., part]
        out, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key[:, :, part], value[:, :, part], attn_mask=hidden, scale=scaling
        )
        outs.append(out)
        # Where a row sees nothing of a piece, the kernel gives zeros for both.
        weights.append(logsumexp.masked_fill(hidden.isneginf().all(-1), float("-inf")))
    logs = torch.stack(weights)
    shares = _exp(logs - logs.amax(0))
    total = sum(shares[1:], shares[0])
    merged = outs[0] * (shares[0] / total)[..., None]
    for out, share in zip(outs[1:], shares[1:], strict=True):
        merged += out * (share / total)[..., None]
    found: Tensor = merged.to(query.dtype)
    return found


def _exp(values: Tensor) -> Tensor:
    """exp, the same for the same value wherever it stands: what is left over from whole vectors rounds differently."""
    return values[..., None].expand(*values.shape, _LANES).exp()[..., 0]


def _causal(query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
    """Causal attention of one run to itself, [length, heads, head dimension]."""
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    if scores.plain:
        return causal_attention(query, key, value, scores.scaling, scores.window)[0].transpose(0, 1)
    seen = visible(query.shape[2], key.shape[2], scores.window, query.device)
    mask = torch.zeros(seen.shape, dtype=query.dtype, device=query.device).masked_fill_(~seen, float("-inf"))
    sinks = None if scores.sinks is None else scores.sinks.view(1, -1, 1, 1)
    return plain_attention(query, key, value, scores.scaling, mask, scores.cap, sinks)[0].transpose(0, 1)
