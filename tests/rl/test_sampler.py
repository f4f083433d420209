"""Which problems are drawn, and what is remembered of them."""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from plain_sampler import PlainSampler

from perilune.errors import ProblemsError
from perilune.recipe.training import SamplingConfig
from perilune.rl.sampler import Draw, ProblemSampler
from perilune.run.buffer import ReplayBuffer
from perilune.run.observations import Observation, Observations
from perilune.types import Message, Problem


def problems(count: int) -> list[Problem]:
    return [Problem(f"p{n}", (Message("user", str(n)),), "1", difficulty=float(n)) for n in range(count)]


def sampler(count: int = 20, seed: int = 0, **settings: object) -> ProblemSampler:
    return ProblemSampler(problems(count), SamplingConfig.model_validate(settings), seed)


def tagged(*tags: str, **settings: object) -> ProblemSampler:
    pool = [replace(problem, tags=(tag,) if tag else ()) for problem, tag in zip(problems(99), tags, strict=False)]
    return ProblemSampler(pool, SamplingConfig.model_validate(settings), 0)


def ids(drawn: list[Draw]) -> list[str]:
    return [draw.problem for draw in drawn]


def test_a_draw_depends_on_seed_and_iteration_alone() -> None:
    one, other = sampler(), sampler()
    one.draw(0, 5)
    assert ids(one.draw(1, 5)) == ids(other.draw(1, 5))
    assert ids(one.draw(1, 5)) != ids(one.draw(2, 5))
    assert ids(one.draw(1, 5)) != ids(sampler(seed=1).draw(1, 5))


def test_a_draw_repeats_no_problem_while_others_remain() -> None:
    for iteration in range(30):
        assert len(set(ids(sampler(6).draw(iteration, 6)))) == 6


def test_prioritized_leaves_solved_problems_out() -> None:
    chosen = sampler(10, decay=1.0)
    for n in range(7):
        chosen.observe(f"p{n}", 1.0, 0)
    for iteration in range(30):
        assert set(ids(chosen.draw(iteration, 3))) == {"p7", "p8", "p9"}


def test_prioritized_draws_in_proportion_to_failure() -> None:
    chosen = sampler(2, decay=1.0)
    chosen.observe("p0", 0.75, 0)
    chosen.observe("p1", 0.25, 0)
    counts = Counter(chosen.draw(iteration, 1)[0].problem for iteration in range(2000))
    # Weights 0.25 and 0.75: expected 1500, standard deviation below 20.
    assert abs(counts["p1"] - 1500) < 100


def test_uniform_does_not_look_at_success() -> None:
    chosen = sampler(4, strategy="uniform", decay=1.0)
    chosen.observe("p0", 1.0, 0)
    assert any("p0" in ids(chosen.draw(iteration, 1)) for iteration in range(40))


def test_where_all_are_solved_it_goes_on() -> None:
    chosen = sampler(3, decay=1.0)
    for n in range(3):
        chosen.observe(f"p{n}", 1.0, 0)
    assert sorted(ids(chosen.draw(0, 3))) == ["p0", "p1", "p2"]


def test_busy_problems_are_avoided_while_others_remain() -> None:
    chosen = sampler(6)
    busy = {"p0", "p2", "p4"}
    for iteration in range(20):
        assert not busy & set(ids(chosen.draw(iteration, 3, busy)))
    assert len(chosen.draw(0, 2, {f"p{n}" for n in range(6)})) == 2


def test_the_curriculum_limits_the_draw() -> None:
    chosen = sampler(10, curriculum="staged", curriculum_iteration=5, hard_share=0.3)
    early = {name for iteration in range(5) for name in ids(chosen.draw(iteration, 3))}
    late = {name for iteration in range(5, 30) for name in ids(chosen.draw(iteration, 3))}
    assert late == {"p7", "p8", "p9"}
    assert early - late


def test_success_is_a_moving_average() -> None:
    chosen = sampler(3, prior_success=0.5, decay=0.25)
    # 0.5 → 0.625 → 0.46875
    assert chosen.observe("p1", 1.0, 2) == Observation("p1", 0.625, 2)
    assert chosen.observe("p1", 0.0, 7) == Observation("p1", 0.46875, 7)
    assert chosen.observe("someone else's", 1.0, 7) is None


