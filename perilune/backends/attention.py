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
    limited = window is not None and window < keys
    if queries == keys and not limited:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
    seen = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril_(keys - queries)
    if window is not None and limited:
        seen = seen.triu_(keys - queries + 1 - window)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scaling)
