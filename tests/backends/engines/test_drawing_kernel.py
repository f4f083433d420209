"""The compiled drawing of tokens against torch's, and against sums worked out in double precision."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from perilune.backends.engines import sampling
from perilune.backends.engines.sampling import sample_by_torch, sample_tokens

pytest.importorskip("llvmlite")
NEAR = 2e-6
"""How far rounding may move a token's edge, as a share of all weight."""


def rows(count: int, vocabulary: int, scale: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits and uniform numbers."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, vocabulary, generator=generator) * scale
    return logits, torch.rand(count, generator=generator, dtype=torch.float64)


def full(count: int, number: float) -> Tensor:
    return torch.full((count,), number)


def inside(weights_v: Tensor, top_p: float) -> Tensor:
    """The nucleus by its definition, [vocabulary] of truth: sorted, the first of equal ones first."""
    ordered, order = weights_v.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    kept = before < top_p * weights_v.sum()
    return torch.zeros(len(weights_v), dtype=torch.bool).scatter(0, order, kept)


def edges(logits_v: Tensor, heat: float, top_p: float, token: int) -> tuple[float, float]:
    """Between which shares of the weight a token lies, in double precision."""
    weights = ((logits_v.double() - logits_v.double().max()) / heat).exp()
    if top_p < 1:
        weights = weights * inside(weights, top_p)
    shares = weights.cumsum(-1) / weights.sum()
    return float(shares[token] - weights[token] / weights.sum()), float(shares[token])


def doubtful(logits_v: Tensor, heat: float, top_p: float) -> bool:
    """Whether rounding decides which token is the last of the nucleus."""
    weights = ((logits_v.double() - logits_v.double().max()) / heat).exp()
    kept = inside(weights, top_p)
    near = (weights[kept].min() / weights[~kept].max() - 1) < NEAR if not kept.all() else torch.tensor(False)
    over = weights[kept].sum() / weights.sum() - top_p
    return bool(near) or float(over) < NEAR or float(over) > float(weights[kept].min() / weights.sum()) - NEAR


def test_the_kernel_can_be_made_here() -> None:
    assert sampling._functions(False) is not None
    assert sampling._functions(True) is not None


HEATS = [(1.0, 1.0), (1.0, 0.9), (0.6, 0.5), (1.7, 1.0), (1.0, 1e-6), (1.0, 0.99999)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("vocabulary", [3, 255, 300, 4099])
@pytest.mark.parametrize("scale", [0.01, 1.0, 6.0])
@pytest.mark.parametrize(("heat", "top_p"), HEATS)
def test_a_token_is_torchs_or_lies_at_the_edge(
    dtype: torch.dtype, vocabulary: int, scale: float, heat: float, top_p: float
) -> None:
    logits, uniforms = rows(96, vocabulary, scale)
    logits = logits.to(dtype)
    given = logits, full(96, heat), full(96, top_p), uniforms
    expected, logprobs = sample_by_torch(*given)
    tokens, found = sample_tokens(*given)
    differ = 0
    for row, token in enumerate(tokens.tolist()):
        if token == expected[row]:
            assert float(found[row]) == pytest.approx(float(logprobs[row]), abs=4e-6)
            continue
        differ += 1
        if not doubtful(logits[row].float(), heat, float(full(1, top_p))):
            low, high = edges(logits[row].float(), heat, float(full(1, top_p)), token)
            assert low - NEAR <= float(uniforms[row]) <= high + NEAR
    assert differ <= 2


@pytest.mark.parametrize("heat", [0.0, 1.0, 0.7])
def test_log_probabilities_are_right(heat: float) -> None:
    logits, uniforms = rows(64, 5000, 4.0)
    tokens, logprobs = sample_tokens(logits, full(64, heat), full(64, 0.8), uniforms)
    exact = logits.double().log_softmax(-1).gather(1, tokens[:, None])[:, 0]
    assert (logprobs.double() - exact).abs().max() < 2e-6


def test_greedy_takes_the_first_of_equal_ones() -> None:
    logits = torch.zeros(3, 700)
    logits[0, [650, 40]] = 1.0
    logits[1, 699] = 1.0
    tokens, _ = sample_tokens(logits, full(3, 0.0), full(3, 0.5), torch.zeros(3, dtype=torch.float64))
    assert tokens.tolist() == [40, 699, 0]


@pytest.mark.parametrize("top_p", [0.001, 0.25, 0.5, 0.999])
def test_of_equally_likely_tokens_the_first_are_in_the_nucleus(top_p: float) -> None:
    uniforms = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    logits = torch.zeros(1, 512).expand(1000, -1)
    given = logits, full(1000, 1.0), full(1000, top_p), uniforms
    tokens, _ = sample_tokens(*given)
    kept = math.ceil(float(full(1, top_p)) * 512)
    assert tokens.min() == 0
    assert tokens.max() == kept - 1
    assert torch.equal(tokens, sample_by_torch(*given)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_row_is_the_same_to_the_bit_beside_any_other(dtype: torch.dtype, threads: int) -> None:
    logits, uniforms = rows(40, 3001, 3.0)
    logits = logits.to(dtype)
    heats = torch.tensor([0.0, 1.0, 0.6, 1.3] * 10)
    top_ps = torch.tensor([1.0, 0.9, 1.0, 0.4, 0.7] * 8)
    given = (logits, heats, top_ps, uniforms)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        tokens, logprobs = sample_tokens(*given)
        for part in (slice(0, 1), slice(3, 20), slice(39, 40)):
            alone = sample_tokens(*(x[part] for x in given))
            assert torch.equal(alone[0], tokens[part])
            assert torch.equal(alone[1], logprobs[part])
    finally:
        torch.set_num_threads(before)


def test_logits_may_lie_apart_in_memory() -> None:
    logits, uniforms = rows(6, 400, 2.0)
    given = full(6, 1.0), full(6, 0.9), uniforms
    expected = sample_tokens(logits, *given)
    wide = torch.full((6, 600), 9.0)
    wide[:, :400] = logits
    for apart in (wide[:, :400], logits.t().contiguous().t()):
        found = sample_tokens(apart, *given)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize("heat", [0.0, 1.0, 0.5])
@pytest.mark.parametrize("top_p", [1.0, 0.5])
@pytest.mark.parametrize("ruined", [math.nan, math.inf, "all"])
def test_a_model_that_has_diverged_is_seen_to(heat: float, top_p: float, ruined: float | str) -> None:
    logits, uniforms = rows(3, 300, 1.0)
    logits[1, slice(None) if ruined == "all" else 17] = -math.inf if ruined == "all" else float(ruined)
    tokens, logprobs = sample_tokens(logits, full(3, heat), full(3, top_p), uniforms)
    assert logprobs[1].isnan()
    assert logprobs[[0, 2]].isfinite().all()
    assert ((tokens >= 0) & (tokens < 300)).all()


def test_the_last_uniform_number_draws_a_token_of_weight() -> None:
    edge = torch.tensor([1.0 - 2**-53], dtype=torch.float64)
    for seed in range(20):
        logits, _ = rows(1, 513, 1.0, seed)
        logits[0, 300:] = -math.inf
        for draw in (sample_tokens, sample_by_torch):
            for top_p in (1.0, 0.9):
                assert draw(logits, full(1, 1.0), full(1, top_p), edge)[0].item() < 300


def test_no_rows() -> None:
    nothing = torch.empty(0)
    tokens, logprobs = sample_tokens(torch.empty(0, 7), nothing, nothing, nothing.double())
    assert tokens.shape == logprobs.shape == (0,)