def test_success_that_is_not_seen_fades_to_its_prior() -> None:
    chosen = sampler(3, strategy="uniform", prior_success=0.5, decay=1.0, half_life=2.0)
    chosen.observe("p1", 1.0, 4)

    def tracked(iteration: int) -> float:
        return {draw.problem: draw.success for draw in chosen.draw(iteration, 3)}["p1"]

    # 0.5 of the distance is left after 2 iterations, a quarter after 4.
    assert [tracked(iteration) for iteration in (4, 6, 8)] == [1.0, 0.75, 0.625]
    # A new group is averaged with what has faded.
    half = sampler(3, prior_success=0.5, decay=0.5, half_life=2.0)
    half.observe("p1", 1.0, 0)
    # 0.75, faded to 0.625, then halved
    assert half.observe("p1", 0.0, 2) == Observation("p1", 0.3125, 2)


def test_a_solved_problem_is_tried_again_once_it_has_faded() -> None:
    chosen, firm = sampler(2, decay=1.0, half_life=3.0), sampler(2, decay=1.0)
    for one in (chosen, firm):
        one.observe("p0", 1.0, 0)
    assert not any("p0" in ids(firm.draw(iteration, 1)) for iteration in range(60))
    # From far away the two are equals again.
    counts = Counter(chosen.draw(iteration, 1)[0].problem for iteration in range(100, 1100))
    assert abs(counts["p0"] - 500) < 70


def test_the_prior_is_the_pass_rate_that_was_measured() -> None:
    pool = [replace(problem, pass_rate=rate) for problem, rate in zip(problems(3), (0.25, None, 1.0), strict=True)]
    chosen = ProblemSampler(pool, SamplingConfig(prior_success=0.5), 0)
    found = {draw.problem: (draw.success, draw.probability) for draw in chosen.draw(0, 2)}
    # Failure rates 0.75, 0.5 and 0: what was always solved is not drawn.
    assert found == {"p0": (0.25, pytest.approx(0.6)), "p1": (0.5, pytest.approx(0.4))}
    assert chosen.observe("p0", 1.0, 0) == Observation("p0", 0.625, 0)


def test_tags_have_the_same_share_whatever_their_count() -> None:
    chosen = tagged(*["algebra"] * 8, "geometry", "", strategy="uniform", balance_tags=True)
    counts = Counter(chosen.draw(iteration, 1)[0].tag for iteration in range(1500))
    # 500 each, standard deviation below 19.
    assert all(abs(counts[tag] - 500) < 80 for tag in ("algebra", "geometry", ""))
    (one,) = [draw for draw in chosen.draw(0, 10) if draw.tag == "geometry"]
    assert (one.probability, one.strategy) == (pytest.approx(1 / 3), "uniform, by tag")


def test_bands_lead_the_curriculum() -> None:
    bands = {"medium_difficulty": 4.0, "hard_difficulty": 7.0}
    staged = sampler(10, curriculum="staged", curriculum_iteration=3, **bands)
    assert {name for i in range(3, 30) for name in ids(staged.draw(i, 2))} == {"p7", "p8", "p9"}
    gradual = sampler(10, curriculum="gradual", curriculum_iteration=4, **bands)
    found = [
        {
            draw.band
            for seed in range(20)
            for draw in sampler(10, seed, curriculum="gradual", curriculum_iteration=4, **bands).draw(i, 4)
        }
        for i in range(5)
    ]
    assert found == [{"easy"}] * 2 + [{"easy", "medium"}] * 2 + [{"easy", "medium", "hard"}]
    assert [gradual.draw(i, 1)[0].stage for i in range(5)] == ["easy", "easy", "medium", "medium", "all"]


def test_a_draw_says_why() -> None:
    chosen = sampler(4, decay=1.0, curriculum="staged", curriculum_iteration=5, hard_difficulty=2.0)
    chosen.observe("p3", 0.75, 0)
    drawn = {draw.problem: draw for draw in chosen.draw(6, 2)}
    # Of p2 and p3 alone; failure rates 0.5 and 0.25.
    assert drawn["p3"] == Draw(
        iteration=6,
        problem="p3",
        tag="",
        band="hard",
        difficulty=3.0,
        success=0.75,
        probability=pytest.approx(1 / 3),
        allowed=0.5,
        stage="hard",
        strategy="prioritized",
    )
    assert drawn["p2"].probability == pytest.approx(2 / 3)
    (alone,) = chosen.draw(6, 1, {"p2"})
    assert (alone.problem, alone.probability) == ("p3", 1.0)
    (again,) = chosen.draw(6, 1, {"p2", "p3"})
    assert (again.band, again.strategy) == ("hard", "prioritized, under way")
    assert sampler(4).draw(0, 1)[0].band is None


