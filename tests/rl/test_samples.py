"""Rewards, advantages and loss masks against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from perilune.recipe.training import RLConfig
from perilune.rl.samples import RewardedGroup, make_samples, reward_group
from perilune.types import Grade, Group, Message, Problem, Segment, Stop, Trajectory, Verdict

PROBLEM = Problem("p", (Message("user", "?"),), "1")
R, W, E = Verdict.RIGHT, Verdict.WRONG, Verdict.ERROR


def config(**settings: Any) -> RLConfig:
    return RLConfig(**settings)


def trajectory(
    index: int, verdict: Verdict, length: int = 4, stop: Stop = Stop.ENDED, versions: str = "0"
) -> Trajectory:
    """``length`` tokens spread evenly over one segment per version."""
    each = length // len(versions)
    segments = tuple(
        Segment(
            tuple(100 * index + place for place in range(number * each, (number + 1) * each)),
            tuple(-0.5 * place - index for place in range(number * each, (number + 1) * each)),
            int(version),
            stop if number == len(versions) - 1 else Stop.CUT,
        )
        for number, version in enumerate(versions)
    )
    return Trajectory(f"g/{index}", index, index, segments, Grade(verdict, float(verdict is R), ""))


def group(*trajectories: Trajectory, name: str = "g") -> Group:
    return Group(name, PROBLEM, (1, 2, 3), 0, trajectories)


def rewarded(found: Group, iteration: int = 0, **settings: Any) -> RewardedGroup:
    result = reward_group(found, config(**settings), iteration)
    assert result is not None
    return result


MIXED = group(trajectory(0, R, 2), trajectory(1, W, 6), trajectory(2, R, 4), trajectory(3, W, 3))


@pytest.mark.parametrize(
    ("settings", "advantages"),
    [
        ({"algorithm": "opmd"}, (0.5, -0.5, 0.5, -0.5)),
        # tau log Z = 0.5 ln((2 e^2 + 2) / 4) = 0.71689
        ({"baseline": "log_partition", "tau": 0.5}, (0.28311, -0.71689, 0.28311, -0.71689)),
        # The shorter of two right ones.
        ({"algorithm": "rest"}, (1.0, 0.0, 0.0, 0.0)),
        ({"algorithm": "grpo"}, (1.0, -1.0, 1.0, -1.0)),
    ],
)
def test_advantages(settings: dict[str, Any], advantages: tuple[float, ...]) -> None:
    found = rewarded(MIXED, **settings)
    assert found.rewards_G == (1.0, 0.0, 1.0, 0.0)
    assert found.advantages_G == pytest.approx(advantages, abs=1e-5)
    assert not found.flat


def test_the_length_reward_starts_after_its_warmup() -> None:
    settings = {"length_reward": {"weight": 0.4, "warmup_iterations": 3}}
    assert rewarded(MIXED, iteration=2, **settings).rewards_G == (1.0, 0.0, 1.0, 0.0)
    # lambda = 0.5, -0.5, 0, 0.25; of the wrong ones min(0, lambda)
    found = rewarded(MIXED, iteration=3, **settings)
    assert found.rewards_G == pytest.approx((1.2, -0.2, 1.0, 0.0))
    assert found.advantages_G == pytest.approx((0.7, -0.7, 0.5, -0.5))


def test_repeating_costs() -> None:
    found = rewarded(group(trajectory(0, R), trajectory(1, W, stop=Stop.REPEATED)), repetition_penalty=0.25)
    assert found.rewards_G == (1.0, -0.25)
    assert found.advantages_G == (0.625, -0.625)


@pytest.mark.parametrize(
    ("rule", "rewards"), [("grade", (1.0, 1.0, 0.0)), ("wrong", (1.0, 0.0, 0.0)), ("exclude", (1.0, 0.0))]
)
def test_a_response_at_its_limit(rule: str, rewards: tuple[float, ...]) -> None:
    found = rewarded(group(trajectory(0, R), trajectory(1, R, stop=Stop.LIMIT), trajectory(2, W)), limit_response=rule)
    assert found.rewards_G == rewards


def test_a_limit_response_that_counts_as_wrong_earns_nothing_for_being_short() -> None:
    short = trajectory(0, R, 2, stop=Stop.LIMIT)
    found = rewarded(group(short, trajectory(1, R, 4)), limit_response="wrong", length_reward={"weight": 1.0})
    assert found.rewards_G == (0.0, 0.5)


def test_an_error_is_left_out_and_never_a_zero() -> None:
    found = rewarded(group(trajectory(0, R), trajectory(1, E), trajectory(2, R)))
    assert [t.index for t in found.trajectories] == [0, 2]
    assert found.rewards_G == (1.0, 1.0)
    # With a zero for the error these would be 1/3.
    assert found.advantages_G == (0.0, 0.0)
    (first, second) = make_samples([found], config(), version=0)
    assert first.tokens[3:] == (0, 1, 2, 3)
    assert second.tokens[3:] == (200, 201, 202, 203)


def test_an_error_does_not_set_the_scale_of_lengths() -> None:
    found = rewarded(
        group(trajectory(0, R, 2), trajectory(1, E, 100), trajectory(2, R, 4)), length_reward={"weight": 1.0}
    )
    assert found.rewards_G == (1.5, 0.5)


@pytest.mark.parametrize("others", [(E,), (E, E)])
def test_one_response_alone_is_no_group(others: tuple[Verdict, ...]) -> None:
    alone = group(trajectory(0, R), *(trajectory(i, verdict) for i, verdict in enumerate(others, 1)))
    assert reward_group(alone, config(), 0) is None
    limited = group(trajectory(0, R), trajectory(1, W, stop=Stop.LIMIT))
    assert reward_group(limited, config(limit_response="exclude"), 0) is None


def test_samples_are_aligned_over_versions() -> None:
    spanning, fresh = trajectory(0, R, 6, versions="123"), trajectory(1, W, 4, versions="3")
    for rule, first, second in (
        ("all", (True,) * 6, (True,) * 4),
        ("current", (False, False, False, False, True, True), (True,) * 4),
    ):
        samples = make_samples([rewarded(group(spanning, fresh))], config(loss_segments=rule), version=3)
        assert [s.loss_mask for s in samples] == [(False,) * 3 + first, (False,) * 3 + second]
        one, other = samples
        assert one.tokens == (1, 2, 3, 0, 1, 2, 3, 4, 5)
        assert one.versions == (1, 1, 2, 2, 3, 3)
        assert one.behaviour_logprobs == (0.0, -0.5, -1.0, -1.5, -2.0, -2.5)
        assert (one.advantage, other.advantage) == (0.5, -0.5)
        assert one.prompt_length == other.prompt_length == 3


def test_a_response_without_a_current_token_is_left_out() -> None:
    old, new = trajectory(0, R, 4, versions="1"), trajectory(1, W, 4, versions="12")
    samples = make_samples([rewarded(group(old, new))], config(loss_segments="current"), version=2)
    assert [sample.tokens[3:] for sample in samples] == [new.tokens]


@pytest.mark.parametrize(
    ("algorithm", "keep", "expected"),
    [("opmd", True, 4), ("opmd", False, 2), ("grpo", True, 4), ("grpo", False, 2), ("rest", True, 1)],
)
def test_flat_groups_are_kept_or_left_out(algorithm: str, keep: bool, expected: int) -> None:
    settings = {"algorithm": algorithm, "train_on_flat_groups": keep}
    flat = rewarded(group(trajectory(0, W), trajectory(1, W)), **settings)
    telling = rewarded(group(trajectory(0, R), trajectory(1, W), name="h"), **settings)
    assert (flat.flat, telling.flat) == (True, False)
    samples = make_samples([flat, telling], config(**settings), version=0)
    assert len(samples) == expected
    assert {sample.group for sample in samples} == ({0, 1} if expected == 4 else {1})
