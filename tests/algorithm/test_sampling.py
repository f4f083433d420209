import numpy as np
import pytest

from perilune.algorithm.sampling import curriculum_mask, draw, prioritized_probabilities, updated_success


def test_probabilities_are_proportional_to_the_failure_rate():
    assert prioritized_probabilities([0.5, 0.75, 1.0, 0.0]) == pytest.approx([2 / 7, 1 / 7, 0, 4 / 7])


def test_all_solved_is_uniform():
    assert prioritized_probabilities([1.0, 1.0, 1.0, 1.0]).tolist() == [0.25] * 4


def test_rates_outside_their_range_are_refused():
    for rate in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="success rates"):
            prioritized_probabilities([0.5, rate])


def test_no_curriculum_lets_all_in():
    assert curriculum_mask([1, 2, float("nan")], 5, "none", 24, 0.5).all()


def test_staged_is_uniform_first_then_hard_only():
    difficulty = [3, 1, 4, 2]
    assert curriculum_mask(difficulty, 23, "staged", 24, 0.5).all()
    assert curriculum_mask(difficulty, 24, "staged", 24, 0.5).tolist() == [True, False, True, False]
    assert curriculum_mask(difficulty, 24, "staged", 24, 0.0).tolist() == [False, False, True, False]
    assert curriculum_mask(difficulty, 24, "staged", 24, 1.0).all()


def test_gradual_goes_from_easy_to_hard():
    difficulty = list(range(10))
    admitted = [int(curriculum_mask(difficulty, i, "gradual", 4, 0.8).sum()) for i in range(6)]
    assert admitted == [2, 4, 6, 8, 10, 10]
    assert curriculum_mask(difficulty, 0, "gradual", 4, 0.8).tolist() == [True, True] + [False] * 8


def test_shares_are_of_whole_problems_despite_rounding():
    # 0.1 x 30 is a little more than 3 in floating point.
    assert curriculum_mask(list(range(30)), 1, "staged", 1, 0.1).sum() == 3


def test_problems_of_equal_difficulty_enter_together():
    assert curriculum_mask([1, 2, 2, 2], 9, "staged", 1, 0.25).tolist() == [False, True, True, True]
    assert curriculum_mask([1, 1, 1, 2], 0, "gradual", 9, 0.75).tolist() == [True, True, True, False]


def test_problems_without_a_difficulty_are_always_in():
    nan = float("nan")
    assert curriculum_mask([nan, 1, 2], 9, "staged", 1, 0.5).tolist() == [True, False, True]
    assert curriculum_mask([nan, 1, 2], 0, "gradual", 9, 0.5).tolist() == [True, True, False]
    assert curriculum_mask([nan, nan], 9, "staged", 1, 0.5).all()


def test_unknown_curriculum_is_refused():
    with pytest.raises(ValueError, match="steep"):
        curriculum_mask([1, 2], 0, "steep", 1, 0.5)


def test_draw_is_without_replacement_and_never_takes_probability_zero():
    for seed in range(50):
        drawn = draw([0.5, 0.0, 0.1, 0.4], 3, np.random.default_rng(seed))
        assert sorted(drawn.tolist()) == [0, 2, 3]


def test_draw_repeats_only_when_it_must():
    drawn = draw([0.9, 0.0, 0.1], 200, np.random.default_rng(0))
    assert drawn.shape == (200,)
    assert set(drawn.tolist()) == {0, 2}
    assert 160 < int((drawn == 0).sum()) < 196


def test_first_draws_follow_the_probabilities():
    rng = np.random.default_rng(1)
    first = np.bincount([draw([1, 2, 3, 4], 2, rng)[0] for _ in range(4000)], minlength=4)
    assert first / 4000 == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.03)


def test_second_draws_are_proportional_among_those_left():
    rng = np.random.default_rng(2)
    pairs = [tuple(draw([0.5, 0.3, 0.2], 2, rng)) for _ in range(6000)]
    after_zero = [second for first, second in pairs if first == 0]
    assert np.mean([second == 1 for second in after_zero]) == pytest.approx(0.6, abs=0.03)


def test_draw_is_repeatable():
    probabilities = np.linspace(1, 2, 40)
    draws = [draw(probabilities, 8, np.random.default_rng(3)).tolist() for _ in range(2)]
    assert draws[0] == draws[1]


def test_draw_of_nothing_and_from_nothing():
    rng = np.random.default_rng(0)
    assert draw([0.0, 0.0], 0, rng).tolist() == []
    with pytest.raises(ValueError, match="none has a positive"):
        draw([0.0, 0.0], 1, rng)
    with pytest.raises(ValueError, match="finite"):
        draw([0.5, float("nan")], 1, rng)
    with pytest.raises(ValueError, match="negative"):
        draw([0.5, -0.5], 1, rng)


def test_updated_success_is_a_moving_average():
    assert updated_success(0.5, 1.0, 0.5) == 0.75
    assert updated_success(0.5, 1.0, 0.0) == 0.5
    assert updated_success(0.5, 0.25, 1.0) == 0.25