def test_problems_without_a_difficulty_are_in_no_band() -> None:
    pool = [*problems(3), replace(problems(1)[0], id="bare", difficulty=None)]
    chosen = ProblemSampler(pool, SamplingConfig(curriculum="staged", curriculum_iteration=1, hard_difficulty=2.0), 0)
    assert {(draw.problem, draw.band) for draw in chosen.draw(1, 2)} == {("p2", "hard"), ("bare", "unknown")}


def test_medium_without_hard_is_refused() -> None:
    for hard in (None, 1.0):
        with pytest.raises(ValueError, match=r"medium_difficulty = 2\.0 needs a hard_difficulty that is not less"):
            SamplingConfig(medium_difficulty=2.0, hard_difficulty=hard)


def test_what_it_has_observed_survives_the_file_and_it_forgets_what_is_gone(tmp_path: Path) -> None:
    settings = {"decay": 0.3, "half_life": 1.7}
    chosen = sampler(10, **settings)
    observed = [chosen.observe(f"p{n % 4}", n / 7, n) for n in range(6)]
    restored, fewer = sampler(10, **settings), sampler(2, **settings)
    with closing(ReplayBuffer(tmp_path / "b")) as buffer:
        kept = Observations(buffer)
        kept.add(each for each in observed if each is not None)
        restored.restore(kept)
        fewer.restore(kept)
    assert [restored.draw(i, 4) for i in range(6, 11)] == [chosen.draw(i, 4) for i in range(6, 11)]
    tracked = {draw.problem: draw.success for draw in chosen.draw(6, 10)}
    assert {draw.problem: draw.success for draw in fewer.draw(6, 2)} == {name: tracked[name] for name in ("p0", "p1")}


def pool_of(size: int, rng: Random) -> list[Problem]:
    tags = [f"t{number}" for number in range(rng.choice((1, 3, size // 2, size)))]
    levels = rng.choice(([1.0, 2.0, 3.0], [rng.random() for _ in range(size)]))
    return [
        replace(
            problem,
            tags=rng.choice(((), (rng.choice(tags), "more"))),
            difficulty=rng.choice((None, *rng.choices(levels, k=4))),
            pass_rate=rng.choice((None, rng.random(), 1.0)),
        )
        for problem in problems(size)
    ]


SETTINGS = list(itertools.product(("uniform", "prioritized"), ("none", "staged", "gradual"), (False, True)))


@pytest.mark.parametrize("size", [10, 100, 1000, 10_000])
@pytest.mark.parametrize(("strategy", "curriculum", "balance_tags"), SETTINGS)
def test_draws_are_those_of_the_plain_way(size: int, strategy: str, curriculum: str, balance_tags: bool) -> None:
    rng = Random(f"{size}/{strategy}/{curriculum}/{balance_tags}")
    for trial, (half_life, bands) in enumerate(itertools.product((None, 2.5), ({}, {"hard_difficulty": 2.5}))):
        pool = pool_of(size, rng)
        config = SamplingConfig.model_validate(
            {"strategy": strategy, "curriculum": curriculum, "balance_tags": balance_tags, "half_life": half_life}
            | {"curriculum_iteration": 4, "hard_share": rng.random(), "decay": rng.choice((0.3, 1.0))}
            | bands
        )
        fast, plain = ProblemSampler(pool, config, trial), PlainSampler(pool, config, trial)
        busy: set[str] = set()
        for iteration in range(7):
            count = rng.choice((1, 7, 64, size + 3 if size < 1000 else size // 3))
            drawn = fast.draw(iteration, count, busy)
            expected = plain.draw(iteration, count, busy)
            assert [(d.problem, d.success, d.probability, d.allowed) for d in drawn] == expected
            busy = {each.problem for each in drawn if rng.random() < 0.3}
            for name in {each.problem for each in drawn}:
                rate = rng.choice((0.0, 0.125, 1.0, 1.0))
                fast.observe(name, rate, iteration)
                plain.observe(int(name[1:]), rate, iteration)


def test_without_problems_it_says_where_to_look() -> None:
    with pytest.raises(ProblemsError, match=r"no training problems .* check problems\.train"):
        sampler(0)
