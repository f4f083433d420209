"""What an update knows of its samples under the policy before its first step: old log-probabilities, corrections."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from perilune.algorithm.correction import Mismatch, keeps_sequence, measure_mismatch, token_weights
from perilune.algorithm.policy import Algorithm
from perilune.backends.trainers.packing import Pack
from perilune.types import Objective, Sample


class Scored:
    """Per sample, where not told; log-probabilities in nats of its response tokens, [R]. Empty for sft and dpo.

    The first step's forward passes are of the policy before the update, too: what they give need not be computed
    beforehand. Until then their samples are not known.
    """

    def __init__(self, samples: Sequence[Sample], version: int, algorithm: Algorithm | None, objective: Objective):
        """Nothing is known yet.

        Args:
            samples: of the update.
            version: of the policy before it.
            algorithm: None for sft and dpo.
            objective: which correction, and its cap.
        """
        known = 0 if algorithm is None else len(samples)
        self._samples = samples
        self._version = version
        self._cap = objective.correction_cap
        self._to_behaviour = algorithm is not None and algorithm.ratio_to_behaviour
        self._weighs = objective.correction == "token"
        self._masks = objective.correction == "sequence"
        self.policy: list[Tensor] = [torch.empty(0)] * known
        """By the policy before the update."""
        self.old: list[Tensor] = [torch.empty(0)] * known
        """The same, or by what generated each token (``Algorithm.ratio_to_behaviour``)."""
        self.reference: Sequence[Tensor] = self.policy
        """By the reference, which is the policy before the update unless it is replaced."""
        self.weights: list[Tensor] = [torch.empty(0)] * known if self._weighs else []
        """Factors on each token's gain; none without a correction."""
        self.awaited: set[Pack] = set()
        """Micro-batches of the first step that are still to be noted."""

    def note(self, micro: Pack, logprobs_m: Tensor) -> None:
        """Take what the policy before the update gives for a micro-batch.

        Args:
            micro: which response token lies where.
            logprobs_m: [M], without gradient.
        """
        for index, first, last in micro.spans:
            sample, row = self._samples[index], logprobs_m[first:last]
            self.policy[index] = row
            self.old[index] = _behaviour(sample, row, self._version) if self._to_behaviour else row
            if self._weighs:
                self.weights[index] = token_weights(self.old[index], _noted(sample, row), self._cap)
        self.awaited.discard(micro)

    def masked(self) -> frozenset[int]:
        """Samples that do not train; to be asked when all are known."""
        if not self._masks:
            return frozenset()
        rows = zip(self._samples, self.old, strict=False)
        return frozenset(
            i
            for i, (sample, row) in enumerate(rows)
            if not keeps_sequence(row, _noted(sample, row), _loss_mask(sample, row), self._cap)
        )

    def corrected(self) -> float:
        """Share of tokens or sequences that the correction touched, once all are known; NaN without one."""
        if not self.old or not (self._weighs or self._masks):
            return math.nan
        if self._masks:
            return len(self.masked()) / len(self._samples)
        at_cap = [
            (row >= self._cap * (1 - 1e-6))[_loss_mask(sample, row)]
            for sample, row in zip(self._samples, self.weights, strict=True)
        ]
        return float(torch.cat(at_cap).float().mean())

    def mismatch(self) -> Mismatch:
        """Trainer against engine on each token that these very weights generated, once all are known."""
        trained: list[float] = []
        noted: list[float] = []
        for sample, row in zip(self._samples, self.policy, strict=False):
            for mine, theirs, made_by in zip(row.tolist(), sample.behaviour_logprobs, sample.versions, strict=True):
                if made_by == self._version:
                    trained.append(mine)
                    noted.append(theirs)
        return measure_mismatch(trained, noted, self._cap)


def _behaviour(sample: Sample, policy: Tensor, version: int) -> Tensor:
    """What generated each response token, [R]: the policy itself, or for older segments what the engine noted."""
    current = torch.tensor([made_by == version for made_by in sample.versions], device=policy.device)
    return torch.where(current, policy, _noted(sample, policy))


def _noted(sample: Sample, like: Tensor) -> Tensor:
    return torch.tensor(sample.behaviour_logprobs, device=like.device)


def _loss_mask(sample: Sample, like: Tensor) -> Tensor:
    return torch.tensor(sample.loss_mask[sample.prompt_length :], device=like.device)
