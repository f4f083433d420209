import json
import math

import pytest
from scored import answers

from perilune.evaluation.scoring import clustered_interval, wilson_interval
from perilune.evaluation.tradeoff import PAPER, Point, order, signed_percent, signed_points, told_order, trade_off


def points_of(**measured):
    """Points against 'long' of name = (verdicts, tokens)."""
    return trade_off({name: answers(*found) for name, found in measured.items()}, "long")


def test_figures_of_greedy_responses():
    long, rl = points_of(long=("++--", [10, 20, 30, 40]), rl=("+++-", [5, 10, 15, 20]))
    assert (long.name, long.reference, rl.name, rl.reference) == ("long", True, "rl", False)
    assert (rl.decoding, rl.problems, rl.responses, rl.errors) == ("greedy", 4, 4, 0)
    assert (long.accuracy, rl.accuracy) == (0.5, 0.75)
    assert rl.accuracy_interval == wilson_interval(3, 4)
    assert (long.mean_tokens, rl.mean_tokens) == (25.0, 12.5)
    half = 1.96 * math.sqrt(500 / 3 / 4)  # the squares of -15, -5, 5 and 15 sum to 500
    assert long.tokens_interval == pytest.approx((25 - half, 25 + half))
    assert (long.accuracy_change, long.accuracy_change_interval) == (0.0, (0.0, 0.0))
    assert (long.tokens_change, long.tokens_change_interval) == (0.0, (0.0, 0.0))


def test_change_in_accuracy_is_paired_by_agresti_and_min():
    _, rl = points_of(long=("++--", 10), rl=("+-++", 10))
    # Gained on two problems and lost on one, of 4; half a problem more in each cell makes that 2.5, 1.5 and 6.
    assert rl.accuracy_change == 0.25
    centre, half = 1 / 6, 1.96 * math.sqrt(4 - 1 / 6) / 6
    assert rl.accuracy_change_interval == pytest.approx((centre - half, centre + half))


def test_models_that_agree_on_every_problem_still_have_an_interval():
    _, rl = points_of(long=("+-" * 49, 10), rl=("+-" * 49, 10))
    half = 1.96 * math.sqrt(1) / 100
    assert rl.accuracy_change == 0.0
    assert rl.accuracy_change_interval == pytest.approx((-half, half))


def test_changes_stay_within_what_is_possible():
    _, rl = points_of(long=("-", 10), rl=("+", 10))
    assert rl.accuracy_change == 1.0 and rl.accuracy_change_interval[1] == 1.0
    assert rl.accuracy_change_interval[0] == pytest.approx(1 / 3 - 1.96 * math.sqrt(5 / 27))


def test_change_in_tokens_is_exact_where_each_response_shrinks_alike():
    _, rl = points_of(long=("++++", [10, 20, 30, 40]), rl=("++++", [6, 12, 18, 24]))
    assert rl.tokens_change == pytest.approx(-0.4)
    assert rl.tokens_change_interval == pytest.approx((-0.4, -0.4))


def test_interval_of_the_change_in_tokens():
    _, rl = points_of(long=("++", [10, 30]), rl=("++", [10, 10]))
    # Shares of the means: 0.5 and 1.5 against 1 and 1, so the differences are 0.5 and -0.5.
    error = math.sqrt(0.5 / 2)
    assert rl.tokens_change == -0.5
    assert rl.tokens_change_interval == pytest.approx(
        (0.5 * math.exp(-1.96 * error) - 1, 0.5 * math.exp(1.96 * error) - 1)
    )


def test_one_problem_says_nothing_of_the_spread():
    _, rl = points_of(long=("+", 10), rl=("+", 5))
    assert rl.tokens_change == -0.5
    assert all(map(math.isnan, rl.tokens_interval + rl.tokens_change_interval))


def test_empty_responses_have_a_place():
    _, rl = points_of(long=("+-", 10), rl=("--", 0))
    assert rl.tokens_change == -1.0 and rl.mean_tokens == 0.0 and rl.pareto
    assert all(map(math.isnan, rl.tokens_change_interval))
    assert math.isnan(points_of(long=("-", 0), rl=("+", 5))[1].tokens_change)


def test_errors_are_not_wrong_and_their_tokens_count():
    _, rl = points_of(long=("++-!", 10), rl=("+!++", [4, 8, 4, 8]))
    assert (rl.errors, rl.responses, rl.accuracy, rl.mean_tokens) == (1, 4, 1.0, 6.0)
    assert rl.accuracy_interval == wilson_interval(3, 3)
    assert rl.accuracy_change == 0.5  # over the first and the third problem, which both have graded


def test_nothing_graded_is_nan_and_not_on_the_front():
    _, rl = points_of(long=("+-", 10), rl=("!!", 1))
    assert math.isnan(rl.accuracy) and math.isnan(rl.accuracy_change)
    assert rl.accuracy_change_interval == (-1.0, 1.0) and not rl.pareto
    told = rl.to_dict()
    assert told["accuracy"] is None and json.loads(json.dumps(told, allow_nan=False)) == told
    assert math.isnan(Point.from_dict(told).accuracy)


def test_sampled_responses_are_averaged_by_problem():
    first = answers("+-", 10, sample=1) + answers("++", [10, 30], sample=2)
    long, rl = trade_off({"long": answers("--", 20, sample=1), "rl": first}, "long")
    assert (rl.decoding, rl.problems, rl.responses, rl.accuracy, rl.mean_tokens) == ("sampled", 2, 4, 0.75, 15.0)
    assert rl.accuracy_interval == clustered_interval([1.0, 0.5], 4)
    assert rl.accuracy_change == 0.75 and rl.tokens_change == -0.25
    assert long.responses == 2


