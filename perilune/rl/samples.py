"""Complete groups to samples: reward, length reward, baseline, loss mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perilune.algorithm.advantage import length_reward_weight, length_rewards
from perilune.algorithm.policy import ALGORITHMS, GroupRewards
from perilune.recipe.training import RLConfig
from perilune.types import Group, Objective, Sample, Stop, Trajectory, Verdict


@dataclass(frozen=True, slots=True)
class RewardedGroup:
    """A complete group with what its usable trajectories earned."""

    group: Group
    trajectories: tuple[Trajectory, ...]
    """Those that count: without errors, and without those that the recipe leaves out."""
    rewards_G: tuple[float, ...]  # noqa: N815
    advantages_G: tuple[float, ...]  # noqa: N815

    @property
    def flat(self) -> bool:
        """True if nothing in it tells better from worse."""
        return not any(self.advantages_G)


def reward_group(group: Group, config: RLConfig, iteration: int) -> RewardedGroup | None:
    """Rewards and advantages of a complete group; None if fewer than two of its trajectories count.

    A trajectory whose grading ended in an error is left out: an error is not a wrong answer.
    """
    counted = tuple(t for t in group.trajectories if _counts(t, config))
    if len(counted) < 2:
        return None
    right = np.array([_verdict(t, config) is Verdict.RIGHT for t in counted])
    lengths = np.array([len(t.tokens) for t in counted])
    rewards = np.array([_score(t, config) for t in counted])
    rewards -= config.repetition_penalty * np.array([t.stop is Stop.REPEATED for t in counted])
    settings = config.length_reward
    weight = length_reward_weight(iteration, settings.weight, settings.warmup_iterations)
    rewards += weight * length_rewards(lengths, right)
    algorithm = ALGORITHMS[config.algorithm]
    result = algorithm.advantages(GroupRewards(rewards, right, lengths), objective_of(config))
    return RewardedGroup(group, counted, tuple(rewards.tolist()), tuple(result.tolist()))


def objective_of(config: RLConfig) -> Objective:
    """What an update optimises, as the recipe's [rl] says."""
    return Objective(
        config.algorithm,
        tau=config.tau,
        baseline=config.baseline,
        clip=config.grpo_clip,
        beta=config.grpo_beta if ALGORITHMS[config.algorithm].anchored else 0.0,
        correction=config.correction,
        correction_cap=config.correction_cap,
    )


def make_samples(groups: Sequence[RewardedGroup], config: RLConfig, version: int) -> list[Sample]:
    """What the trainer sees; responses without a token in the loss are left out.

    Args:
        groups: of one iteration.
        config: names the segments that enter the loss.
        version: the current policy version, whose segments are the current ones.
    """
    chosen_alone = ALGORITHMS[config.algorithm].chosen_alone
    samples: list[Sample] = []
    for number, rewarded in enumerate(groups):
        if rewarded.flat and (chosen_alone or not config.train_on_flat_groups):
            continue
        prompt = rewarded.group.prompt_tokens
        for trajectory, advantage in zip(rewarded.trajectories, rewarded.advantages_G, strict=True):
            versions = trajectory.versions
            mask = tuple(config.loss_segments == "all" or made_by == version for made_by in versions)
            if not any(mask) or (chosen_alone and advantage == 0.0):
                continue
            samples.append(
                Sample(
                    tokens=prompt + trajectory.tokens,
                    prompt_length=len(prompt),
                    loss_mask=(False,) * len(prompt) + mask,
                    advantage=advantage,
                    behaviour_logprobs=trajectory.logprobs,
                    versions=versions,
                    group=number,
                )
            )
    return samples


def _counts(trajectory: Trajectory, config: RLConfig) -> bool:
    if trajectory.stop is Stop.LIMIT and config.limit_response == "exclude":
        return False
    return _verdict(trajectory, config) is not Verdict.ERROR


def _verdict(trajectory: Trajectory, config: RLConfig) -> Verdict:
    assert trajectory.grade is not None
    if trajectory.stop is Stop.LIMIT and config.limit_response == "wrong":
        return Verdict.WRONG
    return trajectory.grade.verdict


def _score(trajectory: Trajectory, config: RLConfig) -> float:
    assert trajectory.grade is not None
    if trajectory.stop is Stop.LIMIT and config.limit_response == "wrong":
        return 0.0
    return trajectory.grade.score
