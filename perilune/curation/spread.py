"""Choosing few of many so that what they show is spread evenly."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from perilune.curation.behaviours import Behaviour

Item = TypeVar("Item")


def evenly(items: Sequence[Item], group: Callable[[Item], Hashable], count: int) -> list[Item]:
    """At most ``count`` items, one of each group in turn, in their order within a group."""
    groups: dict[Hashable, deque[Item]] = defaultdict(deque)
    for item in items:
        groups[group(item)].append(item)
    chosen: list[Item] = []
    while groups and len(chosen) < count:
        for key in list(groups):
            chosen.append(groups[key].popleft())
            if not groups[key]:
                del groups[key]
    return chosen[:count]


def by_rarest_behaviour(
    items: Sequence[Item],
    shown: Callable[[Item], frozenset[Behaviour]],
    owner: Callable[[Item], str],
    per_owner: int,
    count: int | None,
) -> list[Item]:
    """Choose greedily: always an item with the behaviour that the chosen ones show least, as long as there is one.

    Of those, one whose other behaviours are rare too. So every beginning of the result is as even as it can be.

    Args:
        items: the earlier ones are preferred, all else equal.
        shown: the behaviours of an item.
        owner: of whose items at most ``per_owner`` are chosen.
        per_owner: see above.
        count: how many in all; None for as many as there are.
    """
    buckets: dict[frozenset[Behaviour], deque[Item]] = defaultdict(deque)
    for item in items:
        buckets[shown(item)].append(item)
    chosen: list[Item] = []
    taken: Counter[str] = Counter()
    seen: Counter[Behaviour] = Counter()
    while buckets and (count is None or len(chosen) < count):
        key = _rarest(list(buckets), seen)
        item = buckets[key].popleft()
        if not buckets[key]:
            del buckets[key]
        if taken[owner(item)] < per_owner:
            chosen.append(item)
            taken[owner(item)] += 1
            seen.update(key)
    return chosen


def _rarest(keys: Sequence[frozenset[Behaviour]], seen: Counter[Behaviour]) -> frozenset[Behaviour]:
    """The set that holds the rarest behaviour that any holds, and whose behaviours are rarest on average."""
    there = [behaviour for behaviour in Behaviour if any(behaviour in key for key in keys)]
    if not there:
        return keys[0]
    least = min(seen[behaviour] for behaviour in there)
    candidates = [key for key in keys if any(seen[behaviour] == least for behaviour in key)]
    return min(candidates, key=lambda key: (sum(seen[b] for b in key) / len(key), sorted(key)))
