"""Choosing the next tokens of a batch: greedy, temperature, nucleus; one uniform number per row decides."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_BLOCK = 256
_ROWS = 16
"""Rows at a time on a CPU: as many as its caches hold; all at once took twice to five times as long."""


def sample_tokens(
    logits_n_v: Tensor, temperatures_n: Tensor, top_p_n: Tensor, uniforms_n: Tensor
) -> tuple[Tensor, Tensor]:
    """Draw one token per row by inverting the cumulative distribution at that row's uniform number.

    Each row is drawn on its own, so the result does not depend on the other rows.

    Args:
        logits_n_v: [n, vocabulary], any float type.
        temperatures_n: [n]; 0 is greedy.
        top_p_n: [n] in (0, 1]; 1 is the whole vocabulary.
        uniforms_n: [n] float64 in [0, 1).

    Returns:
        tokens [n] int64, and their log-probabilities in nats [n] float32 at temperature 1 over the whole vocabulary.
    """
    parts = range(0, logits_n_v.shape[0], _ROWS if logits_n_v.device.type == "cpu" else max(1, logits_n_v.shape[0]))
    size = parts.step
    found = [
        _sample(*(x[start : start + size] for x in (logits_n_v, temperatures_n, top_p_n, uniforms_n)))
        for start in parts
    ]
    tokens, logprobs = zip(*found, strict=True)
    return torch.cat(tokens), torch.cat(logprobs)


def _sample(logits_n_v: Tensor, temperatures_n: Tensor, top_p_n: Tensor, uniforms_n: Tensor) -> tuple[Tensor, Tensor]:
    # In whole blocks, also so that exp meets whole vectors alone: what is left over from them rounds differently.
    logits = F.pad(logits_n_v.float(), (0, -logits_n_v.shape[1] % _BLOCK), value=float("-inf"))
    top = logits.amax(-1, keepdim=True)
    unit = bool((temperatures_n == 1).all())
    weights = _exp(logits, top, None)
    total = _block_sums(weights).sum(-1)
    if bool((temperatures_n == 0).all()):
        tokens = logits.argmax(-1)
    else:
        safe = temperatures_n.clamp_min(1e-6).float()[:, None]
        drawn = weights if unit else _exp(logits, top, safe)
        if bool((top_p_n < 1).any()):
            drawn = _nucleus(drawn, top_p_n)
        tokens = _invert(drawn, uniforms_n)
        if not unit:
            tokens = torch.where(temperatures_n == 0, logits.argmax(-1), tokens)
    chosen = logits.gather(-1, tokens[:, None]) - top
    return tokens, chosen[:, 0] - total.log().float()


def _exp(logits: Tensor, top: Tensor, temperature: Tensor | None) -> Tensor:
    shifted = logits - top
    if temperature is not None:
        shifted /= temperature
    return shifted.exp_()


def _block_sums(weights_n_v: Tensor) -> Tensor:
    """Sums of blocks of the vocabulary, [n, blocks] float64: float32 alone would lose the tail."""
    return _blocks(weights_n_v).sum(-1).double()


def _blocks(weights_n_v: Tensor) -> Tensor:
    return weights_n_v.view(weights_n_v.shape[0], -1, _BLOCK)


def _invert(weights_n_v: Tensor, uniforms_n: Tensor) -> Tensor:
    """The first token whose cumulative weight exceeds uniform × total: first its block, then its place in it."""
    blocks = _blocks(weights_n_v)
    upper = blocks.sum(-1).double().cumsum(-1)
    target = uniforms_n[:, None] * upper[:, -1:]
    block = torch.searchsorted(upper, target, right=True).clamp_max_(upper.shape[1] - 1)
    below = torch.where(block > 0, upper.gather(1, (block - 1).clamp_min(0)), 0.0)
    inner = blocks[torch.arange(blocks.shape[0], device=block.device), block[:, 0]].double().cumsum(-1)
    # Float rounding must not carry the target past the block's last token of positive weight.
    rest = torch.minimum(target - below, inner[:, -1:] * (1 - 1e-12))
    place = torch.searchsorted(inner, rest, right=True).clamp_max_(_BLOCK - 1)
    return (block * _BLOCK + place)[:, 0]


def _nucleus(weights_n_v: Tensor, top_p_n: Tensor) -> Tensor:
    """Keep the smallest set of most likely tokens whose mass reaches top_p; the most likely one always stays."""
    ordered, order = weights_n_v.sort(-1, descending=True)
    mass = ordered.double().cumsum(-1)
    before = (mass - ordered) / mass[:, -1:]
    outside = before >= top_p_n.double()[:, None]
    outside[:, 0] = False
    outside &= (top_p_n < 1)[:, None]
    return weights_n_v.masked_fill(torch.zeros_like(outside).scatter(1, order, outside), 0.0)
