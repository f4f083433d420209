"""The paged cache: what is shared, what is computed, and that nothing is left over."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from perilune.backends.engines.kernels.attention import BLOCK
from perilune.backends.engines.kernels.memory import zeros
from perilune.backends.engines.paged import PagedBatch, PagedCache

PROMPT = list(range(100))


def make_cache(slots: int = 4, capacity: int = 200) -> PagedCache:
    return PagedCache(slots, capacity, torch.float32)


def blocks(cache: PagedCache, row: int, count: int) -> list[int]:
    batch = cache.step([PROMPT] * len(cache._rows)).batch
    assert isinstance(batch, PagedBatch)
    return [int(block) for block in batch.tables[row, :count]]


def test_siblings_have_one_copy_of_their_prompt() -> None:
    cache = make_cache()
    whole = len(PROMPT) - 1
    assert cache.admit(PROMPT) == whole
    shared = whole // BLOCK * BLOCK
    assert [cache.admit(PROMPT) for _ in range(3)] == [whole - shared] * 3
    tables = np.array([blocks(cache, row, 4) for row in range(4)])
    assert (tables[:, :3] == tables[0, :3]).all()
    assert len(set(tables[:, 3])) == 4


def test_continued_responses_share_what_they_have_in_common() -> None:
    cache = make_cache()
    cache.admit([*PROMPT, 7, 8, 9])
    assert cache.admit([*PROMPT, 7, 8, 10, *range(60)]) == 100 + 3 + 60 - 1 - 96
    # Equal tokens at another place are no common beginning.
    assert cache.admit(PROMPT[BLOCK:]) == len(PROMPT) - BLOCK - 1


def test_a_prefix_is_found_as_long_as_somebody_has_it() -> None:
    cache = make_cache()
    cache.admit(PROMPT)
    cache.admit(PROMPT)
    cache.step([PROMPT, PROMPT])
    cache.drop(0)
    assert cache.admit(PROMPT) < BLOCK
    cache.drop(1)
    cache.drop(0)
    assert cache.admit(PROMPT) == len(PROMPT) - 1


def test_dropped_blocks_are_used_again() -> None:
    cache = make_cache(slots=3, capacity=64)
    for turn in range(50):
        for row in range(3):
            cache.admit([turn, row, *range(40)])
        cache.step([[turn, row, *range(62)] for row in range(3)])
        for row in (1, 1, 0):
            cache.drop(row)
    assert sorted(cache._free) == list(range(6))
    assert not cache._prefixes
    assert not cache._found
    assert not cache._users.any()


def test_the_last_response_takes_the_number_of_one_that_ends() -> None:
    cache = make_cache()
    for first in range(3):
        cache.admit([first, *PROMPT])
    last = blocks(cache, 2, 3)
    cache.drop(0)
    assert blocks(cache, 0, 3) == last


def test_memory_follows_what_is_used() -> None:
    # Room for a long context costs addresses alone.
    cache = make_cache(slots=64, capacity=100_000)
    cache.admit(PROMPT)
    assert cache.room >= 100_000


@pytest.mark.parametrize("length", [1, 2, BLOCK, BLOCK + 1])
def test_short_prompts(length: int) -> None:
    cache = make_cache()
    assert cache.admit(PROMPT[:length]) == length - 1
    step = cache.step([PROMPT[:length]])
    assert step.ids == [length - 1, *range(length - 1)]
    assert step.positions == [length - 1, *range(length - 1)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 2, 5), (7, 300, 64, 32), (0, 4)])
def test_memory_is_of_zeros_and_can_be_written(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    found = zeros(*shape, dtype=dtype)
    assert (found.shape, found.dtype) == (shape, dtype)
    assert not found.any()
    found.fill_(2)
    assert (found == 2).all()


def test_memory_is_taken_as_it_fills() -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("the system does not say what memory is in use")

    def in_use() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()

    before = in_use()
    found = zeros(1 << 28, dtype=torch.float32)
    assert in_use() - before < 1 << 27
    found[: 1 << 27] = 1
    assert in_use() - before > 1 << 28
