"""From a reward's name, as problems carry it, to the reward."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from perilune.errors import RewardError
from perilune.protocols import Reward
from perilune.recipe.rewards import RewardsConfig

_USERS_OWN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def check_reward_name(name: str) -> None:
    """Check a name without importing anything.

    Raises:
        RewardError: it is neither a built-in reward nor of the form module:attribute.
    """
    if name in BUILT_IN or _USERS_OWN.fullmatch(name):
        return
    near = difflib.get_close_matches(name, BUILT_IN, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(BUILT_IN)}"
    raise RewardError(f"unknown reward {name!r}; {hint} A reward of your own is named as module:attribute")


def build_reward(name: str, config: RewardsConfig) -> Reward:
    """The reward of that name.

    Args:
        name: a built-in name, or ``module:attribute`` for one's own: a callable with the signature of
            :class:`perilune.protocols.Reward`, importable from the Python path.
        config: the recipe's [rewards].

    Raises:
        RewardError: no such reward, or it cannot be imported.
    """
    check_reward_name(name)
    if name in BUILT_IN:
        return BUILT_IN[name].build(config)
    module_name, _, attribute = name.partition(":")
    try:
        reward = getattr(importlib.import_module(module_name), attribute)
    except ImportError as error:
        raise RewardError(f"reward {name!r}: cannot import {module_name}: {error}") from error
    except AttributeError:
        raise RewardError(f"reward {name!r}: the module {module_name} has no attribute {attribute}") from None
    if not callable(reward):
        raise RewardError(f"reward {name!r}: it is a {type(reward).__name__}, not a callable")
    return cast(Reward, reward)


def check_rewards_work(names: Collection[str], config: RewardsConfig) -> None:
    """Look, before a run begins, whether the rewards of these names can work on this machine.

    Raises:
        SandboxUnavailable: programs are to be judged, and cannot be isolated here.
        RewardError: a reward cannot work for another reason.
    """
    if "code" in names:
        from perilune.rewards.code import check_code_reward

        check_code_reward(config.code)


# Imported where they are named: the math reward alone brings sympy.
def _math(config: RewardsConfig) -> Reward:
    from perilune.rewards.math import MathReward

    return MathReward(config.answer_form, config.format_weight, thinking_counts=config.thinking_counts)


def _countdown(config: RewardsConfig) -> Reward:
    from perilune.rewards.countdown import CountdownReward

    return CountdownReward(config.answer_form, config.format_weight, thinking_counts=config.thinking_counts)


def _format(config: RewardsConfig) -> Reward:
    from perilune.rewards.format import FormatReward

    return FormatReward(config.answer_form, thinking_counts=config.thinking_counts)


def _think_format(config: RewardsConfig) -> Reward:
    from perilune.rewards.format import FormatReward

    return FormatReward(config.answer_form, think_tags=True, thinking_counts=config.thinking_counts)


def _reasoning_gym(config: RewardsConfig) -> Reward:
    from perilune.rewards.reasoning_gym import ReasoningGymReward

    return ReasoningGymReward(config.answer_form, thinking_counts=config.thinking_counts)


def _code(config: RewardsConfig) -> Reward:
    from perilune.rewards.code import CodeReward, build_judge

    if config.timeout_seconds < config.code.longest_seconds:
        raise RewardError(
            f"rewards.timeout_seconds = {config.timeout_seconds:g} would end judgements that may still be going on for "
            f"{config.code.longest_seconds:g} s by the limits of [rewards.code]; raise it"
        )
    return CodeReward(build_judge(config.code), config.format_weight, in_thinking=config.thinking_counts)


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A reward that comes with the package."""

    build: Callable[[RewardsConfig], Reward]
    """Imports what it needs, and raises RewardError where that cannot be."""
    reference: Literal["answer", "construction", "none"] = "answer"
    """What its problems have: an answer that a response states, and that might be guessed; a construction, such as a
    program's tests, which nobody guesses; or none, for it looks at the form alone."""
    runs_programs: bool = False
    """Whether what it does is done in other processes, under limits of their own."""


BUILT_IN: Mapping[str, BuiltIn] = {
    "math": BuiltIn(_math),
    "countdown": BuiltIn(_countdown, "construction"),
    "format": BuiltIn(_format, "none"),
    "think_format": BuiltIn(_think_format, "none"),
    "reasoning_gym": BuiltIn(_reasoning_gym),
    "code": BuiltIn(_code, "construction", runs_programs=True),
}
