"""Causal attention of the last positions of one sequence: what engine and trainer compute alike."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def causal_attention(query: Tensor, key: Tensor, value: Tensor, scaling: float | None, window: int | None) -> Tensor:
    """Attention of the last positions to all up to their own, [1, heads, queries, head dimension].

    Args:
        query: [1, heads, queries, head dimension].
        key: [1, heads, keys, head dimension], at least as many keys as queries.
        value: like ``key``.
        scaling: factor on the scores.
        window: how many newest positions are seen, if the layer limits them.
    """
    queries, keys = query.shape[2], key.shape[2]
    if queries == keys and (window is None or window >= keys):
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
    seen = visible(queries, keys, window, query.device)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scaling)


def visible(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor:
    """Which of ``keys`` positions each of the last ``queries`` sees, [queries, keys] bool."""
    seen = torch.ones(queries, keys, dtype=torch.bool, device=device).tril_(keys - queries)
    if window is not None and window < keys:
        seen = seen.triu_(keys - queries + 1 - window)
    return seen


def plain_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float | None,
    mask: Tensor,
    cap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Attention step by step, with what torch's own kernels have not; scores in fp32.

    Args:
        query: [..., queries, head dimension].
        key: [..., keys, head dimension].
        value: like ``key``.
        scaling: factor on the scores.
        mask: additive, broadcast to [..., queries, keys].
        cap: scores are held below it, by cap · tanh(score / cap).
        sinks: broadcast to [..., queries, 1]: scores that take a share and give nothing.
    """
    scores = (query @ key.transpose(-1, -2)).float() * (scaling if scaling is not None else query.shape[-1] ** -0.5)
    if cap is not None:
        scores = cap * (scores / cap).tanh()
    scores = scores + mask.float()
    if sinks is not None:
        scores = torch.cat([scores, sinks.float().expand(*scores.shape[:-1], 1)], -1)
    weights = scores.softmax(-1).to(value.dtype)
    return weights[..., : key.shape[-2]] @ value
