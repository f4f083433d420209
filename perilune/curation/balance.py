"""Balance over the disciplines (k1.5, section 2.1): which problems stay where one discipline has too many."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from random import Random

from perilune.algorithm.curation import quota_sizes, temperature_sizes
from perilune.curation.fates import Dropped, Reason
from perilune.recipe.curation import TagsConfig
from perilune.types import Problem


def find_over_quota(
    problems: Sequence[Problem], tags: Mapping[str, str], config: TagsConfig, seed: int
) -> list[Dropped]:
    """Problems of disciplines that have more than the balance allows; which ones go is drawn by lot.

    Args:
        problems: what is left.
        tags: problem id → discipline; '' for one without.
        config: the balance.
        seed: of the lot.
    """
    if config.balance == "none":
        return []
    counts = Counter(tags.get(problem.id, "") for problem in problems)
    if config.balance == "quota":
        assert config.quota is not None
        sizes = quota_sizes(counts, config.quota)
    else:
        assert config.size is not None
        sizes = temperature_sizes(counts, config.size, config.temperature)
    by_tag: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_tag[tags.get(problem.id, "")].append(problem)
    gone: dict[str, Dropped] = {}
    for tag, members in by_tag.items():
        surplus = Random(f"balance/{seed}/{tag}").sample(members, len(members) - sizes.get(tag, 0))
        detail = f"{tag or 'without a tag'}: {sizes.get(tag, 0)} of {len(members)} stay"
        gone |= {problem.id: Dropped(problem, Reason.OVER_QUOTA, detail) for problem in surplus}
    return [gone[problem.id] for problem in problems if problem.id in gone]
