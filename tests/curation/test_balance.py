"""Which problems go where a discipline has too many."""

from __future__ import annotations

from collections import Counter

from perilune.curation.balance import find_over_quota
from perilune.curation.fates import Reason
from perilune.recipe.curation import TagsConfig
from perilune.types import Message, Problem

PROBLEMS = [Problem(f"p{n}", (Message("user", str(n)),), "1") for n in range(30)]
TAGS = {p.id: "a" if n < 20 else "b" if n < 28 else "c" for n, p in enumerate(PROBLEMS)}


def kept(seed: int = 0, **settings: object) -> Counter[str]:
    gone = find_over_quota(PROBLEMS, TAGS, TagsConfig.model_validate(settings), seed)
    assert {fate.reason for fate in gone} <= {Reason.OVER_QUOTA}
    assert len({fate.problem.id for fate in gone}) == len(gone)
    names = {fate.problem.id for fate in gone}
    return Counter(TAGS[p.id] for p in PROBLEMS if p.id not in names)


def test_without_balance_all_stay() -> None:
    assert kept().total() == 30


def test_a_quota() -> None:
    assert kept(balance="quota", quota=5) == {"a": 5, "b": 5, "c": 2}


def test_a_temperature() -> None:
    # The square roots of 20, 8 and 2 are as 3.16 : 2 : 1; of 12 that is 6.16, 3.90 and 1.95.
    assert kept(balance="temperature", size=12) == {"a": 6, "b": 4, "c": 2}


def test_the_lot_is_the_same_for_the_same_seed() -> None:
    config = TagsConfig(balance="quota", quota=5)
    one, again, other = (find_over_quota(PROBLEMS, TAGS, config, seed) for seed in (0, 0, 1))
    assert one == again != other
    assert one[0].detail == "a: 5 of 20 stay"
