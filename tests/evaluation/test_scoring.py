import itertools
import json
import math

import numpy as np
import pytest

from perilune.evaluation.scoring import clustered_interval, pass_at_k, summarize, wilson_interval
from perilune.types import Grade, Message, Problem, ScoredResponse, Stop, Verdict


def response(problem="p", verdict=Verdict.RIGHT, sample=0, tokens=10, stop=Stop.ENDED, tags=(), difficulty=None):
    score = float(verdict is Verdict.RIGHT)
    asked = Problem(problem, (Message("user", "?"),), "1", tags=tags, difficulty=difficulty)
    return ScoredResponse(asked, "text", tokens, stop, Grade(verdict, score), sample)


@pytest.mark.parametrize(("n", "c"), [(1, 0), (1, 1), (5, 0), (5, 2), (6, 3), (6, 6)])
def test_pass_at_k_is_the_share_of_all_draws_of_k_that_hold_a_right_one(n, c):
    outcomes = [True] * c + [False] * (n - c)
    for k in range(1, n + 1):
        draws = list(itertools.combinations(outcomes, k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(any(draw) for draw in draws) / len(draws))


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4)])
def test_pass_at_k_refuses_impossible_counts(n, c, k):
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


def test_wilson_agrees_with_the_root_of_its_own_equation():
    # The ends are the shares p at which |share - p| = z sqrt(p (1 - p) / n).
    low, high = wilson_interval(7, 20)
    for end in (low, high):
        assert abs(7 / 20 - end) == pytest.approx(1.96 * math.sqrt(end * (1 - end) / 20))
    assert low < 7 / 20 < high


def test_wilson_at_the_borders():
    assert wilson_interval(0, 10) == pytest.approx((0.0, 1.96**2 / (10 + 1.96**2)))
    assert wilson_interval(10, 10) == pytest.approx((10 / (10 + 1.96**2), 1.0))
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_clustered_interval_with_one_sample_a_problem_is_about_wilsons():
    rates = [1.0] * 30 + [0.0] * 70
    assert clustered_interval(rates, 100) == pytest.approx(wilson_interval(30, 100), abs=2e-3)


def test_clustered_interval_counts_what_the_samples_of_a_problem_have_in_common():
    alike = clustered_interval([1.0, 0.0] * 10, 160)
    independent = clustered_interval([0.5] * 20, 160)
    assert alike == pytest.approx(wilson_interval(10, 20), abs=1e-9)
    assert independent == pytest.approx(wilson_interval(80, 160))


def test_clustered_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        chances = rng.beta(0.5, 0.5, size=40)  # most problems are nearly always or nearly never solved
        rates = rng.binomial(8, chances) / 8
        low, high = clustered_interval(rates.tolist(), 320)
        hits += low <= 0.5 <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_clustered_interval_is_wide_where_everything_agrees():
    assert clustered_interval([1.0] * 5, 40) == wilson_interval(5, 5)
    assert clustered_interval([0.5], 8) == pytest.approx(wilson_interval(0.5, 1))
    assert clustered_interval([], 0) == (0.0, 1.0)


def test_errors_are_counted_and_are_not_wrong():
    summary = summarize(
        [response("a"), response("b", Verdict.WRONG), response("c", Verdict.ERROR), response("d", Verdict.RIGHT)]
    )
    assert summary.accuracy == pytest.approx(2 / 3)
    assert summary.accuracy_interval == wilson_interval(2, 3)
    assert (summary.errors, summary.problems, summary.responses) == (1, 4, 4)
    assert summary.decoding == "greedy"
    assert summary.sampled_accuracy is None and summary.pass_at_k is None


def test_greedy_and_sampled_are_kept_apart():
    sampled = [
        response("a", Verdict.RIGHT if i < 1 else Verdict.WRONG, sample=i + 1, tokens=50, stop=Stop.LIMIT)
        for i in range(4)
    ]
    sampled += [response("b", sample=i + 1, tokens=50, stop=Stop.LIMIT) for i in range(4)]
    summary = summarize([response("a", Verdict.WRONG, tokens=8), response("b", Verdict.WRONG, tokens=12), *sampled])
    assert summary.accuracy == 0.0
    assert summary.mean_tokens == 10 and summary.stops == {"ended": 1.0}
    assert summary.sampled_accuracy == pytest.approx((0.25 + 1.0) / 2)
    assert summary.sampled_mean_tokens == 50
    assert summary.pass_at_k == pytest.approx({1: 0.625, 2: (0.5 + 1) / 2, 4: 1.0})


def test_sampled_alone_is_the_headline():
    summary = summarize([response("a", sample=1), response("a", Verdict.WRONG, sample=2)])
    assert (summary.decoding, summary.accuracy) == ("sampled", 0.5)
    assert summary.accuracy_interval == summary.sampled_interval


def test_pass_at_k_leaves_out_problems_with_too_few_graded_samples():
    found = [response("a", Verdict.WRONG, sample=i) for i in (1, 2, 3, 4)]
    found += [response("b", Verdict.ERROR if i < 3 else Verdict.RIGHT, sample=i) for i in (1, 2, 3, 4)]
    assert summarize(found).pass_at_k == {1: 0.5, 2: 0.5, 4: 0.0}
    assert summarize(found, ks=(3, 8)).pass_at_k == {3: 0.0}


def test_breakdown_by_tag_and_by_few_difficulties():
    summary = summarize(
        [
            response("a", tags=("sum",), difficulty=10.0, tokens=20),
            response("b", Verdict.WRONG, tags=("sum", "long"), difficulty=2.0, tokens=10),
            response("c", Verdict.ERROR, tags=("long",), tokens=30),
        ]
    )
    assert list(summary.by_tag) == ["long", "sum"]
    assert (summary.by_tag["long"].count, summary.by_tag["long"].accuracy) == (2, 0.0)
    assert (summary.by_tag["sum"].accuracy, summary.by_tag["sum"].mean_tokens) == (0.5, 15)
    assert list(summary.by_difficulty) == ["2", "10"]


def test_many_difficulties_become_quarters_of_the_problems():
    summary = summarize([response(str(i), difficulty=float(i)) for i in range(20)])
    assert {label: part.count for label, part in summary.by_difficulty.items()} == {
        "0 to 4": 5,
        "5 to 9": 5,
        "10 to 14": 5,
        "15 to 19": 5,
    }


def test_equal_difficulties_stay_together():
    difficulties = [1.0] * 15 + [float(i) for i in range(2, 12)]
    summary = summarize([response(str(i), difficulty=d) for i, d in enumerate(difficulties)])
    # The quarters of 25 problems begin at the 1st, 7th, 13th and 19th: at difficulty 1, 1, 1 and 5.
    assert {label: part.count for label, part in summary.by_difficulty.items()} == {"1 to 4": 18, "5 to 11": 7}


def test_nothing_graded_is_nan_and_null_in_json():
    summary = summarize([response(verdict=Verdict.ERROR)])
    assert math.isnan(summary.accuracy) and summary.accuracy_interval == (0.0, 1.0)
    told = summary.to_dict()
    assert told["accuracy"] is None
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert summarize([]).problems == 0
