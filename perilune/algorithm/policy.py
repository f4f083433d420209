"""The algorithms of RL, side by side: how a group's rewards become advantages, and its responses a loss.

One entry of :data:`ALGORITHMS` each; its name is what the recipe's ``rl.algorithm`` may say. Formulas stand here, or in
``advantage`` and ``loss`` where they are long or used elsewhere too, each with its equation. Axes: G, the trajectories
of one group; N, responses.
"""
# ruff: noqa: N815

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from perilune.algorithm.advantage import Floats, advantages, grpo_advantages, rest_advantages
from perilune.algorithm.loss import grpo_loss, opmd_loss, rest_loss
from perilune.types import Objective


@dataclass(frozen=True, slots=True)
class GroupRewards:
    """What the graded responses of one group have earned."""

    rewards_G: Floats
    """The length reward and penalties included."""
    right_G: NDArray[Any]
    """bool."""
    lengths_G: NDArray[Any]
    """Response lengths in tokens."""


@dataclass(frozen=True, slots=True)
class Responses:
    """N responses of a minibatch as a loss sees them. A row is one response's tokens, [R], in nats where not told.

    Sums are over the tokens of the loss mask, [N].
    """

    rows: tuple[Tensor, ...]
    """Log-probabilities under the policy, with gradient."""
    old_rows: tuple[Tensor, ...]
    """Under the policy before the update; with ``ratio_to_behaviour``, under what generated each token."""
    reference_rows: tuple[Tensor, ...]
    """Under the reference: the policy before the update, unless the algorithm is ``anchored``."""
    masks: tuple[Tensor, ...]
    """bool: which tokens are in the loss."""
    weights: tuple[Tensor, ...]
    """Factors on each token's gain; none without a correction (algorithm/correction)."""
    sums_N: Tensor
    old_sums_N: Tensor
    gain_sums_N: Tensor
    """What an advantage multiplies: ``sums_N``, its tokens weighed where there is a correction."""
    advantages_N: Tensor
    count: int
    """Responses in the minibatch, by which the sum over it is divided."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One way to learn from graded groups."""

    advantages: Callable[[GroupRewards, Objective], Floats]
    """[G], of one group; exactly 0 for all where all rewards are the same, for such a group teaches nothing."""
    loss: Callable[[Responses, Objective], Tensor]
    """Scalar, to minimise: the share of these responses in the mean over the minibatch. What an advantage multiplies
    is ``gain_sums_N``, or ``rows`` times ``weights``, so that ``rl.correction`` has its say."""
    chosen_alone: bool = False
    """Responses of advantage 0 are left out: there is nothing to push away from and no pull to the reference."""
    anchored: bool = False
    """With ``Objective.beta`` it has a KL term, whose reference outlives the iteration."""
    ratio_to_behaviour: bool = False
    """Its ratios are to the versions that generated each token, not to the policy before the update."""


def _opmd_loss(found: Responses, objective: Objective) -> Tensor:
    sums, old = found.sums_N, found.old_sums_N
    return opmd_loss(sums, old, found.advantages_N, objective.tau, found.count, found.gain_sums_N)


def _grpo_loss(found: Responses, objective: Objective) -> Tensor:
    return grpo_loss(
        pad_sequence(list(found.rows), batch_first=True),
        pad_sequence(list(found.old_rows), batch_first=True),
        pad_sequence(list(found.reference_rows), batch_first=True),
        pad_sequence(list(found.masks), batch_first=True),
        found.advantages_N,
        clip=objective.clip,
        beta=objective.beta,
        count=found.count,
        weights_N_T=pad_sequence(list(found.weights), batch_first=True) if found.weights else None,
    )


ALGORITHMS: Mapping[str, Algorithm] = {
    # k1.5: online policy mirror descent (section 2.3.2, eq. 3).
    "opmd": Algorithm(
        advantages=lambda group, objective: advantages(group.rewards_G, objective.baseline, objective.tau),
        loss=_opmd_loss,
    ),
    # What k1.5's ablation of negative gradients compares with: fit the best sample.
    "rest": Algorithm(
        advantages=lambda group, _: rest_advantages(group.rewards_G, group.right_G, group.lengths_G),
        loss=lambda found, _: rest_loss(found.gain_sums_N, found.advantages_N, found.count),
        chosen_alone=True,
    ),
    # DeepSeek-R1's.
    "grpo": Algorithm(
        advantages=lambda group, _: grpo_advantages(group.rewards_G),
        loss=_grpo_loss,
        anchored=True,
        ratio_to_behaviour=True,
    ),
}
