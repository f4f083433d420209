"""The losses: online policy mirror descent; ReST and GRPO, which k1.5 is compared with; and DPO.

Axes: N, the sequences given; T, their tokens, padded. Every loss is a sum over N divided by ``count``, the number of
sequences of the whole minibatch: the losses of its micro-batches add up to the minibatch's mean, and so do their
gradients. Log-probabilities are in nats.
"""
# ruff: noqa: N803, N806

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def opmd_loss(
    logprob_sums_N: Tensor,
    reference_sums_N: Tensor,
    advantages_N: Tensor,
    tau: float,
    count: int,
    gain_sums_N: Tensor | None = None,
) -> Tensor:
    """k1.5's policy objective (section 2.3.2, eq. 3) as a loss to minimise, scalar.

    With logpi = log pi_theta(y|x) and logpi_i = log pi_i(y|x), both summed over the whole response, the loss is

        mean over N of  -[ A logpi - (tau/2) (logpi - logpi_i)^2 ]

    and its gradient  -[ A grad logpi - (tau/2) grad (logpi - logpi_i)^2 ]  is eq. 3 with the sign turned, since eq. 3
    is an ascent direction. Eq. 3 in turn comes from the surrogate L = (A - tau (logpi - logpi_i))^2, A = r - tau log Z:
    grad L = -2 tau (A - tau (logpi - logpi_i)) grad logpi, so eq. 3 = -grad L / (2 tau), and the gradient of this loss
    is grad L / (2 tau). With the mean reward for tau log Z it is the paper's eq. 3 to the letter.

    The squared term is of the sequence, not of each token: no ratio, no clipping, no division by length.

    Args:
        logprob_sums_N: log-probability of each response under the policy, with gradient.
        reference_sums_N: the same under the iteration's reference, over the same tokens.
        advantages_N: reward minus baseline.
        tau: strength of the pull to the reference.
        count: sequences in the minibatch.
        gain_sums_N: what the advantage multiplies in place of logpi: its tokens weighed one by one, as a correction
            of the engine's rounding does (algorithm/correction); the squared term stays as it is.
    """
    log_ratio_N = logprob_sums_N - reference_sums_N.detach()
    gains_N = logprob_sums_N if gain_sums_N is None else gain_sums_N
    gain_N = advantages_N * gains_N - 0.5 * tau * log_ratio_N.square()
    return -gain_N.sum() / count


def rest_loss(logprob_sums_N: Tensor, advantages_N: Tensor, count: int) -> Tensor:
    """-A log pi over whole responses, scalar: ReST, with A = 1 for the sample to fit and 0 otherwise.

    The method that k1.5's ablation of negative gradients compares with; A comes from ``rest_advantages``.
    """
    return -(advantages_N * logprob_sums_N).sum() / count


def grpo_loss(
    logprobs_N_T: Tensor,
    old_logprobs_N_T: Tensor,
    reference_logprobs_N_T: Tensor,
    mask_N_T: Tensor,
    advantages_N: Tensor,
    *,
    clip: float,
    beta: float,
    count: int,
    weights_N_T: Tensor | None = None,
) -> Tensor:
    """GRPO (DeepSeek-R1, arXiv 2501.12948), scalar: -[ min(rho A, clip(rho, 1-eps, 1+eps) A) - beta D_KL ].

    rho = pi/pi_old and D_KL = pi_ref/pi - log(pi_ref/pi) - 1, both per token; the mean over a sequence's tokens first,
    then over the sequences. A sequence without a token in the mask contributes 0.

    Args:
        logprobs_N_T: per token under the policy, with gradient.
        old_logprobs_N_T: under the policy that generated the responses.
        reference_logprobs_N_T: under the KL reference.
        mask_N_T: bool; which tokens count. What stands elsewhere, NaN included, is not looked at.
        advantages_N: from ``grpo_advantages``.
        clip: epsilon.
        beta: weight of D_KL.
        count: sequences in the minibatch.
        weights_N_T: factor on each token's first term, if any (algorithm/correction).
    """
    logprobs = logprobs_N_T.masked_fill(~mask_N_T, 0.0)
    old = old_logprobs_N_T.detach().masked_fill(~mask_N_T, 0.0)
    reference = reference_logprobs_N_T.detach().masked_fill(~mask_N_T, 0.0)
    advantages_N_1 = advantages_N.unsqueeze(1)
    ratio = torch.exp(logprobs - old)
    gain = torch.minimum(ratio * advantages_N_1, ratio.clamp(1.0 - clip, 1.0 + clip) * advantages_N_1)
    if weights_N_T is not None:
        gain = gain * weights_N_T.detach().masked_fill(~mask_N_T, 0.0)
    log_reference_ratio = reference - logprobs
    divergence = torch.expm1(log_reference_ratio) - log_reference_ratio
    per_token = (gain - beta * divergence).masked_fill(~mask_N_T, 0.0)
    lengths_N = mask_N_T.sum(dim=1).clamp(min=1)
    return -(per_token.sum(dim=1) / lengths_N).sum() / count


def dpo_loss(
    chosen_ratios_P: Tensor, rejected_ratios_P: Tensor, *, beta: float, label_smoothing: float = 0.0, count: int
) -> Tensor:
    """Direct preference optimisation (Rafailov et al., 2023, arXiv 2305.18290, eq. 7), scalar.

    With h = beta (chosen - rejected) the loss is  -(1 - eps) log sigma(h) - eps log sigma(-h)  over P pairs; eps > 0
    is the conservative variant (Mitchell, 2023), which takes a share eps of the pairs to be in the wrong order. k1.5
    uses DPO for long2short (section 2.4) and publishes no settings.

    Args:
        chosen_ratios_P: log pi_theta(y|x) - log pi_ref(y|x) of the chosen responses, with gradient: summed over the
            response, or averaged over its tokens (length normalisation).
        rejected_ratios_P: the same of the rejected ones.
        beta: strength of the pull to the reference.
        label_smoothing: eps, below 0.5.
        count: pairs in the minibatch.
    """
    margins_P = beta * (chosen_ratios_P - rejected_ratios_P)
    losses_P = -(1.0 - label_smoothing) * logsigmoid(margins_P) - label_smoothing * logsigmoid(-margins_P)
    return losses_P.sum() / count
