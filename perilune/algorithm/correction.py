"""Trainer and engine disagree about the same tokens: how far, and what can be done about it.

k1.5 says nothing of it, so nothing is done unless a recipe asks. The two usual corrections are importance weights
between the policy as the engine computed it (mu) and as the trainer does (pi_old, before the update):

    token      truncated importance sampling: each token's gradient is weighed by min(pi_old / mu, C)
               (Yao et al., 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training")
    sequence   masked importance sampling: a response whose ratio, the product over its tokens, lies outside
               [1 / C, C] does not train (Liu et al., 2025, "When Speed Kills Stability")

Log-probabilities are in nats; R are the tokens of a response.
"""
# ruff: noqa: N803, N806

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How far trainer and engine are apart on the tokens that the present weights generated; NaN where none are."""

    mean: float
    """Mean |log pi - log mu|, in nats."""
    largest: float
    beyond: float
    """Share of tokens whose ratio pi / mu lies outside [1 / C, C]."""
    kl: float
    """KL(mu || pi) per token in nats: the mean of r - 1 - log r with r = pi / mu, never negative."""


def measure_mismatch(trainer_logprobs: Sequence[float], engine_logprobs: Sequence[float], cap: float) -> Mismatch:
    """Compare tokens one by one.

    Args:
        trainer_logprobs: log pi of each token.
        engine_logprobs: log mu of the same tokens.
        cap: C, above 1.
    """
    if not trainer_logprobs:
        return Mismatch(math.nan, math.nan, math.nan, math.nan)
    log_ratio = np.asarray(trainer_logprobs, dtype=np.float64) - np.asarray(engine_logprobs, dtype=np.float64)
    gaps = np.abs(log_ratio)
    with np.errstate(over="ignore"):
        kl = np.expm1(log_ratio) - log_ratio
    return Mismatch(
        float(gaps.mean()), float(gaps.max()), float((gaps > math.log(cap)).mean()), float(np.maximum(kl, 0.0).mean())
    )


def token_weights(old_logprobs_R: Tensor, engine_logprobs_R: Tensor, cap: float) -> Tensor:
    """min(pi_old / mu, C) of each token, [R], without gradient."""
    log_ratio_R = (old_logprobs_R - engine_logprobs_R).detach()
    return torch.exp(log_ratio_R.clamp(max=math.log(cap)))


def keeps_sequence(old_logprobs_R: Tensor, engine_logprobs_R: Tensor, mask_R: Tensor, cap: float) -> bool:
    """Whether the ratio of the response's tokens in the loss, their product, lies within [1 / C, C]."""
    log_ratio = float((old_logprobs_R - engine_logprobs_R)[mask_R].double().sum())
    return abs(log_ratio) <= math.log(cap)