def test_greedy_responses_come_first_unless_sampled_ones_are_asked_for():
    both = answers("+", 10) + answers("-", 20, sample=1)
    assert trade_off({"long": both}, "long")[0].accuracy == 1.0
    assert trade_off({"long": both}, "long", sampled=True)[0].accuracy == 0.0


def test_all_models_are_told_by_one_decoding():
    both = answers("+", 10) + answers("-", 20, sample=1)
    found = trade_off({"long": both, "rl": answers("+", 5, sample=1)}, "long")
    assert [(p.decoding, p.accuracy) for p in found] == [("sampled", 0.0), ("sampled", 1.0)]


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ({"rl": answers("+", 1)}, "the reference 'long' is none of the models measured: rl"),
        ({"long": answers("++", 1), "rl": answers("+", 1)}, "1 were asked of one of them alone, such as 'p1'"),
        ({"long": answers("+", 1), "rl": []}, "model 'long' has no sampled responses"),
        ({"long": []}, "model 'long' has no sampled responses"),
    ],
)
def test_what_cannot_be_compared_is_refused(measured, words):
    with pytest.raises(ValueError, match=words):
        trade_off(measured, "long")


def test_sampled_ones_that_are_asked_for_must_be_there():
    with pytest.raises(ValueError, match="has no sampled responses"):
        trade_off({"long": answers("+", 1)}, "long", sampled=True)


def test_the_front_holds_ties_and_no_one_that_is_beaten():
    found = points_of(
        long=("++++", 40),
        same=("++++", 40),
        slower=("++++", 41),
        shorter=("+++-", 20),
        worse=("++--", 20),
        twin=("+++-", 20),
        shortest=("----", 1),
    )
    assert [p.name for p in found if p.pareto] == ["long", "same", "shorter", "twin", "shortest"]


def test_a_point_comes_back_from_json():
    for point in points_of(long=("+-", [3, 5]), rl=("++", [2, 3])):
        assert Point.from_dict(json.loads(json.dumps(point.to_dict()))) == point


def test_a_point_that_lacks_a_figure_is_refused():
    value = points_of(long=("+-", [3, 5]))[0].to_dict()
    with pytest.raises(KeyError):
        Point.from_dict({name: found for name, found in value.items() if name != "mean_tokens"})
    with pytest.raises(ValueError, match="unpack"):
        Point.from_dict(value | {"tokens_interval": [1]})


def test_there_is_an_order_by_each():
    found = points_of(long=("+++-", 40), dpo=("++++", 30), merge=("+---", 20), broken=("!!!!", 10))
    assert order(found, "accuracy") == ["dpo", "long", "merge", "broken"]
    assert order(found, "tokens") == ["broken", "merge", "dpo", "long"]


def test_the_order_is_told_in_sentences():
    long = "+" * 60 + "-" * 20
    found = points_of(long=(long, 40), rl=(long, 20), dpo=("+" * 80, 30), shortest=("-" * 80, 10))
    tokens, accuracy, losses, front, math500, aime = told_order(found)
    assert tokens.endswith("shortest (−75%), rl (−50%), dpo (−25%).")
    assert accuracy.endswith("dpo (+25), rl (0), shortest (−75).")
    assert losses.endswith("more accurate: dpo; not told apart from it: rl; less accurate: shortest.")
    assert front.endswith("shortest, rl, dpo.")
    # Of the paper's pairs here (shortest, dpo), (shortest, rl) and (dpo, rl), the last is the other way round.
    assert (
        "The paper on MATH500: fewest tokens first shortest, dpo, rl (2 of 3 pairs the same way round here)" in math500
    )
    assert "most accurate first rl, dpo, shortest (2 of 3 pairs the same way round here)." in math500
    assert aime.startswith("The paper on AIME 2024")


def test_an_order_as_in_the_paper_is_told_as_such():
    found = points_of(long=("++++", 40), rl=("+++-", 30), shortest=("----", 10))
    assert told_order(found)[4].count("(the same order here)") == 2


def test_a_tie_is_not_the_papers_order():
    found = points_of(long=("++++", 40), rl=("+++-", 10), shortest=("+++-", 10))
    assert told_order(found)[4].count("(0 of 1 pairs the same way round here)") == 2


def test_without_methods_of_the_paper_there_is_nothing_to_set_beside_it():
    assert told_order(points_of(long=("+", 40))) == []
    assert len(told_order(points_of(long=("++", 40), mine=("++", 30), rl=("++", 20)))) == 4


@pytest.mark.parametrize(
    ("change", "points", "share"),
    [
        (-0.352, "−35.2", "−35.2%"),
        (0.01, "+1", "+1%"),
        (0.0, "0", "0%"),
        (-0.0001, "0", "0%"),
        (math.nan, "–", "–"),
    ],
)
def test_changes_are_told_with_their_sign(change, points, share):
    assert (signed_points(change), signed_percent(change)) == (points, share)


def test_the_papers_methods_cost_accuracy_and_save_tokens():
    for found in PAPER.values():
        long = found["long"]
        assert all(0 < p.accuracy < 1 and p.tokens <= long.tokens for p in found.values())
