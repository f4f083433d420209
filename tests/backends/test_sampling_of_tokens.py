"""Drawing tokens: the distribution, the nucleus, and log-probabilities that do not depend on temperature."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perilune.backends.engines.sampling import sample_tokens


def draws(logits: torch.Tensor, count: int, temperature: float = 1.0, top_p: float = 1.0) -> np.ndarray:
    """Relative frequencies of ``count`` evenly spread uniform numbers: the distribution up to 1/count."""
    uniforms = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    full = torch.full((count,), 1.0)
    tokens, _ = sample_tokens(logits.expand(count, -1), full * temperature, full * top_p, uniforms)
    return np.bincount(tokens.numpy(), minlength=logits.shape[-1]) / count


@pytest.mark.parametrize("vocabulary", [5, 256, 700])
@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
def test_inverts_the_distribution(vocabulary: int, temperature: float) -> None:
    torch.manual_seed(vocabulary)
    logits = torch.randn(vocabulary) * 2
    expected = (logits / temperature).softmax(-1).numpy()
    assert np.abs(draws(logits, 4000, temperature) - expected).max() < 2 / 4000


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    logits = torch.tensor([0.1, 0.5, 0.05, 0.35]).log()
    assert draws(logits, 1000, top_p=0.8) == pytest.approx([0, 0.5 / 0.85, 0, 0.35 / 0.85], abs=2e-3)
    assert draws(logits, 1000, top_p=0.01) == pytest.approx([0, 1, 0, 0])


def test_greedy_rows_beside_sampled_ones() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0], [0.0, 3.0, 1.0]])
    tokens, logprobs = sample_tokens(
        logits, torch.tensor([0.0, 1.0]), torch.ones(2), torch.tensor([0.999999, 0.999999], dtype=torch.float64)
    )
    assert tokens.tolist() == [1, 2]
    assert logprobs.tolist() == pytest.approx(logits[0].log_softmax(-1)[[1, 2]].tolist(), abs=1e-6)


def test_logprobs_are_at_temperature_one() -> None:
    logits = torch.randn(1, 300)
    half = torch.tensor([0.5])
    tokens, logprobs = sample_tokens(logits, torch.tensor([0.3]), torch.tensor([0.9]), half.double())
    assert logprobs[0] == pytest.approx(float(logits.log_softmax(-1)[0, tokens[0]]), abs=1e-5)


def test_a_token_of_no_weight_is_never_drawn() -> None:
    logits = torch.full((1, 600), float("-inf"))
    logits[0, 17] = 0.0
    logits[0, 300] = 0.0
    edge = torch.tensor([1.0 - 2**-53], dtype=torch.float64)
    one = torch.ones(1)
    assert sample_tokens(logits, one, one, edge)[0].item() == 300
    assert sample_tokens(logits, one, one, edge * 0)[0].item() == 17
