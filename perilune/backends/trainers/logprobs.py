"""Log-probabilities of given tokens from logits, without a copy of the whole [M, vocabulary] block.

The gradient takes the place of the logits: fresh memory of that size costs more than what is computed in it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ROWS = 8
"""Rows turned to float32 at once: what fits in a core's cache."""


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        logprobs = torch.empty(targets.shape, dtype=torch.float32, device=logits.device)
        normaliser = torch.empty_like(logprobs)
        for start in range(0, logits.shape[0], _ROWS):
            part = slice(start, start + _ROWS)
            rows = logits[part].float()
            normaliser[part] = rows.logsumexp(-1)
            logprobs[part] = rows.gather(-1, targets[part, None])[:, 0] - normaliser[part]
        ctx.save_for_backward(logits, targets, normaliser)
        return logprobs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logits, targets, normaliser = ctx.saved_tensors
        (upstream,) = gradients
        rows = torch.empty((min(_ROWS, len(logits)), logits.shape[1]), dtype=torch.float32, device=logits.device)
        for start in range(0, logits.shape[0], _ROWS):
            part = slice(start, start + _ROWS)
            # d log p(target) / d logits = onehot(target) - softmax(logits)
            own = torch.sub(logits[part], normaliser[part, None], out=rows[: len(logits[part])])
            own.exp_().mul_(-upstream[part, None]).scatter_add_(1, targets[part, None], upstream[part, None])
            logits[part] = own
        return logits, None


def token_logprobs(logits_m_v: Tensor, targets_m: Tensor) -> Tensor:
    """log softmax(logits) at the targets, in nats.

    Args:
        logits_m_v: [M, vocabulary], any float type; the backward pass writes their gradient over them.
        targets_m: [M] int64.

    Returns:
        [M] float32, differentiable in the logits.
    """
    logprobs: Tensor = _TokenLogprobs.apply(logits_m_v, targets_m)  # type: ignore[no-untyped-call]
    return logprobs
