"""From a micro-batch's token log-probabilities to its share of the minibatch's loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from perilune.algorithm.loss import dpo_loss
from perilune.algorithm.policy import ALGORITHMS, Responses
from perilune.backends.trainers.packing import Pack
from perilune.errors import TrainerError
from perilune.types import Objective, Sample


def pack_loss(
    micro: Pack,
    samples: Sequence[Sample],
    logprobs_m: Tensor,
    old: Sequence[Tensor],
    reference: Sequence[Tensor],
    objective: Objective,
    count: int,
    weights: Sequence[Tensor] = (),
) -> tuple[Tensor, dict[int, float]]:
    """The micro-batch's term of the minibatch loss.

    Args:
        micro: which response token lies where.
        samples: what ``micro`` was packed from.
        logprobs_m: [M] with gradient.
        old: per sample [R], the policy before the update; empty for sft and dpo.
        reference: per sample [R], the reference; equal to ``old`` for opmd.
        objective: which loss.
        count: what the minibatch's sum is divided by: responses; response tokens for sft, pairs for dpo.
        weights: per sample [R], factors on its tokens' gain; none for no correction.

    Returns:
        The loss, scalar; and per sample log pi_theta - log pi_old over its loss tokens, in nats; for dpo against the
        reference, per token where they are length-normalized.
    """
    members = [index for index, _, _ in micro.spans]
    masks = [torch.tensor(samples[i].loss_mask[samples[i].prompt_length :], device=logprobs_m.device) for i in members]
    rows = [logprobs_m[first:last] for _, first, last in micro.spans]
    if objective.algorithm == "sft":
        return -torch.stack([row[mask].sum() for row, mask in zip(rows, masks, strict=True)]).sum() / count, {}

    if objective.algorithm == "dpo":
        return _dpo(members, samples, rows, masks, objective, count)
    advantages = torch.tensor([samples[i].advantage for i in members], device=logprobs_m.device)
    sums = torch.stack([row[mask].sum() for row, mask in zip(rows, masks, strict=True)])
    old_sums = torch.stack([old[i][mask].sum() for i, mask in zip(members, masks, strict=True)])
    moved = dict(zip(members, (sums.detach() - old_sums).tolist(), strict=True))
    gains = sums
    if weights:
        gains = torch.stack([(weights[i] * row)[mask].sum() for i, row, mask in zip(members, rows, masks, strict=True)])
    found = Responses(
        rows=tuple(rows),
        old_rows=tuple(old[i] for i in members),
        reference_rows=tuple(reference[i] for i in members),
        masks=tuple(masks),
        weights=tuple(weights[i] for i in members) if weights else (),
        sums_N=sums,
        old_sums_N=old_sums,
        gain_sums_N=gains,
        advantages_N=advantages,
        count=count,
    )
    return ALGORITHMS[objective.algorithm].loss(found, objective), moved


def _dpo(
    members: Sequence[int],
    samples: Sequence[Sample],
    rows: Sequence[Tensor],
    masks: Sequence[Tensor],
    objective: Objective,
    count: int,
) -> tuple[Tensor, dict[int, float]]:
    """Both responses of a pair are in the same micro-batch."""
    ratios: dict[int, Tensor] = {}
    for index, row, mask in zip(members, rows, masks, strict=True):
        ratio = row[mask].sum() - samples[index].reference_logprob
        ratios[index] = ratio / mask.sum() if objective.length_normalized else ratio
    pairs = pairs_of(samples, members)
    loss = dpo_loss(
        torch.stack([ratios[chosen] for chosen, _ in pairs]),
        torch.stack([ratios[rejected] for _, rejected in pairs]),
        beta=objective.beta,
        label_smoothing=objective.label_smoothing,
        count=count,
    )
    return loss, {index: float(ratio.detach()) for index, ratio in ratios.items()}


def pairs_of(samples: Sequence[Sample], indices: Sequence[int]) -> list[tuple[int, int]]:
    """(chosen, rejected) of each pair among the indices.

    Raises:
        TrainerError: a response is without the other of its pair.
    """
    chosen = {samples[index].group: index for index in indices if samples[index].advantage > 0}
    rejected = {samples[index].group: index for index in indices if samples[index].advantage < 0}
    if chosen.keys() != rejected.keys() or len(indices) != 2 * len(chosen):
        raise TrainerError(
            "a minibatch of dpo needs whole pairs: two samples of one group, one of positive and one of negative "
            f"advantage; got {len(indices)} samples of {len(chosen.keys() | rejected.keys())} groups"
        )
    return [(index, rejected[group]) for group, index in chosen.items()]
