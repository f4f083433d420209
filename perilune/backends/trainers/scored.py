"""What an update knows of its samples before the first step: old and reference log-probabilities, corrections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from perilune.algorithm.correction import Mismatch, keeps_sequence, measure_mismatch, token_weights
from perilune.algorithm.policy import Algorithm
from perilune.types import Objective, Sample


@dataclass(frozen=True, slots=True)
class Scored:
    """Per sample, where not told; log-probabilities in nats of its response tokens, [R]. Empty for sft and dpo."""

    old: Sequence[Tensor]
    """By the policy before the update, or by what generated each token (``Algorithm.ratio_to_behaviour``)."""
    reference: Sequence[Tensor]
    weights: Sequence[Tensor]
    """Factors on each token's gain; none without a correction."""
    masked: frozenset[int]
    """Samples that do not train."""
    corrected: float
    """Share that the correction touched; NaN without one."""
    mismatch: Mismatch
    """Of the engine's and the trainer's log-probabilities, over all samples."""


def scored(
    samples: Sequence[Sample],
    policy: Sequence[Tensor],
    reference: Sequence[Tensor],
    version: int,
    algorithm: Algorithm | None,
    objective: Objective,
) -> Scored:
    """Put together what is known.

    Args:
        samples: of the update.
        policy: log-probabilities under the policy before the update; empty for sft and dpo.
        reference: under the reference.
        version: of the policy.
        algorithm: None for sft and dpo.
        objective: which correction, and its cap.
    """
    mismatch = measure_mismatch(*_same_weights(samples, policy, version), objective.correction_cap)
    old = policy
    if algorithm is not None and algorithm.ratio_to_behaviour:
        old = [_behaviour(*pair, version) for pair in zip(samples, policy, strict=True)]
    return Scored(old, reference, *_corrections(samples, old, objective), mismatch)


def _behaviour(sample: Sample, policy: Tensor, version: int) -> Tensor:
    """What generated each response token, [R]: the policy itself, or for older segments what the engine noted."""
    current = torch.tensor([made_by == version for made_by in sample.versions], device=policy.device)
    noted = torch.tensor(sample.behaviour_logprobs, device=policy.device)
    return torch.where(current, policy, noted)


def _same_weights(samples: Sequence[Sample], old: Sequence[Tensor], version: int) -> tuple[list[float], list[float]]:
    """Log-probabilities by trainer and engine of each token that the engine generated with these very weights."""
    trained: list[float] = []
    noted: list[float] = []
    for sample, row in zip(samples, old, strict=False):
        for mine, theirs, made_by in zip(row.tolist(), sample.behaviour_logprobs, sample.versions, strict=True):
            if made_by == version:
                trained.append(mine)
                noted.append(theirs)
    return trained, noted


def _corrections(
    samples: Sequence[Sample], old: Sequence[Tensor], objective: Objective
) -> tuple[list[Tensor], frozenset[int], float]:
    """Factors on each sample's tokens, [R]; samples that do not train; and the share that was touched."""
    if objective.correction == "none" or not old:
        return [], frozenset(), math.nan
    noted = [
        torch.tensor(sample.behaviour_logprobs, device=row.device) for sample, row in zip(samples, old, strict=True)
    ]
    masks = [torch.tensor(sample.loss_mask[sample.prompt_length :], device=old[0].device) for sample in samples]
    cap = objective.correction_cap
    if objective.correction == "token":
        weights = [token_weights(*pair, cap) for pair in zip(old, noted, strict=True)]
        at_cap = torch.cat([(row >= cap * (1 - 1e-6))[mask] for row, mask in zip(weights, masks, strict=True)])
        return weights, frozenset(), float(at_cap.float().mean())
    masked = frozenset(i for i, row in enumerate(zip(old, noted, masks, strict=True)) if not keeps_sequence(*row, cap))
    return [], masked, len(masked) / len(samples)
