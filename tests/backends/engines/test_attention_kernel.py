"""The compiled attention against the definition, in fp64, over shapes, types and what scores may go through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from perilune.backends.attention import plain_attention
from perilune.backends.engines.cache import Scores
from perilune.backends.engines.kernels.attention import BLOCK
from perilune.backends.engines.paged import PagedCache

pytest.importorskip("llvmlite")
LENGTHS = (1, 2, 31, 32, 33, 64, 100, 257)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def attend(
    cache: PagedCache,
    contexts: list[list[int]],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    window: int | None = None,
    cap: float | None = None,
    sinks: Tensor | None = None,
) -> Tensor:
    """One layer over the packed tokens of a step; the keys and values of a token are its own row of ``key``."""
    step = cache.step(contexts)
    ids = torch.tensor(step.ids)
    packed = (x[:, ids][None] for x in (query, key, value))
    return step.batch.attend(0, *packed, Scores(None, window, cap, sinks))[0, : len(contexts)]


def by_definition(
    token: int,
    heads: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int | None,
    cap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """[heads, value dimension]: the token sees those numbered before it."""
    first = 0 if window is None else max(0, token + 1 - window)
    shared = heads // key.shape[0]
    keys, values = (x[:, first : token + 1].double().repeat_interleave(shared, 0) for x in (key, value))
    own = None if sinks is None else sinks.double().view(heads, 1, 1)
    return plain_attention(query[:, token : token + 1].double(), keys, values, None, torch.zeros(1), cap, own)[:, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("heads", "kv_heads", "key_dim", "value_dim"),
    [
        (9, 3, 64, 64),
        (4, 4, 16, 16),
        (8, 1, 12, 12),
        (14, 2, 64, 64),
        (2, 1, 128, 128),
        (4, 4, 24, 20),
        (5, 1, 80, 256),
        (1, 1, 7, 1),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "window", "cap", "sinks", "all"])
def test_it_is_the_definitions(
    heads: int, kv_heads: int, key_dim: int, value_dim: int, kind: str, dtype: torch.dtype, threads: int
) -> None:
    generator = torch.Generator().manual_seed(heads * key_dim)
    total = max(LENGTHS)
    query, key, value = (
        torch.randn(n, total, size, generator=generator).mul_(factor).to(dtype)
        for n, size, factor in ((heads, key_dim, 2.0), (kv_heads, key_dim, 1.5), (kv_heads, value_dim, 1.0))
    )
    window = 40 if kind in {"window", "all"} else None
    cap = 3.0 if kind in {"cap", "all"} else None
    sinks = torch.randn(heads, generator=generator) if kind in {"sinks", "all"} else None
    contexts = [list(range(length)) for length in LENGTHS]
    cache = PagedCache(len(contexts), total, dtype)
    for context in contexts:
        cache.admit(context)
    found = attend(cache, contexts, query, key, value, window=window, cap=cap, sinks=sinks)
    close = 5e-6 if dtype == torch.float32 else 1e-2
    for row, length in enumerate(LENGTHS):
        expected = by_definition(length - 1, heads, query, key, value, window, cap, sinks)
        torch.testing.assert_close(found[row].double(), expected, atol=close, rtol=close)


@pytest.mark.parametrize("size", [0.0, 60.0, 1e4])
def test_large_scores_are_no_trouble(size: float) -> None:
    query, key, value = (torch.full((1, 40, 16), x) for x in (size, 1.0, 2.0))
    cache = PagedCache(1, 40, torch.float32)
    cache.admit(list(range(40)))
    found = attend(cache, [list(range(40))], query, key, value)
    torch.testing.assert_close(found, torch.full_like(found, 2.0))


def test_what_is_not_a_number_stays_in_its_row() -> None:
    query, key, value = (torch.ones(1, 80, 16) for _ in range(3))
    query[:, 69] = float("nan")
    contexts = [list(range(70)), list(range(71, 80))]
    cache = PagedCache(2, 80, torch.float32)
    for context in contexts:
        cache.admit(context)
    found = attend(cache, contexts, query, key, value)
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


def test_a_row_is_the_same_to_the_bit_in_any_company(threads: int) -> None:
    generator = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(n, 3000, 64, generator=generator) for n in (9, 3, 3))
    contexts = [list(range(start, start + length)) for start, length in ((0, 900), (7, 33), (100, 700), (5, 64))]
    together = PagedCache(4, 1000, torch.float32)
    for context in contexts:
        together.admit(context)
    crowd = attend(together, contexts, query, key, value)
    for row, context in enumerate(contexts):
        # Admitted whole, and token by token: the same numbers.
        alone, grown = (PagedCache(2, BLOCK * 40, torch.float32) for _ in range(2))
        alone.admit(context)
        assert torch.equal(attend(alone, [context], query, key, value)[0], crowd[row])
        grown.admit(context[:5])
        for length in range(5, len(context) + 1):
            last = attend(grown, [context[:length]], query, key, value)
        assert torch.equal(last[0], crowd[row])
