"""From a reward's name, as problems carry it, to the reward."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal, cast

from perilune.errors import RewardError
from perilune.protocols import Reward
from perilune.recipe.reward_names import reward_names, split_file
from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.own_files import check_file, load_file

_USERS_OWN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def check_reward_name(reward: str) -> None:
    """Check the name, or the names, without importing anything.

    Raises:
        RewardError: one is neither a built-in reward nor of the form module:attribute or file.py:function.
    """
    try:
        names = reward_names(reward)
    except ValueError as error:
        raise RewardError(f"unknown reward {reward!r}: {error}") from None
    for name in names:
        in_file = split_file(name)
        if name in BUILT_IN or _USERS_OWN.fullmatch(name) or (in_file is not None and in_file[1].isidentifier()):
            continue
        near = difflib.get_close_matches(name, BUILT_IN, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(BUILT_IN)}."
        if name.endswith(".py"):
            hint = f"name the function in the file too: {name}:FUNCTION."
        raise RewardError(
            f"unknown reward {name!r}; {hint} A reward of your own is named as module:attribute or file.py:function"
        )


def build_reward(name: str, config: RewardsConfig) -> Reward:
    """The reward of that name.

    Args:
        name: of one: a built-in name, or one's own: ``module:attribute``, importable from the Python path, or
            ``file.py:function``, whose file is where ``config.files`` says, or else in the working directory. It is a
            callable as :class:`perilune.protocols.Reward` says.
        config: the recipe's [rewards].

    Raises:
        RewardError: no such reward, or it cannot be imported.
    """
    check_reward_name(name)
    if name in BUILT_IN:
        return BUILT_IN[name].build(config)
    in_file = split_file(name)
    if in_file is not None:
        where, attribute = in_file
        module = load_file(name, Path(config.files.get(where, where)).expanduser())
    else:
        where, _, attribute = name.partition(":")
        module = _imported(name, where)
    reward = getattr(module, attribute, None)
    if reward is None:
        near = difflib.get_close_matches(attribute, [key for key in vars(module) if not key.startswith("_")], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RewardError(f"reward {name!r}: {where} has no attribute {attribute}{hint}")
    if not callable(reward):
        raise RewardError(f"reward {name!r}: it is a {type(reward).__name__}, not a callable")
    return cast(Reward, reward)


def _imported(name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise RewardError(f"reward {name!r}: cannot import {module}: {type(error).__name__}: {error}") from error


def check_rewards_work(rewards: Collection[str], config: RewardsConfig) -> None:
    """Look, before a run begins, whether the rewards of these names can work on this machine; nothing is graded.

    Args:
        rewards: as problems carry them.
        config: the recipe's [rewards].

    Raises:
        SandboxUnavailable: programs are to be judged, and cannot be isolated here.
        RewardError: one is unknown, its file is not there, or it cannot work for another reason.
    """
    for reward in rewards:
        check_reward_name(reward)
    names = {name for reward in rewards for name in reward_names(reward)}
    for name in sorted(names):
        in_file = split_file(name)
        if in_file is not None:
            check_file(name, Path(config.files.get(in_file[0], in_file[0])).expanduser())
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
