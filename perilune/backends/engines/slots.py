"""The preallocated key/value cache and the attention that reads it, for any Hugging Face causal language model.

Transformers looks attention up by name (``AttentionInterface``) and hands it whatever keyword the model was called
with. So the engine calls the unchanged model with ``slot_batch=SlotBatch(...)`` on tokens packed as [1, N]:

    rows 0 … n-1     the newest token of each occupied slot, one per slot
    then             the earlier tokens of the responses admitted in this step, one run after the other

    at last          padding to a whole block of rows, whose result nobody reads

Each layer first writes its keys and values into the slots; then every row attends to its slot, and every run to
itself, causally. Nothing is concatenated, or expanded from key/value heads to query heads.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, PreTrainedConfig

from perilune.backends.attention import causal_attention
from perilune.errors import EngineError

ATTENTION_NAME = "perilune_slots"
ROWS = 16
"""Rows come in whole blocks of so many: products of fewer round differently."""
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


class SlotCache:
    """Keys and values of every slot: per layer [slots, kv heads, capacity, head dimension]."""

    def __init__(self, config: PreTrainedConfig, slots: int, capacity: int, dtype: torch.dtype, device: torch.device):
        self.slots = slots
        self.capacity = _whole_pieces(capacity)
        heads = config.num_attention_heads
        shape = (
            slots,
            getattr(config, "num_key_value_heads", None) or heads,
            self.capacity,
            getattr(config, "head_dim", None) or config.hidden_size // heads,
        )
        layers = config.num_hidden_layers
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(layers)]

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` positions of one slot to another."""
        for tensor in (*self.keys, *self.values):
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


def slot_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    slot_batch: SlotBatch,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Attention over the slots, in the form that transformers calls.

    Args:
        module: the attention module; its ``layer_idx`` names the cache layer.
        query: [1, heads, N, head dimension].
        key: [1, kv heads, N, head dimension].
        value: like ``key``.
        attention_mask: unused; the slots know who sees what.
        slot_batch: what the engine passed to the model.
        scaling: factor on the scores.
        sliding_window: how many newest positions are seen, if the layer limits them.
        rest: refused where it would change the result (soft-capped or sink attention).

    Returns:
        [1, N, heads, head dimension], and no attention weights.
    """
    for name in ("softcap", "s_aux", "position_bias"):
        if rest.get(name) is not None:
            raise EngineError(f"the local engine cannot compute attention with {name!r}; use another engine")
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    keys, values = slot_batch.cache.keys[layer], slot_batch.cache.values[layer]
    heads, head_dim = query.shape[1], query.shape[3]
    kv_heads = key.shape[1]
    count = slot_batch.positions_n.shape[0]

    out = torch.zeros(query.shape[2], heads, head_dim, dtype=query.dtype, device=query.device)
    for run in slot_batch.runs:
        part = slice(run.start, run.start + run.length)
        for slot in run.slots:
            keys[slot, :, : run.length] = key[0, :, part]
            values[slot, :, : run.length] = value[0, :, part]
        out[part] = _causal(query[:, :, part], key[:, :, part], value[:, :, part], scaling, sliding_window)
    keys[slot_batch.rows_n, :, slot_batch.positions_n] = key[0, :, :count].transpose(0, 1)
    values[slot_batch.rows_n, :, slot_batch.positions_n] = value[0, :, :count].transpose(0, 1)
    # The query heads that share a key/value head become its query positions: no expansion of the cache.
    shared = heads // kv_heads
    queries = query[0, :, :count].transpose(0, 1).reshape(count, kv_heads, shared, head_dim)
    queries = F.pad(queries, (0, 0, 0, -shared % _QUERIES))
    for block in slot_batch.blocks:
        part = slice(block.start, block.stop)
        mask = slot_batch.mask(sliding_window, block, query.dtype)
        rows = _attend(queries[part], keys[part, :, : block.span], values[part, :, : block.span], mask, scaling)
        out[part] = rows[:, :, :shared].reshape(-1, heads, head_dim)
    return out[None], None


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


def _causal(query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None) -> Tensor:
    """Causal attention of one run to itself, [length, heads, head dimension]."""
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    return causal_attention(query, key, value, scaling, window)[0].transpose(0, 1)


AttentionInterface.register(ATTENTION_NAME, slot_attention)
