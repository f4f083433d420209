import math

import numpy as np
import pytest
import torch

from perilune.algorithm.advantage import advantages
from perilune.algorithm.loss import grpo_loss, opmd_loss, rest_loss


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def sequence_policy(logits):
    """Log-probabilities of all sequences of length 2 over 3 tokens, [9], and per token, [9, 2]."""
    first = torch.log_softmax(logits[0], dim=-1)
    second = torch.log_softmax(logits[1:4], dim=-1)
    pairs = [(a, b) for a in range(3) for b in range(3)]
    per_token = torch.stack([torch.stack([first[a], second[a, b]]) for a, b in pairs])
    return per_token.sum(dim=1), per_token


def policy_and_reference(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    reference = logits.detach() + 0.5 * torch.randn(4, 3, generator=generator, dtype=torch.float64)
    drawn = torch.randint(0, 9, (6,), generator=generator)
    return logits, reference, drawn


def gradient(loss, logits):
    return torch.autograd.grad(loss, logits, retain_graph=True)[0]


def test_opmd_by_hand():
    # -[0.5*(-2) - 0.1*(1)^2/2] = 1.05; -[-0.5*(-3) - 0.05*(-2)^2] = -1.3; mean over 2: -0.125
    loss = opmd_loss(tensor(-2.0, -3.0), tensor(-3.0, -1.0), tensor(0.5, -0.5), tau=0.1, count=2)
    assert loss.item() == pytest.approx(-0.125, abs=1e-12)


@pytest.mark.parametrize("baseline", ["mean", "log_partition"])
@pytest.mark.parametrize("tau", [0.05, 1.0])
def test_opmd_gradient_is_that_of_the_squared_surrogate_over_two_tau(baseline, tau):
    logits, reference_logits, drawn = policy_and_reference(seed=3)
    rewards = tensor(1, 0, 0, 1, 0, 0)
    sums = sequence_policy(logits)[0][drawn]
    reference = sequence_policy(reference_logits)[0][drawn]
    log_partition = tau * torch.log(torch.exp(rewards / tau).mean())
    stand_in = rewards.mean() if baseline == "mean" else log_partition
    surrogate = ((rewards - stand_in - tau * (sums - reference)) ** 2).mean()
    taken = torch.from_numpy(advantages(rewards.numpy(), baseline, tau))
    ours = gradient(opmd_loss(sums, reference, taken, tau, count=6), logits)
    assert torch.allclose(ours, gradient(surrogate, logits) / (2 * tau), rtol=1e-9, atol=1e-12)
    assert ours.abs().max() > 1e-3


def test_opmd_squares_the_whole_sequence_not_each_token():
    logits, reference_logits, drawn = policy_and_reference(seed=4)
    sums, per_token = (part[drawn] for part in sequence_policy(logits))
    reference, reference_per_token = (part[drawn] for part in sequence_policy(reference_logits))
    zero = torch.zeros(6, dtype=torch.float64)
    ours = gradient(opmd_loss(sums, reference, zero, 1.0, count=6), logits)
    of_sequences = gradient(0.5 * (sums - reference).square().mean(), logits)
    of_tokens = gradient(0.5 * (per_token - reference_per_token).square().sum(dim=1).mean(), logits)
    assert torch.allclose(ours, of_sequences)
    assert not torch.allclose(ours, of_tokens, atol=1e-3)


def test_opmd_at_the_reference_is_the_plain_policy_gradient_whatever_tau():
    logits, _, drawn = policy_and_reference(seed=5)
    sums = sequence_policy(logits)[0][drawn]
    taken = tensor(0.5, -0.5, 0.25, -0.25, 1.0, -1.0)
    plain = gradient(-(taken * sums).mean(), logits)
    for tau in (0.01, 10.0):
        assert torch.allclose(gradient(opmd_loss(sums, sums.detach(), taken, tau, count=6), logits), plain)


def test_opmd_gives_the_reference_no_gradient():
    sums = tensor(-2.0, -3.0).requires_grad_()
    reference = tensor(-3.0, -1.0).requires_grad_()
    opmd_loss(sums, reference, tensor(0.5, -0.5), 0.1, count=2).backward()
    assert reference.grad is None
    # -(A - tau * log ratio) / 2
    assert sums.grad.tolist() == pytest.approx([-(0.5 - 0.1) / 2, -(-0.5 + 0.2) / 2])


def test_micro_batches_add_up():
    sums, reference, taken = tensor(-1.0, -2.0, -3.0), tensor(-1.5, -2.5, -2.0), tensor(1.0, -0.5, -0.5)
    whole = opmd_loss(sums, reference, taken, 0.3, count=3)
    parts = [opmd_loss(sums[p], reference[p], taken[p], 0.3, count=3) for p in (slice(0, 1), slice(1, 3))]
    assert sum(parts).item() == pytest.approx(whole.item())


def test_rest_by_hand():
    assert rest_loss(tensor(-2.0, -5.0, -1.0), tensor(0, 1, 0), count=3).item() == pytest.approx(5 / 3)


def test_grpo_by_hand():
    # Sequence 1 (A = 1): ratio 1.5 is clipped to 1.2; ratio 0.9 is not. Sequence 2 (A = -2), one token: ratio 0.5 is
    # clipped to 0.8, which is the smaller: -1.6.
    # KL at reference/policy = 2: 2 - log 2 - 1; at 0.5: 0.5 + log 2 - 1; at 1: 0.
    old = tensor(-1.0, -2.0, -1.0, -3.0).reshape(2, 2)
    new = old + torch.log(tensor(1.5, 0.9, 0.5, 7.0).reshape(2, 2))
    reference = new + torch.log(tensor(2.0, 1.0, 0.5, 9.0).reshape(2, 2))
    mask = torch.tensor([[True, True], [True, False]])
    first = ((1.2 - 0.1 * (1 - math.log(2))) + 0.9) / 2
    second = -1.6 - 0.1 * (math.log(2) - 0.5)
    loss = grpo_loss(new, old, reference, mask, tensor(1.0, -2.0), clip=0.2, beta=0.1, count=2)
    assert loss.item() == pytest.approx(-(first + second) / 2, rel=1e-12)


def test_grpo_has_no_gradient_where_it_is_clipped_and_its_sign_where_not():
    old = tensor(-1.0, -1.0, -1.0, -1.0).reshape(4, 1)
    new = (old + torch.log(tensor(1.5, 1.5, 0.5, 0.5).reshape(4, 1))).requires_grad_()
    mask = torch.ones(4, 1, dtype=torch.bool)
    grpo_loss(new, old, old, mask, tensor(1.0, -1.0, 1.0, -1.0), clip=0.2, beta=0.0, count=4).backward()
    assert new.grad.ravel().tolist() == pytest.approx([0.0, 1.5 / 4, -0.5 / 4, 0.0])


def test_grpo_pulls_towards_its_reference():
    new = tensor(-1.0, -2.0).reshape(1, 2).requires_grad_()
    reference = tensor(-0.5, -3.0).reshape(1, 2)
    mask = torch.ones(1, 2, dtype=torch.bool)
    grpo_loss(new, new.detach(), reference, mask, tensor(0.0), clip=0.2, beta=1.0, count=1).backward()
    # d/dx (exp(r - x) - (r - x) - 1) = 1 - exp(r - x), mean over two tokens
    expected = [(1 - math.exp(0.5)) / 2, (1 - math.exp(-1.0)) / 2]
    assert new.grad.ravel().tolist() == pytest.approx(expected)


def test_grpo_does_not_look_at_padding_nor_break_on_an_empty_sequence():
    nan = float("nan")
    new = tensor(-1.0, nan, nan, nan).reshape(2, 2).requires_grad_()
    mask = torch.tensor([[True, False], [False, False]])
    loss = grpo_loss(new, new.detach(), new.detach(), mask, tensor(1.0, 1.0), clip=0.2, beta=0.1, count=2)
    loss.backward()
    assert loss.item() == pytest.approx(-0.5)
    assert np.array_equal(new.grad.numpy(), [[-0.5, 0.0], [0.0, 0.0]])
