"""What long2short chooses: each clause of k1.5's rule for pairs, and where the second RL phase starts."""

from __future__ import annotations

import pytest

from perilune.algorithm.long2short import Balance, Candidate, best_balanced, preference_pairs, rejected, shortest_right


def right(index: int, tokens: int, *, ended: bool = True) -> Candidate:
    return Candidate(index, tokens, True, ended)


def wrong(index: int, tokens: int, *, ended: bool = True) -> Candidate:
    return Candidate(index, tokens, False, ended)


def indices(pairs: list[tuple[Candidate, Candidate]]) -> list[tuple[int, int]]:
    return [(chosen.index, other.index) for chosen, other in pairs]


def test_the_shortest_right_response_is_chosen() -> None:
    assert shortest_right([right(0, 30), wrong(1, 5), right(2, 20), right(3, 25)]) == right(2, 20)


def test_of_equally_short_ones_the_first_sample_is_chosen() -> None:
    assert shortest_right([right(3, 20), right(1, 20), right(2, 20)]) == right(1, 20)


def test_without_a_right_response_nothing_is_chosen_and_there_is_no_pair() -> None:
    none_right = [wrong(0, 5), wrong(1, 50)]
    assert shortest_right(none_right) is None
    assert shortest_right([]) is None
    assert preference_pairs(none_right) == []
    assert preference_pairs([]) == []


def test_a_stopped_response_is_not_chosen_even_if_it_is_right() -> None:
    assert shortest_right([right(0, 10, ended=False), right(1, 12)]) == right(1, 12)
    assert shortest_right([right(0, 10, ended=False)]) is None


def test_longer_wrong_responses_are_rejected_and_shorter_or_equal_ones_are_not() -> None:
    found = preference_pairs([right(0, 20), wrong(1, 21), wrong(2, 20), wrong(3, 19), wrong(4, 200)])
    assert indices(found) == [(0, 4), (0, 1)]


def test_a_wrong_response_that_was_stopped_is_rejected_too() -> None:
    assert indices(preference_pairs([right(0, 20), wrong(1, 64, ended=False)])) == [(0, 1)]


@pytest.mark.parametrize(("tokens", "is_rejected"), [(29, False), (30, False), (31, True)])
def test_a_right_response_is_rejected_from_more_than_half_as_long_again(tokens: int, is_rejected: bool) -> None:
    assert bool(preference_pairs([right(0, 20), right(1, tokens)])) is is_rejected


def test_exactly_one_and_a_half_times_an_odd_length() -> None:
    # 1.5 x 21 = 31.5: 31 is not more, 32 is.
    assert indices(preference_pairs([right(0, 21), right(1, 31), right(2, 32)])) == [(0, 2)]


def test_the_factor_is_a_setting_and_concerns_right_responses_alone() -> None:
    responses = [right(0, 20), right(1, 39), right(2, 41), wrong(3, 21)]
    assert indices(preference_pairs(responses, longer=2.0)) == [(0, 2), (0, 3)]
    assert indices(preference_pairs(responses, longer=1.0)) == [(0, 2), (0, 1), (0, 3)]


def test_equally_long_responses_make_no_pair() -> None:
    assert preference_pairs([right(0, 20), right(1, 20), wrong(2, 20), wrong(3, 20)]) == []


def test_the_cap_keeps_the_longest_and_of_equals_the_first_sample() -> None:
    responses = [right(0, 10), wrong(1, 12), right(2, 40), wrong(3, 40), wrong(4, 30)]
    assert indices(preference_pairs(responses, most=3)) == [(0, 2), (0, 3), (0, 4)]
    assert preference_pairs(responses, most=0) == []
    assert [c.index for c in rejected(responses, responses[0], 1.5)] == [2, 3, 4, 1]


MODELS = {
    "long": Balance(0.50, 100.0),
    "middle": Balance(0.49, 60.0),
    "short": Balance(0.40, 20.0),
}


def test_the_shortest_within_the_tolerance() -> None:
    assert best_balanced(MODELS, "shortest_within", tolerance=0.02) == "middle"
    assert best_balanced(MODELS, "shortest_within", tolerance=0.0) == "long"
    # The edge itself is within.
    assert best_balanced(MODELS, "shortest_within", tolerance=0.10) == "short"


def test_accuracy_less_the_price_of_tokens() -> None:
    # 0.5 - 0.2, 0.49 - 0.12, 0.4 - 0.04
    assert best_balanced(MODELS, "balance", price=0.2) == "middle"
    assert best_balanced(MODELS, "balance", price=0.0) == "long"
    assert best_balanced(MODELS, "balance", price=0.5) == "short"


def test_the_most_accurate_and_of_equals_the_shorter() -> None:
    assert best_balanced(MODELS, "most_accurate") == "long"
    assert best_balanced({"a": Balance(0.5, 9.0), "b": Balance(0.5, 8.0)}, "most_accurate") == "b"


def test_of_equals_the_first_named() -> None:
    twins = {"b": Balance(0.5, 10.0), "a": Balance(0.5, 10.0)}
    assert {best_balanced(twins, rule) for rule in ("shortest_within", "balance", "most_accurate")} == {"b"}  # type: ignore[arg-type]


def test_no_models_are_no_choice() -> None:
    with pytest.raises(ValueError, match="no models"):
        best_balanced({}, "balance")
