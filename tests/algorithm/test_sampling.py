import numpy as np
import pytest

from perilune.algorithm.sampling import (
    band_mask,
    bands,
    curriculum_mask,
    curriculum_stage,
    draw,
    faded_success,
    prioritized_probabilities,
    stratified_probabilities,
    updated_success,
)


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


def test_bands_begin_at_their_difficulty_despite_rounding():
    # 1 - 0.3 is a little less than 0.7 in floating point, and 0.1 + 0.2 a little more than 0.3.
    difficulty = [0.1, 0.1 + 0.2, 0.5, 1 - 0.3, 0.9, float("nan")]
    assert bands(difficulty, 0.3, 0.7).tolist() == [0, 1, 1, 2, 2, -1]
    assert bands(difficulty, None, 0.7).tolist() == [0, 0, 0, 2, 2, -1]
    assert bands(difficulty, 0.7, 0.7).tolist() == [0, 0, 0, 2, 2, -1]


def test_staged_by_bands_is_all_first_then_the_hard_band():
    band = [0, 1, 2, 2, -1]
    assert band_mask(band, 3, "staged", 4).all()
    assert band_mask(band, 4, "staged", 4).tolist() == [False, False, True, True, True]
    assert band_mask(band, 99, "none", 4).all()


def test_gradual_by_bands_lets_medium_in_at_half_and_hard_at_the_end():
    band = [0, 1, 2, -1]
    admitted = [band_mask(band, i, "gradual", 5).tolist() for i in range(6)]
    easy, medium, all_of_them = [True, False, False, True], [True, True, False, True], [True] * 4
    # Half of 5 is 2.5: medium enters at 3.
    assert admitted == [easy, easy, easy, medium, medium, all_of_them]


def test_an_empty_band_is_replaced_by_the_nearest():
    assert band_mask([0, 1, 1], 9, "staged", 1).tolist() == [False, True, True]
    assert band_mask([1, 2, 1], 0, "gradual", 9).tolist() == [True, False, True]
    assert band_mask([2, 2, -1], 0, "gradual", 9).all()
    assert band_mask([-1, -1], 9, "staged", 1).all()


def test_stages_of_the_curriculum():
    assert [curriculum_stage(i, "staged", 2) for i in range(4)] == ["all", "all", "hard", "hard"]
    assert [curriculum_stage(i, "gradual", 2) for i in range(4)] == ["easy", "medium", "all", "all"]
    assert curriculum_stage(5, "none", 2) == "all"


def test_every_stratum_has_the_same_total():
    # Stratum 0: failure rates 0.5 and 0.25; stratum 1: 1; stratum 2 is not allowed; stratum 3: solved, so uniform.
    success = [0.5, 0.75, 0.0, 0.5, 1.0, 1.0, 0.0]
    allowed = [True, True, True, False, True, True, False]
    strata = [0, 0, 1, 2, 3, 3, 3]
    expected = [2 / 9, 1 / 9, 1 / 3, 0, 1 / 6, 1 / 6, 0]
    assert stratified_probabilities(success, allowed, True, strata) == pytest.approx(expected)
    uniform = [1 / 6, 1 / 6, 1 / 3, 0, 1 / 6, 1 / 6, 0]
    assert stratified_probabilities(success, allowed, False, strata) == pytest.approx(uniform)


def test_without_strata_all_that_is_allowed_is_one():
    # Failure rates 0.5, 0.25 and 1 of the allowed ones.
    found = stratified_probabilities([0.5, 0.75, 0.0, 0.0], [True, True, True, False], True)
    assert found == pytest.approx([2 / 7, 1 / 7, 4 / 7, 0])
    assert stratified_probabilities([0.5, 1.0], [True, True], False).tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="no problem is allowed"):
        stratified_probabilities([0.5], [False], True)


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


def test_a_rate_fades_to_its_prior():
    # Half of the distance is left after 3 iterations, a quarter after 6.
    faded = faded_success([1.0, 1.0, 1.0, 0.0], [0.5, 0.5, 0.25, 0.5], [0, 3, 6, 6], 3.0)
    assert faded == pytest.approx([1.0, 0.75, 0.4375, 0.375])
    assert faded_success([1.0, 0.2], [0.5, 0.5], [9, 9], None).tolist() == [1.0, 0.2]
