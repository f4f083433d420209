"""Choosing few of many."""

from __future__ import annotations

from collections import Counter

from perilune.curation.behaviours import Behaviour
from perilune.curation.spread import by_rarest_behaviour, evenly

P, E, R, X = Behaviour.PLANNING, Behaviour.EVALUATION, Behaviour.REFLECTION, Behaviour.EXPLORATION
Item = tuple[str, frozenset[Behaviour]]


def item(owner: str, *shown: Behaviour) -> Item:
    return owner, frozenset(shown)


def choose(items: list[Item], count: int | None = None, per_owner: int = 9) -> list[Item]:
    return by_rarest_behaviour(items, lambda i: i[1], lambda i: i[0], per_owner, count)


def test_each_kind_in_turn() -> None:
    items = ["a1", "a2", "a3", "b1", "c1", "c2"]
    assert evenly(items, lambda i: i[0], 4) == ["a1", "b1", "c1", "a2"]
    assert evenly(items, lambda i: i[0], 99) == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert evenly([], str, 3) == []


def test_the_rare_behaviours_come_in_first() -> None:
    items = [item(f"p{n}", P) for n in range(20)] + [item("e", E), item("r", R), item("x", X)]
    chosen = choose(items, count=8)
    assert Counter(b for _, shown in chosen for b in shown) == {P: 5, E: 1, R: 1, X: 1}
    assert {owner for owner, _ in chosen[:4]} >= {"e", "r", "x"}


def test_every_beginning_is_as_even_as_it_can_be() -> None:
    items = [item(f"{b}{n}", b) for b in Behaviour for n in range(10)]
    chosen = choose(items)
    for end in range(4, 41, 4):
        assert set(Counter(b for _, shown in chosen[:end] for b in shown).values()) == {end // 4}


def test_of_two_with_the_rarest_the_one_with_the_rarer_others_is_taken() -> None:
    # Planning is common already; exploration is asked for next, and may come alone or with planning.
    items = [item("a", P), item("b", P, X), item("c", X)]
    assert choose(items, count=2) in ([item("a", P), item("c", X)], [item("c", X), item("a", P)])


def test_an_owner_has_its_limit_and_nothing_shown_comes_last() -> None:
    items = [item("a", P), item("a", P), item("a", E), item("b"), item("b", P)]
    assert Counter(owner for owner, _ in choose(items, per_owner=1)) == {"a": 1, "b": 1}
    assert choose(items)[-1] == item("b")
    assert len(choose(items)) == 5
