"""Mismatch of trainer and engine, and its two corrections, on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from perilune.algorithm.correction import keeps_sequence, measure_mismatch, token_weights

LOG2 = math.log(2.0)


def test_the_mismatch_is_measured_token_by_token() -> None:
    # Ratios pi / mu: 1, 3 and 1/3.
    found = measure_mismatch([-1.0, -1.0, -1.0 - math.log(3)], [-1.0, -1.0 - math.log(3), -1.0], cap=2.0)
    assert found.mean == pytest.approx(2 * math.log(3) / 3)
    assert found.largest == pytest.approx(math.log(3))
    assert found.beyond == pytest.approx(2 / 3)
    # r - 1 - log r: 0, 2 - log 3, and -2/3 + log 3.
    assert found.kl == pytest.approx((2 - 2 / 3) / 3)


def test_the_kl_estimate_is_that_of_known_distributions() -> None:
    torch.manual_seed(0)
    mu, pi = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.4, 0.4, 0.2])
    drawn = torch.multinomial(mu, 200_000, replacement=True)
    found = measure_mismatch(pi.log()[drawn].tolist(), mu.log()[drawn].tolist(), cap=2.0)
    assert found.kl == pytest.approx(float((mu * (mu / pi).log()).sum()), rel=0.03)


def test_equal_policies_do_not_differ() -> None:
    found = measure_mismatch([-0.5, -2.0], [-0.5, -2.0], cap=1.5)
    assert (found.mean, found.largest, found.beyond, found.kl) == (0.0, 0.0, 0.0, 0.0)
    nothing = measure_mismatch([], [], cap=1.5)
    assert all(math.isnan(value) for value in (nothing.mean, nothing.largest, nothing.beyond, nothing.kl))


def test_a_ratio_that_overflows_is_still_a_number_or_infinity() -> None:
    found = measure_mismatch([0.0], [-1000.0], cap=2.0)
    assert found.kl == math.inf
    assert found.beyond == 1.0


def test_token_weights_are_ratios_cut_at_the_cap() -> None:
    old = torch.tensor([-1.0, -1.0, -1.0, -1.0], requires_grad=True)
    engine = torch.tensor([-1.0, -1.0 + LOG2, -1.0 - LOG2, -900.0])
    weights = token_weights(old, engine, cap=1.5)
    assert weights.tolist() == pytest.approx([1.0, 0.5, 1.5, 1.5])
    assert not weights.requires_grad


def test_a_sequence_is_kept_while_the_product_of_its_ratios_is_within_the_cap() -> None:
    old, mask = torch.zeros(4), torch.tensor([True, True, True, False])
    # Three tokens off by log 1.2: 1.73 together; the fourth is not in the loss.
    engine = torch.tensor([math.log(1.2)] * 3 + [50.0])
    assert keeps_sequence(old, engine, mask, cap=2.0)
    assert not keeps_sequence(old, engine, mask, cap=1.7)
    assert not keeps_sequence(old, -engine, mask, cap=1.7)
    # Errors of both signs make up for each other: it is the whole response that counts.
    assert keeps_sequence(torch.zeros(2), torch.tensor([1.0, -1.0]), torch.ones(2, dtype=torch.bool), cap=1.1)
