"""How a recipe names rewards: one, or several with their weights; built in, of a module, or of a file.

A problem carries the rewards that judge it as one text: a name, or a JSON object of names and weights.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator


@dataclass(frozen=True, slots=True)
class RewardPart:
    """One of the rewards that judge a problem."""

    name: str
    """A built-in name, ``module:attribute``, or ``file.py:function``."""
    share: float = 1.0
    """Its weight, as a share of all weights; in (0, 1]."""


@lru_cache(maxsize=1024)
def reward_parts(reward: str) -> tuple[RewardPart, ...]:
    """The rewards of a problem, in their order; the first decides what is right.

    Args:
        reward: as :func:`joined` wrote it, or one name.

    Raises:
        ValueError: it begins as an object and is none of names and weights.
    """
    if not reward.startswith("{"):
        return (RewardPart(reward),)
    weights = checked_weights(json.loads(reward))
    whole = math.fsum(weights.values())
    return tuple(RewardPart(name, weight / whole) for name, weight in weights.items())


def reward_names(reward: str) -> tuple[str, ...]:
    """The names alone."""
    return tuple(part.name for part in reward_parts(reward))


def first_reward(reward: str) -> str:
    """The name of the one that decides what is right."""
    return reward_parts(reward)[0].name


def joined(reward: str | Mapping[str, float]) -> str:
    """What a recipe says of rewards as one text."""
    if isinstance(reward, str):
        return reward
    return next(iter(reward)) if len(reward) == 1 else json.dumps(dict(reward), ensure_ascii=False)


def is_own(reward: str) -> bool:
    """Whether one of the rewards is a user's own."""
    return any(":" in name for name in reward_names(reward))


def split_file(name: str) -> tuple[str, str] | None:
    """File and function of a reward of the form ``file.py:function``; None of any other."""
    file, separator, function = name.rpartition(":")
    return (file, function) if separator and file.endswith(".py") else None


def checked_weights(value: Any) -> dict[str, float]:
    """A table of weights by name.

    Raises:
        ValueError: it is none; says what to write.
    """
    if not isinstance(value, Mapping) or not value:
        raise ValueError(
            'a reward is a name, or a table of names and weights such as {math = 0.9, "my.py:short" = 0.1}'
        )
    for name, weight in value.items():
        if isinstance(weight, Mapping):
            raise ValueError(
                f'the weight of {name!r} is a table; put a name with a dot in quotes: "{name}.py:short" = 0.1'
            )
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < math.inf:
            raise ValueError(f"the weight of {name!r} is {weight!r}; a weight is a number above 0")
    return {_named(name): float(weight) for name, weight in value.items()}


def _named(name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{name!r} names no reward")
    return name.strip()


def _checked(value: Any) -> Any:
    if value is None:
        return None
    return _named(value) if isinstance(value, str) else checked_weights(value)


NamedReward = Annotated[str | dict[str, float], BeforeValidator(_checked)]
"""A name, or weights by name."""
