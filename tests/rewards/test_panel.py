import textwrap
from pathlib import Path

import numpy as np
import pytest

from perilune.errors import RewardError
from perilune.recipe.reward_names import joined
from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.panel import Panel, as_grade
from perilune.rewards.pool import GradingPool
from perilune.types import Explanation, Grade, GradeRequest, Message, Problem, Verdict

OWN = textwrap.dedent(
    """
    import os

    from beside import half
    from perilune.types import Grade, Verdict

    def short(problem, response, stop):
        return 1 / (1 + len(response) // 10)

    def polite(problem, response, stop):
        return "please" in response

    def column(problem, response, stop):
        return problem.columns["level"] == 3 and problem.columns["when"] == "2024-05-01" and len(problem.columns) == 4

    def helped(problem, response, stop):
        return half()

    def broken(problem, response, stop):
        raise RuntimeError("no network")

    def endless(problem, response, stop):
        while True:
            pass

    def where(problem, response, stop):
        return Grade(Verdict.RIGHT, 1.0, f"{os.getcwd()} {__file__}")
    """
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "my rewards"
    folder.mkdir()
    (folder / "my own.py").write_text(OWN)
    (folder / "beside.py").write_text("def half():\n    return 0.5\n")
    return folder


def asked(reward: str, response: str = "Answer: 18", row: str = "") -> GradeRequest:
    return GradeRequest("x", Problem("p", (Message("user", "?"),), "18", reward, row=row), response)


def config(files: Path, **changes: float) -> RewardsConfig:
    return RewardsConfig(files={"my own.py": str(files / "my own.py")}, **changes)


@pytest.mark.parametrize(
    ("returned", "verdict", "score"),
    [
        (True, Verdict.RIGHT, 1.0),
        (False, Verdict.WRONG, 0.0),
        (1, Verdict.RIGHT, 1.0),
        (0.999, Verdict.WRONG, 0.999),
        (0, Verdict.WRONG, 0.0),
        (np.float32(0.5), Verdict.WRONG, 0.5),
        (np.bool_(True), Verdict.RIGHT, 1.0),
        (np.array([1.0]), Verdict.RIGHT, 1.0),
        (Grade(Verdict.RIGHT, 0.75, "fine"), Verdict.RIGHT, 0.75),
    ],
)
def test_a_reward_may_return_a_number_a_bool_or_a_grade(returned: object, verdict: Verdict, score: float) -> None:
    grade = as_grade(returned)
    assert (grade.verdict, grade.score) == (verdict, pytest.approx(score))


@pytest.mark.parametrize("returned", [None, "right", (1.0,), float("nan"), -0.1, 1.5, 1j, {"score": 1.0}])
def test_anything_else_is_an_error(returned: object) -> None:
    grade = as_grade(returned)
    assert grade.verdict is Verdict.ERROR
    assert "the reward " in grade.detail


def test_a_reward_in_a_file_is_found_with_what_it_imports_from_beside_it(files: Path) -> None:
    assert Panel("my own.py:short", config(files)).answer(asked("")) == Grade(Verdict.WRONG, 0.5)
    assert Panel("my own.py:polite", config(files)).answer(asked("", "yes please")) == Grade(Verdict.RIGHT, 1.0)
    assert Panel("my own.py:helped", config(files)).answer(asked("")) == Grade(Verdict.WRONG, 0.5)
    in_full = Panel(f"{files / 'my own.py'}:polite", RewardsConfig())
    assert in_full.answer(asked("", "please")) == Grade(Verdict.RIGHT, 1.0)


def test_a_reward_sees_every_column_of_its_row(files: Path) -> None:
    row = '{"question": "?", "answer": "18", "level": 3, "when": "2024-05-01"}'
    with GradingPool(config(files)) as pool:
        pool.submit(asked("my own.py:column", row=row))
        assert pool.drain() == [("x", Grade(Verdict.RIGHT, 1.0))]
    assert Problem("p", (), "18").columns == {}


def test_several_rewards_are_summed_by_weight_and_the_first_says_what_is_right(files: Path) -> None:
    reward = joined({"math": 9, "my own.py:short": 1})
    with GradingPool(config(files)) as pool:
        pool.submit(asked(reward, "please, Answer: 18"))
        ((_, right),) = pool.drain()
        pool.submit(asked(reward, "Answer: 19"))
        ((_, wrong),) = pool.drain()
    assert right == Grade(Verdict.RIGHT, pytest.approx(0.95), "18", (("math", 1.0), ("my own.py:short", 0.5)))
    assert wrong == Grade(Verdict.WRONG, pytest.approx(0.05), "19", (("math", 0.0), ("my own.py:short", 0.5)))
    style_first = Panel(joined({"my own.py:polite": 0.5, "math": 0.5}), config(files))
    assert style_first.answer(asked("", "Answer: 18")) == Grade(
        Verdict.WRONG, 0.5, "", (("my own.py:polite", 0.0), ("math", 1.0))
    )


def test_an_error_of_one_is_an_error_of_all_and_says_whose(files: Path) -> None:
    grade = Panel(joined({"math": 1, "my own.py:broken": 1}), config(files)).answer(asked(""))
    assert grade == Grade(Verdict.ERROR, 0.0, "my own.py:broken: RuntimeError: no network")


def test_each_of_several_has_its_own_bounds(files: Path) -> None:
    with GradingPool(config(files, cpu_seconds=0.5, timeout_seconds=600)) as pool:
        pool.submit(asked(joined({"math": 1, "my own.py:endless": 1})))
        ((_, grade),) = pool.drain()
        assert (grade.verdict, pool.stats.over_limit) == (Verdict.WRONG, 1)


def test_references_are_read_by_all_and_explained_by_the_first(files: Path) -> None:
    panel = Panel(joined({"my own.py:polite": 1, "math": 1}), config(files))
    unreadable = Problem("p", (Message("user", "?"),), "x" * 5000)
    found = panel.answer(GradeRequest("x", unreadable, "", ask="reference"))
    assert isinstance(found, Grade)
    assert found.verdict is Verdict.WRONG
    assert found.detail.startswith("math: ")
    explained = Panel(joined({"math": 1, "my own.py:polite": 1}), config(files)).answer(
        GradeRequest("x", Problem("p", (Message("user", "?"),), "18"), "Answer: 18", ask="explanation")
    )
    assert isinstance(explained, Explanation)
    assert explained.grade.parts == (("math", 1.0), ("my own.py:polite", 0.0))
    assert explained.found == "18"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def score(:\n", "SyntaxError"),
        ("import no_such_module_of_mine\n", "No module named 'no_such_module_of_mine'"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("def scores(problem, response, stop):\n    return 1\n", "no attribute score; did you mean scores?"),
        ("score = 3\n", "it is a int, not a callable"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(RewardError, match=r"reward 'mine\.py:score'") as raised:
        Panel("mine.py:score", RewardsConfig(files={"mine.py": str(path)}))
    assert told in str(raised.value)
