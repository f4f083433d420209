"""The RL stage where things go wrong, as a user sees it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from perilune.run.metrics import read_metrics


def perilune(*arguments: object) -> tuple[int, str]:
    """Exit status and standard error of a command."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "perilune.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, check=False)
    return done.returncode, done.stderr


def test_a_ruinous_learning_rate_ends_the_run_at_its_last_good_state(tiny_recipe: Path) -> None:
    folder = tiny_recipe.parent / "runs" / "tiny"
    status, errors = perilune("run", tiny_recipe, "--quiet", "--set", "rl.learning_rate=1e18")
    assert status == 2
    warning, message = errors.splitlines()
    assert warning.startswith("warning: optimiser step 2 of 2 skipped: loss nan, gradient norm nan")
    assert "so it is not kept" in message and "lower the learning rate (1e+18)" in message
    assert "perilune run RECIPE --resume" in message
    assert [path.name for path in (folder / "skipped").iterdir()] == ["iteration-00001-step-2.jsonl"]
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["sft"]

    status, errors = perilune("run", tiny_recipe, "--quiet", "--resume", "--set", "rl.learning_rate=1e-5")
    assert (status, errors) == (0, "")
    iterations = [event for event in read_metrics(folder) if event["event"] == "iteration"]
    assert [event["steps_skipped"] for event in iterations] == [0, 0]
    assert all(event["loss"] is not None for event in iterations)


def test_a_mismatch_is_warned_of_and_beyond_a_limit_ends_the_run(tiny_recipe: Path) -> None:
    folder = tiny_recipe.parent / "runs" / "tiny"
    # bfloat16 for the engine alone: a real disagreement, far beyond these limits.
    settings = ["engine.dtype=bfloat16", "trainer.dtype=float32", "logging.mismatch_alarm=1e-9"]
    words = [word for text in settings for word in ("--set", text)]
    status, errors = perilune("run", tiny_recipe, "--quiet", *words, "--set", "logging.mismatch_stop=1e-8")
    assert status == 2
    assert "trainer and engine disagree by" in errors
    assert "more than logging.mismatch_stop = 1e-08" in errors
    assert len([event for event in read_metrics(folder) if event["event"] == "iteration"]) == 1
    # The iteration is kept, and the run goes on where the limit is raised.
    status, errors = perilune("resume", folder, "--quiet", "--set", "logging.mismatch_stop=5")
    assert status == 0
    assert errors.count("logging.mismatch_alarm is 1e-09") == 1


def test_gradings_that_hang_are_errors_that_are_counted_and_shown(tiny_recipe: Path) -> None:
    folder = tiny_recipe.parent / "runs" / "tiny"
    settings = ["problems.train.reward=stage_rewards:sometimes_hanging", "rewards.timeout_seconds=0.5"]
    status, errors = perilune("run", tiny_recipe, *(word for text in settings for word in ("--set", text)))
    assert status == 0
    iterations = [event for event in read_metrics(folder) if event["event"] == "iteration"]
    failed = [int(event["grade_errors"]) for event in iterations]
    assert sum(failed) > 0
    for event, count in zip(iterations, failed, strict=True):
        # Left out, not zero: only what was graded is trained on.
        assert event["trajectories_trained"] == 8 - count
        if count:
            assert f"NOT GRADABLE {count}" in errors
            assert f"{count} responses are left out of training" in errors
    assert "gave no grade within 0.5 s; a new one takes its place" in errors
    assert "again: the grading worker gave no grade within 0.5 s" in errors


BANDS = ("rl.sampling.curriculum=staged", "rl.sampling.curriculum_iteration=1", "rl.sampling.hard_difficulty=2.0")


def told_of_draws(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "draws.jsonl").read_text(encoding="utf-8").splitlines()]


def test_what_was_drawn_and_why_is_told(tiny_recipe: Path) -> None:
    folder = tiny_recipe.parent / "runs" / "tiny"
    status, errors = perilune("run", tiny_recipe, "--quiet", *(word for text in BANDS for word in ("--set", text)))
    assert (status, errors) == (0, "")
    draws = told_of_draws(folder)
    with sqlite3.connect(folder / "buffer.sqlite") as db:
        groups = [(born, json.loads(p)) for born, p in db.execute("SELECT born, problem FROM groups ORDER BY number")]
    db.close()
    # Line by line what the loop has in its buffer.
    assert [(draw["iteration"], draw["problem"]) for draw in draws] == [(born, p["id"]) for born, p in groups]
    assert [(draw["difficulty"], draw["tag"]) for draw in draws] == [(p["difficulty"], p["tags"][0]) for _, p in groups]
    assert [draw["stage"] for draw in draws] == ["all", "all", "hard", "hard"]
    assert [draw["band"] for draw in draws if draw["iteration"] == 1] == ["hard"] * 2
    # Six problems never tried: one in six each.
    assert [draw["probability"] for draw in draws if draw["iteration"] == 0] == [pytest.approx(1 / 6)] * 2
    first, second = (event for event in read_metrics(folder) if event["event"] == "iteration")
    assert (first["pool_allowed"], second["drawn_hard"], second["drawn_easy"]) == (1.0, 2, 0)
    assert second["drawn_by_tag"] == {"arithmetic": 2}
    assert second["pool_allowed"] == draws[-1]["allowed"] < 1
    assert "Problems drawn" in (folder / "report.html").read_text(encoding="utf-8")
