"""Which items go together: by length under a token budget, or at random."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


def length_buckets(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Group items so that each group, padded to its longest item, fits the budget.

    Items are taken from the longest to the shortest, so that neighbours in a group differ little and padding stays
    small; equal lengths keep their order.

    Args:
        lengths: tokens of each item.
        token_budget: bound on (longest length × group size); a longer item gets a group of its own.

    Returns:
        Indices into ``lengths``, each exactly once; groups with the longest items come first.

    Raises:
        ValueError: a length is negative or the budget is not positive.
    """
    if token_budget < 1 or any(length < 0 for length in lengths):
        raise ValueError("lengths must not be negative, and token_budget must be positive")
    groups: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if groups and longest * (len(groups[-1]) + 1) <= token_budget:
            groups[-1].append(index)
        else:
            groups.append([index])
            longest = lengths[index]
    return groups


def shuffled_batches(n: int, batch_size: int, seed: int) -> list[list[int]]:
    """The indices 0 to n-1 in random order, in batches; the last one may be smaller. Equal seeds give equal batches.

    Raises:
        ValueError: n is negative or the batch size is not positive.
    """
    if n < 0 or batch_size < 1:
        raise ValueError(f"cannot make batches of {batch_size} from {n} items")
    order = list(range(n))
    Random(f"batches/{seed}").shuffle(order)
    return [order[start : start + batch_size] for start in range(0, n, batch_size)]
