"""Model merging: the weighted average of models' weights (k1.5, section 2.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def weighted_average(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Σ wᵢ θᵢ / Σ wᵢ, element by element; k1.5 takes the plain average of a long-CoT and a short-CoT model.

    It is summed in float32 (float64 where the first tensor has that type) in the order given, divided by the sum of
    the weights, and rounded once, to the type of the first tensor. These are the steps of mergekit's linear merge, and
    so its results, to the bit.

    Args:
        tensors: the same weight of each model; all of one shape.
        weights: one per tensor; only their ratios count.

    Raises:
        ValueError: the weights cannot be used, or a tensor holds no floating-point numbers.
    """
    check_weights(weights, len(tensors))
    first = tensors[0]
    if not all(tensor.is_floating_point() for tensor in tensors):
        raise ValueError(f"only floating-point numbers can be averaged, not {first.dtype}")
    dtype = torch.float64 if first.dtype == torch.float64 else torch.float32
    factors = torch.tensor(weights, dtype=dtype, device=first.device)
    total = torch.zeros_like(first, dtype=dtype)
    for tensor, factor in zip(tensors, factors, strict=True):
        total.addcmul_(tensor, factor)
    return total.div_(factors.sum()).to(first.dtype)


def check_weights(weights: Sequence[float], models: int) -> None:
    """Whether these can be the weights of so many models.

    Raises:
        ValueError: there are not as many, one is negative or no number, or all are zero.
    """
    if len(weights) != models:
        raise ValueError(f"{len(weights)} weight(s) were given for {models} model(s); give one for each")
    for weight in weights:
        if not math.isfinite(weight) or weight < 0:
            raise ValueError(f"a weight must be a number that is not negative (got {weight})")
    if not any(weights):
        raise ValueError("all weights are zero; at least one must be positive")
