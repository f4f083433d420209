"""Attention within trees: each response of a tree attends to the prompt that it shares and to itself.

On the CPU the backward pass is written out here: torch's own takes two and a half times as long on stretches of some
hundred tokens (docs/log.md). It recomputes the scores in fp32 and keeps nothing but query, key and value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from perilune.backends.attention import causal_attention, visible

_SCORES = 1 << 21
"""Scores that the backward pass holds at once (8 MB in fp32)."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One response within a tree. Its last token is never an input: nothing is predicted from it."""

    sample: int
    """Index of the sample in the batch that was packed."""
    start: int
    """Index of its first input token among the packed tokens."""
    length: int
    """Input tokens: one less than the response has."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A prompt and the responses that share it."""

    start: int
    """Index of the prompt's first token among the packed tokens."""
    length: int
    """Prompt tokens."""
    branches: tuple[Branch, ...]

    @property
    def end(self) -> int:
        """Index after its last token."""
        return max([self.start + self.length, *(b.start + b.length for b in self.branches)])


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Queries [first, end) that attend to the stem [stem_start, stem_end), if any, and causally to [start, end)."""

    stem_start: int
    stem_end: int
    start: int
    first: int
    end: int

    def queries(self, x: Tensor) -> Tensor:
        """Its queries' rows of [heads, N, head dimension]."""
        return x[:, self.first : self.end]

    def stem(self, x: Tensor) -> Tensor:
        """The stem's rows."""
        return x[:, self.stem_start : self.stem_end]

    def own(self, x: Tensor) -> Tensor:
        """The rows after the stem that the queries see."""
        return x[:, self.start : self.end]

    def seen(self, x: Tensor) -> Tensor:
        """All rows that the queries see."""
        if self.stem_start == self.stem_end:
            return self.own(x)
        return torch.cat((self.stem(x), self.own(x)), 1)

    def blocks(self, heads: int) -> Iterator[_Stretch]:
        """Itself in blocks of queries whose scores fit in a small buffer."""
        keys = self.stem_end - self.stem_start + self.end - self.start
        rows = max(_SCORES // (heads * keys), 16)
        for first in range(self.first, self.end, rows):
            yield replace(self, first=first, end=min(first + rows, self.end))


def tree_attention(
    query: Tensor, key: Tensor, value: Tensor, trees: Sequence[Tree], scaling: float | None, window: int | None
) -> Tensor:
    """Attention of packed trees, differentiable.

    Args:
        query: [heads, N, head dimension].
        key: [kv heads, N, head dimension]; each serves heads / kv heads neighbouring query heads.
        value: like ``key``.
        trees: where each prompt and response lies; together they cover all N tokens.
        scaling: factor on the scores; None is 1 / sqrt(head dimension).
        window: how many newest positions are seen, if the layer limits them.

    Returns:
        [heads, N, head dimension].
    """
    if query.device.type == "cpu":
        out: Tensor = _TreeAttention.apply(query, key, value, trees, scaling, window)  # type: ignore[no-untyped-call]
        return out
    return _attend(query, key, value, trees, scaling, window)


def _stretches(trees: Sequence[Tree]) -> Iterator[_Stretch]:
    for tree in trees:
        if len(tree.branches) == 1:
            # Prompt and response are one plain causal sequence.
            yield _Stretch(tree.start, tree.start, tree.start, tree.start, tree.end)
            continue
        stem_end = tree.start + tree.length
        yield _Stretch(tree.start, tree.start, tree.start, tree.start, stem_end)
        for branch in tree.branches:
            if branch.length:
                yield _Stretch(tree.start, stem_end, branch.start, branch.start, branch.start + branch.length)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, trees: Sequence[Tree], scaling: float | None, window: int | None
) -> Tensor:
    repeats = query.shape[0] // key.shape[0]
    if repeats > 1:
        key, value = key.repeat_interleave(repeats, 0), value.repeat_interleave(repeats, 0)
    parts = [
        causal_attention(
            stretch.queries(query)[None], stretch.seen(key)[None], stretch.seen(value)[None], scaling, window
        )
        for stretch in _stretches(trees)
    ]
    return torch.cat(parts, 2)[0]


class _TreeAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        trees: Sequence[Tree],
        scaling: float | None,
        window: int | None,
    ) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.trees, ctx.window = trees, window
        ctx.scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
        return _attend(query, key, value, trees, scaling, window)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value = ctx.saved_tensors
        (upstream,) = gradients
        grad_query = torch.empty_like(query)
        # A stem collects from all its branches: sums are kept in fp32.
        grad_key, grad_value = (torch.zeros(x.shape, dtype=torch.float32, device=x.device) for x in (key, value))
        blocks = (block for stretch in _stretches(ctx.trees) for block in stretch.blocks(len(query)))
        for block in blocks:
            keys, values = block.seen(key), block.seen(value)
            parts = _backward(block.queries(query), keys, values, block.queries(upstream), ctx.scaling, ctx.window)
            block.queries(grad_query).copy_(parts[0])
            stem = block.stem_end - block.stem_start
            for total, part in zip((grad_key, grad_value), parts[1:], strict=True):
                block.stem(total).add_(part[:, :stem])
                block.own(total).add_(part[:, stem:])
        return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype), None, None, None


def _backward(
    query: Tensor, key: Tensor, value: Tensor, upstream: Tensor, scaling: float, window: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of one block in query, key and value.

    Args:
        query: [heads, queries, head dimension].
        key: [kv heads, keys, head dimension].
        value: like ``key``.
        upstream: gradient in the output, like ``query``.
        scaling: factor on the scores.
        window: how many newest positions are seen.

    With S = scaling q k', P = softmax(S), o = P v: dv = P' do, dP = do v', dS = P (dP - rowsum(P dP)),
    dq = scaling dS k, dk = scaling dS' q. The heads that share a key head are its rows one after another.
    """
    (heads, queries, width), kv_heads = query.shape, key.shape[0]
    rows = (kv_heads, heads // kv_heads * queries, width)
    query, upstream = query.reshape(rows), upstream.reshape(rows)
    scores = torch.bmm(query.float(), key.float().transpose(1, 2)).mul_(scaling)
    by_head = scores.view(heads, queries, -1)
    by_head.masked_fill_(~visible(queries, key.shape[1], window, query.device), float("-inf"))
    weights = scores.softmax(-1)
    grad_weights = torch.bmm(upstream, value.transpose(1, 2)).float()
    inner = (weights * grad_weights).sum(-1, keepdim=True)
    grad_scores = grad_weights.sub_(inner).mul_(weights).mul_(scaling).to(query.dtype)
    grad_query = torch.bmm(grad_scores, key).view(heads, queries, width)
    grad_key = torch.bmm(grad_scores.transpose(1, 2), query)
    grad_value = torch.bmm(weights.to(query.dtype).transpose(1, 2), upstream)
    return grad_query, grad_key, grad_value
