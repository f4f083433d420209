"""References that a reward cannot read are found in the grading workers, and grades come with how they came about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perilune.errors import RewardError
from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.pool import GradingPool
from perilune.rewards.references import find_unreadable
from perilune.types import GradeRequest, Message, Problem, Verdict

OWN = """
import os, sys
from perilune.types import Explanation, Grade, Verdict

class Picky:
    def __call__(self, problem, response, stop):
        return Grade(Verdict.RIGHT, 1.0, "called")

    def check_reference(self, problem):
        if problem.answer == "die":
            os._exit(3)
        if problem.answer == "fail":
            raise RuntimeError("no such table")
        if "?" in problem.answer or "?" in problem.text:
            raise ValueError("a question mark")

    def explain(self, problem, response, stop):
        if response == "fail":
            raise RuntimeError("cannot tell")
        if response == "nothing":
            return None
        where = "torch" if "torch" in sys.modules else str(os.getpid())
        return Explanation(self(problem, response, stop), found=response, where=where, rule="a rule " * 200)

picky = Picky()

def plain(problem, response, stop):
    return Grade(Verdict.WRONG, 0.0, "plain")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reading_rewards.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))


def problem(name: str, answer: str, reward: str = "math", question: str = "say") -> Problem:
    return Problem(name, (Message("user", question),), answer, reward)


def quiet(done: int, total: int) -> None:
    pass


def test_each_is_named_with_why_in_the_order_of_the_problems() -> None:
    problems = [
        problem("a", "18"),
        problem("b\n", "???"),
        problem("c", r"\frac{1}{2}"),
        problem("d", ""),
        problem("f", json.dumps({"numbers": [1, 2], "target": 3}), "countdown"),
        problem("e", "{}", "code"),
        problem("g", json.dumps({"cases": [{"input": "1", "output": "1"}]}), "code"),
        problem("h", "whatever", "format"),
        problem("i", "???"),
    ]
    told: list[tuple[int, int]] = []
    with GradingPool(RewardsConfig(timeout_seconds=200)) as pool:
        found = find_unreadable(problems, pool, lambda *progress: told.append(progress))
        # Equal answers were asked about once.
        assert pool.stats.graded == len(problems) - 1
    assert [fault.id for fault in found] == ["b\n", "d", "e", "i"]
    assert all(fault.why for fault in found)
    assert found[0].why == found[-1].why and "???" in found[0].why
    assert told[-1] == (9, 9)


@pytest.mark.usefixtures("own")
def test_a_reward_of_the_users_own_is_asked_about_each_problem() -> None:
    reward = "reading_rewards:picky"
    problems = [
        problem("a", "1", reward),
        problem("b", "1", reward, question="say?"),
        problem("c", "die", reward),
        problem("d", "fail", reward),
        problem("e", "2", "reading_rewards:plain"),
    ]
    with GradingPool(RewardsConfig(retries=0)) as pool:
        found = {fault.id: fault.why for fault in find_unreadable(problems, pool, quiet)}
    assert set(found) == {"b", "c", "d"}
    assert found["b"] == "a question mark"
    assert "exit status 3" in found["c"]
    assert "RuntimeError: no such table" in found["d"]


def test_more_than_fit_at_once_and_none() -> None:
    problems = [problem(str(n), str(n) if n % 100 else "???" + "?" * n) for n in range(600)]
    told: list[tuple[int, int]] = []
    with GradingPool(RewardsConfig(workers=2)) as pool:
        found = find_unreadable(problems, pool, lambda *progress: told.append(progress))
        assert find_unreadable([], pool, quiet) == []
    assert [fault.id for fault in found] == ["0", "100", "200", "300", "400", "500"]
    assert len(told) > 1 and [done for done, _ in told] == sorted(done for done, _ in told) and told[-1] == (600, 600)


def test_an_unknown_reward_is_refused() -> None:
    with GradingPool(RewardsConfig()) as pool, pytest.raises(RewardError, match="unknown reward 'maths'"):
        find_unreadable([problem("a", "1", "maths")], pool, quiet)


def explained(pool: GradingPool, problem: Problem, response: str) -> tuple[Verdict, object]:
    pool.submit(GradeRequest("r", problem, response, ask="explanation"))
    ((_, grade),) = pool.drain()
    return grade.verdict, pool.explanation("r")


def test_an_explanation_says_what_was_found_and_how_it_was_read() -> None:
    with GradingPool(RewardsConfig()) as pool:
        pool.submit(GradeRequest("r", problem("a", r"\frac{1}{2}"), r"It is \boxed{0.5}.", ask="explanation"))
        ((_, grade),) = pool.drain()
        found = pool.explanation("r")
        assert found is not None and found.grade == grade and grade.verdict is Verdict.RIGHT
        assert found.found == "0.5" and "boxed" in found.where
        assert found.reference and found.answer and found.rule
        # It is told once, and only where it was asked for.
        assert pool.explanation("r") is None
        pool.submit(GradeRequest("r", problem("a", "2"), "2"))
        assert len(pool.drain()) == 1 and pool.explanation("r") is None


@pytest.mark.usefixtures("own")
def test_explanations_of_the_users_own() -> None:
    picky, plain = problem("a", "1", "reading_rewards:picky"), problem("a", "1", "reading_rewards:plain")
    with GradingPool(RewardsConfig(retries=0)) as pool:
        pool.submit(GradeRequest("r", picky, "two\nlines", ask="explanation"))
        pool.drain()
        found = pool.explanation("r")
        assert found is not None and found.found == "two\nlines" and found.where.isdecimal()
        assert len(found.rule) == 500
        verdict, told = explained(pool, plain, "x")
        assert verdict is Verdict.WRONG and getattr(told, "rule", None) == ""
        for response, why in (("fail", "cannot tell"), ("nothing", "NoneType")):
            pool.submit(GradeRequest("r", picky, response, ask="explanation"))
            ((_, grade),) = pool.drain()
            assert grade.verdict is Verdict.ERROR and why in grade.detail
