"""Rewards before and in a run, as a user sees them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from perilune.cli import main
from perilune.run.metrics import read_metrics
from perilune.run.opening import stored_recipe

OWN = """
import os
from beside import weight
from perilune.types import Grade, Verdict

def lenient(problem, response, stop):
    return sum(map(ord, response)) % 2 == 0

def short(problem, response, stop):
    return weight() / (1 + len(response))

def asks(problem, response, stop):
    if problem.columns["kind"] not in ("a", "b"):
        raise KeyError(problem.columns)
    return 1.0

def switched(problem, response, stop):
    if "MENDED" not in os.environ:
        with open(os.environ["CALLS"], "ab") as calls:
            calls.write(b".")
        if os.path.getsize(os.environ["CALLS"]) > 2:
            raise ConnectionError("the judge is out")
    return lenient(problem, response, stop)

def slow(problem, response, stop):
    while True:
        pass

def failing(problem, response, stop):
    return float(response)
"""


Command = Callable[..., tuple[int, str]]


@pytest.fixture
def perilune(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process; exit status and standard error."""

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return status, capsys.readouterr().err

    return run


def sets(*settings: str) -> list[str]:
    return [word for text in settings for word in ("--set", text)]


@pytest.fixture
def recipe(tiny_recipe: Path) -> Path:
    """One with a reward of its own in a folder beside it."""
    folder = tiny_recipe.parent / "my rewards"
    folder.mkdir()
    (folder / "own one.py").write_text(OWN)
    (folder / "beside.py").write_text("def weight():\n    return 1.0\n")
    return tiny_recipe


FILE = "my rewards/own one.py"
RL_ALONE = sets("stages=['rl']")


@pytest.mark.parametrize(
    ("reward", "told"),
    [
        ("mathe", "unknown reward 'mathe'; did you mean math"),
        ("no_such_module:score", "cannot import no_such_module"),
        ("stage_rewards:lenien", "no attribute lenien; did you mean lenient?"),
        ("nowhere.py:score", "there is no file nowhere.py beside the recipe"),
        (f"{FILE}:shorter", "no attribute shorter; did you mean short?"),
        (FILE, f"name the function in the file too: {FILE}:FUNCTION"),
        (f"{FILE}:failing", "ended in an error: ValueError: could not convert string to float"),
        (f"{FILE}:slow", "took more than 0.5 s of processor time (rewards.cpu_seconds)"),
    ],
)
def test_a_reward_that_cannot_work_is_refused_before_anything_runs(
    recipe: Path, perilune: Command, reward: str, told: str
) -> None:
    status, errors = perilune(
        "run", recipe, *sets(f"problems.train.reward={reward}", "rewards.cpu_seconds=0.5", "rewards.retries=0")
    )
    assert status == 2
    assert told in errors
    assert "Traceback" not in errors
    assert not (recipe.parent / "runs").exists()


def test_several_rewards_each_with_its_curve_and_a_file_that_is_kept(
    recipe: Path, perilune: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = recipe.read_text()
    reward = f'reward = {{"{FILE}:lenient" = 0.75, "{FILE}:short" = 0.25}}'
    recipe.write_text(text.replace('reward = "stage_rewards:lenient"', reward))
    folder = recipe.parent / "runs" / "tiny"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    status, errors = perilune("run", recipe, "--quiet", *RL_ALONE)
    assert (status, errors) == (0, "")
    first = [event for event in read_metrics(folder) if event["event"] == "iteration"]
    for event in first:
        right, short = event[f"reward/{FILE}:lenient"], event[f"reward/{FILE}:short"]
        assert right == event["solve_rate"]
        assert 0 < short < 1
        assert event["reward_mean"] == pytest.approx(0.75 * right + 0.25 * short)
    assert f"{FILE}:short" in (folder / "report.html").read_text()

    # What the run began with goes on with it, wherever it is and whatever has become of the file.
    shutil.rmtree(recipe.parent / "my rewards")
    moved = tmp_path / "moved" / "tiny"
    moved.parent.mkdir()
    folder.rename(moved)
    status, errors = perilune("resume", moved, "--quiet", *sets("rl.iterations=3"))
    assert (status, errors) == (0, "")
    kept = stored_recipe(moved).rewards.files[FILE]
    assert Path(kept).is_relative_to(moved / "rewards")
    assert (Path(kept).parent / "beside.py").exists()
    last = [event for event in read_metrics(moved) if event["event"] == "iteration"][-1]
    assert 0 < last[f"reward/{FILE}:short"] < 1


def test_a_file_that_has_changed_is_told_and_the_kept_one_goes_on(recipe: Path, perilune: Command) -> None:
    words = [*RL_ALONE, *sets(f"problems.train.reward={FILE}:lenient", "rl.iterations=1")]
    assert perilune("run", recipe, "--quiet", *words)[0] == 0
    (recipe.parent / "my rewards" / "own one.py").write_text("def lenient(problem, response, stop):\n    return 'no'\n")
    status, errors = perilune("run", recipe, "--quiet", "--resume", *words, *sets("rl.iterations=2"))
    assert status == 0
    assert "the reward file my rewards/own one.py has changed since the run began" in errors
    events = [e for e in read_metrics(recipe.parent / "runs" / "tiny") if e["event"] == "iteration"]
    assert [event["grade_errors"] for event in events] == [0, 0]


def test_where_nothing_can_be_graded_the_run_ends_with_a_status_of_its_own_and_goes_on(
    recipe: Path, perilune: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*RL_ALONE, *sets(f"problems.train.reward={FILE}:switched")]
    folder = recipe.parent / "runs" / "tiny"
    monkeypatch.setenv("CALLS", str(recipe.parent / "calls"))
    # It works before the run, for two gradings.
    status, errors = perilune("run", recipe, "--quiet", *words)
    assert status == 69
    assert "nothing of iteration 1 could be graded: all 8 gradings ended in errors" in errors
    assert "8 × ConnectionError: the judge is out" in errors
    monkeypatch.setenv("MENDED", "1")
    status, errors = perilune("resume", folder, "--quiet")
    assert (status, errors) == (0, "")
    events = [event for event in read_metrics(folder) if event["event"] == "iteration"]
    assert [event["grade_errors"] for event in events] == [0, 0]


def test_a_reward_sees_the_columns_of_its_rows(recipe: Path, perilune: Command) -> None:
    rows = [{"question": f"{n}?", "answer": str(n), "kind": "ab"[n % 2], "nested": {"x": [n]}} for n in range(6)]
    path = recipe.parent / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = sets(f"problems.train.reward={FILE}:asks", f"problems.train.path={path}", "problems.train.kind=jsonl")
    source += sets("rl.iterations=1")
    status, errors = perilune("run", recipe, "--quiet", *RL_ALONE, *source)
    assert (status, errors) == (0, "")
    (event,) = [e for e in read_metrics(recipe.parent / "runs" / "tiny") if e["event"] == "iteration"]
    assert (event["grade_errors"], event["solve_rate"]) == (0, 1.0)
