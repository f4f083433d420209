from random import Random

import pytest

from perilune.data.batching import length_buckets, shuffled_batches


def test_buckets_worked_by_hand():
    # 6 alone would pad a second item to 12 > 10; 5 and 4 pad to 10; 2, 2 and 1 pad to 6.
    assert length_buckets([2, 6, 4, 2, 5, 1], 10) == [[1], [4, 2], [0, 3, 5]]


def test_buckets_hold_every_item_once_and_fit_the_budget():
    lengths = [Random(seed).randint(1, 300) for seed in range(500)]
    groups = length_buckets(lengths, 1024)
    assert sorted(index for group in groups for index in group) == list(range(500))
    assert all(max(lengths[i] for i in group) * len(group) <= 1024 for group in groups)
    padded = sum(max(lengths[i] for i in group) * len(group) for group in groups)
    assert padded / sum(lengths) < 1.1


def test_over_long_item_is_alone():
    assert length_buckets([3, 50, 3], 10) == [[1], [0, 2]]


def test_buckets_of_nothing():
    assert length_buckets([], 10) == []


@pytest.mark.parametrize(("lengths", "budget"), [([1], 0), ([-1], 5)])
def test_buckets_refuse_nonsense(lengths, budget):
    with pytest.raises(ValueError, match="token_budget must be positive"):
        length_buckets(lengths, budget)


def test_shuffled_batches_cover_and_repeat():
    batches = shuffled_batches(23, 5, seed=1)
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert sorted(index for batch in batches for index in batch) == list(range(23))
    assert batches == shuffled_batches(23, 5, seed=1)
    assert batches != shuffled_batches(23, 5, seed=2)


def test_shuffled_batches_refuse_no_size():
    with pytest.raises(ValueError, match="batches of 0"):
        shuffled_batches(3, 0, seed=0)
