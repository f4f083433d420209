"""Which problems are drawn, and what is remembered of them."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from perilune.config import SamplingConfig
from perilune.errors import ProblemsError
from perilune.rl.sampler import ProblemSampler
from perilune.types import Message, Problem


def problems(count: int) -> list[Problem]:
    return [Problem(f"p{n}", (Message("user", str(n)),), "1", difficulty=float(n)) for n in range(count)]


def sampler(count: int = 20, seed: int = 0, **settings: object) -> ProblemSampler:
    return ProblemSampler(problems(count), SamplingConfig.model_validate(settings), seed)


def ids(drawn: list[Problem]) -> list[str]:
    return [problem.id for problem in drawn]


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
        chosen.observe(f"p{n}", 1.0)
    for iteration in range(30):
        assert set(ids(chosen.draw(iteration, 3))) == {"p7", "p8", "p9"}


def test_prioritized_draws_in_proportion_to_failure() -> None:
    chosen = sampler(2, decay=1.0)
    chosen.observe("p0", 0.75)
    chosen.observe("p1", 0.25)
    counts = Counter(chosen.draw(iteration, 1)[0].id for iteration in range(2000))
    # Weights 0.25 and 0.75: expected 1500, standard deviation below 20.
    assert abs(counts["p1"] - 1500) < 100


def test_uniform_does_not_look_at_success() -> None:
    chosen = sampler(4, strategy="uniform", decay=1.0)
    chosen.observe("p0", 1.0)
    assert any("p0" in ids(chosen.draw(iteration, 1)) for iteration in range(40))


def test_where_all_are_solved_it_goes_on() -> None:
    chosen = sampler(3, decay=1.0)
    for n in range(3):
        chosen.observe(f"p{n}", 1.0)
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
    chosen.observe("p1", 1.0)
    chosen.observe("p1", 0.0)
    chosen.observe("someone else's", 1.0)
    # 0.5 → 0.625 → 0.46875
    assert chosen.state() == {"p1": 0.46875}


def test_its_state_survives_json_and_forgets_what_is_gone() -> None:
    chosen = sampler(10, decay=0.3)
    for n in range(5):
        chosen.observe(f"p{n}", n / 7)
    state = json.loads(json.dumps(chosen.state()))
    restored = sampler(10, decay=0.3)
    restored.restore(state)
    assert restored.state() == chosen.state()
    assert [ids(restored.draw(i, 4)) for i in range(5)] == [ids(chosen.draw(i, 4)) for i in range(5)]
    fewer = sampler(2, decay=0.3)
    fewer.restore(state)
    assert set(fewer.state()) == {"p0", "p1"}


def test_without_problems_it_says_where_to_look() -> None:
    with pytest.raises(ProblemsError, match=r"no training problems .* check problems\.train"):
        sampler(0)
