import numpy as np
import pytest

from perilune.algorithm.advantage import (
    advantages,
    grpo_advantages,
    length_reward_weight,
    length_rewards,
    log_partition_baseline,
    mean_baseline,
    rest_advantages,
)

ONE_OF_SIXTEEN = [1.0] + [0.0] * 15


@pytest.mark.parametrize(("tau", "expected"), [(0.01, 0.972), (0.1, 0.723), (1.0, 0.102)])
def test_log_partition_of_one_success_among_sixteen(tau, expected):
    assert log_partition_baseline(ONE_OF_SIXTEEN, tau) == pytest.approx(expected, abs=5e-4)


def test_log_partition_against_its_plain_definition():
    rewards = np.array([0.0, 0.25, 1.0, -0.5])
    plain = 0.7 * np.log(np.mean(np.exp(rewards / 0.7)))
    assert log_partition_baseline(rewards, 0.7) == pytest.approx(plain, rel=1e-14)


def test_log_partition_tends_to_the_mean_and_to_the_largest():
    assert log_partition_baseline(ONE_OF_SIXTEEN, 1e7) == pytest.approx(1 / 16, abs=1e-7)
    assert log_partition_baseline(ONE_OF_SIXTEEN, 1e-5) == pytest.approx(1.0, abs=1e-4)


def test_log_partition_refuses_a_tau_that_is_not_positive():
    for tau in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="tau"):
            log_partition_baseline(ONE_OF_SIXTEEN, tau)


def test_mean_advantages_by_hand():
    assert mean_baseline(ONE_OF_SIXTEEN) == 0.0625
    assert advantages([1, 0, 0, 1], "mean", 0.1).tolist() == [0.5, -0.5, -0.5, 0.5]


def test_log_partition_advantages_by_hand():
    # tau = 1, rewards 0 and 1: log((1 + e) / 2) = 0.6201145
    assert advantages([0, 1], "log_partition", 1.0) == pytest.approx([-0.6201145, 0.3798855], abs=1e-7)


@pytest.mark.parametrize("reward", [0.0, 1.0, 0.1, 1 / 3])
@pytest.mark.parametrize("size", [2, 3, 7])
def test_flat_groups_have_advantages_of_exactly_zero(reward, size):
    rewards = [reward] * size
    assert not advantages(rewards, "mean", 0.1).any()
    assert not advantages(rewards, "log_partition", 0.1).any()
    assert not grpo_advantages(rewards).any()


def test_rest_fits_the_best_right_response():
    assert rest_advantages([0.2, 1.0, 0.9], [False, True, True], [5, 5, 5]).tolist() == [0, 1, 0]


def test_rest_takes_the_shortest_of_equals_then_the_first():
    assert rest_advantages([1, 1, 1, 1], [1, 1, 1, 1], [9, 4, 4, 6]).tolist() == [0, 1, 0, 0]


def test_rest_never_fits_a_wrong_response():
    assert rest_advantages([0.9, 0.5], [False, True], [1, 9]).tolist() == [0, 1]
    assert rest_advantages([0.9, 0.5], [False, False], [1, 9]).tolist() == [0, 0]


def test_grpo_by_hand_with_the_population_deviation():
    # mean 0.25, variance (0.75^2 + 3 * 0.25^2) / 4 = 0.1875
    expected = np.array([0.75, -0.25, -0.25, -0.25]) / np.sqrt(0.1875)
    assert grpo_advantages([1, 0, 0, 0]) == pytest.approx(expected, rel=1e-12)


def test_length_rewards_by_hand():
    # lambda = 0.5 - (len - 100) / 200
    rewards = length_rewards([100, 150, 200, 300, 100, 300], [True, True, True, True, False, False])
    assert rewards.tolist() == [0.5, 0.25, 0.0, -0.5, 0.0, -0.5]


def test_length_rewards_are_zero_where_all_lengths_are_equal():
    assert length_rewards([70, 70, 70], [True, False, True]).tolist() == [0, 0, 0]


def test_length_reward_weight_is_off_in_the_warm_up_then_constant():
    assert [length_reward_weight(i, 0.3, 2) for i in range(4)] == [0.0, 0.0, 0.3, 0.3]
    assert length_reward_weight(0, 0.3, 0) == 0.3


def test_groups_that_are_no_groups_are_refused():
    with pytest.raises(ValueError, match="shape"):
        mean_baseline([])
    with pytest.raises(ValueError, match="right_G"):
        length_rewards([1, 2, 3], [True])
    with pytest.raises(ValueError, match="finite"):
        grpo_advantages([1.0, float("nan")])
    with pytest.raises(ValueError, match="median"):
        advantages([1.0, 0.0], "median", 1.0)
