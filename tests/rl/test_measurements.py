"""One iteration's figures against shares counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from perilune.rl.loop import Iteration
from perilune.rl.measurements import iteration_metrics, multi_version_count, tags_drawn, with_phases
from perilune.rl.rollout import RolloutResult
from perilune.rl.sampler import Draw
from perilune.rl.samples import RewardedGroup
from perilune.run.buffer import RolloutCounts
from perilune.types import (
    Grade,
    Group,
    Message,
    Phase,
    Problem,
    Sample,
    Segment,
    Stop,
    Trajectory,
    UpdateMetrics,
    Verdict,
)

PROBLEM = Problem("p", (Message("user", "?"),), "1")


def trajectory(index: int, verdict: Verdict, *stops: Stop) -> Trajectory:
    """Two tokens of -1 and -3 nats a segment."""
    segments = tuple(Segment((1, 2), (-1.0, -3.0), version, stop) for version, stop in enumerate(stops))
    return Trajectory(f"g/{index}", index, index, segments, Grade(verdict, float(verdict is Verdict.RIGHT)))


def sample(*versions: int, group: int = 0) -> Sample:
    mask = (False, *(True for _ in versions))
    return Sample((0, *versions), 1, mask, 0.0, (-1.0,) * len(versions), versions, group)


TRAJECTORIES = (
    trajectory(0, Verdict.RIGHT, Stop.ENDED),
    trajectory(1, Verdict.WRONG, Stop.CUT, Stop.CUT, Stop.LIMIT),
    trajectory(2, Verdict.WRONG, Stop.CUT, Stop.REPEATED),
    trajectory(3, Verdict.ERROR, Stop.ENDED),
)
GROUP = Group("g", PROBLEM, (0,), 0, TRAJECTORIES)


def test_an_iterations_figures() -> None:
    rewarded = RewardedGroup(GROUP, TRAJECTORIES[:3], (1.0, 0.0, -0.25), (0.75, -0.25, -0.5))
    flat = RewardedGroup(GROUP, TRAJECTORIES[1:3], (0.0, 0.0), (0.0, 0.0))
    samples = (sample(0, 0), sample(0, 0, 1, 1, 2, 2), sample(0, 1), sample(1, 3, group=1))
    update = UpdateMetrics(0.5, 3, 70, 1.5, 0.01, 0.2, kl_to_reference=0.03, skipped=1)
    done = Iteration(
        number=4,
        rollout=RolloutResult(5, 50, 0, grading_seconds=8.0, grade_wait_seconds=2.0),
        complete=(GROUP,),
        rewarded=(rewarded, flat),
        samples=samples,
        update=update,
        waiting=7,
        discarded=2,
        generated=RolloutCounts(9, 90, 1),
        seconds={"rollout": 1.5, "train": 2.5},
    )
    metrics = iteration_metrics(done)
    assert metrics["reward_mean"] == pytest.approx(0.15)
    assert metrics["solve_rate"] == pytest.approx(1 / 3)
    assert metrics["response_tokens_mean"] == (2 + 6 + 4 + 2) / 4
    assert metrics["entropy"] == 2.0
    assert (metrics["groups_trained"], metrics["groups_flat"], metrics["groups_waiting"]) == (2, 1, 7)
    assert metrics["trajectories_trained"] == 4
    assert (metrics["stop_ended"], metrics["stop_repeated"], metrics["stop_limit"]) == (0.5, 0.25, 0.25)
    assert metrics["stop_cut"] == pytest.approx(3 / 7)
    assert [metrics[f"versions_{n}"] for n in ("1", "2", "3_or_more")] == [0.25, 0.5, 0.25]
    assert (metrics["mismatch_mean"], metrics["mismatch_max"], metrics["kl_to_reference"]) == (0.01, 0.2, 0.03)
    assert (metrics["optimizer_steps"], metrics["steps_skipped"], metrics["grade_errors"]) == (3, 1, 1)
    assert (metrics["seconds_rollout"], metrics["seconds_train"]) == (1.5, 2.5)
    # What was generated before an interruption counts too; the speed is of what this process did.
    assert (metrics["rollout_tokens"], metrics["tokens_per_second_rollout"]) == (90, pytest.approx(50 / 1.5))
    assert (metrics["grading_seconds"], metrics["grading_overlap"]) == (8.0, 0.75)
    assert multi_version_count(samples) == 3


def test_an_iteration_that_trained_nothing_has_no_figures_of_an_update() -> None:
    metrics = iteration_metrics(
        Iteration(0, RolloutResult(2, 20, 0), (), (), (), None, 2, 0, RolloutCounts(2, 20, 0), {"rollout": 4.0})
    )
    assert "loss" not in metrics
    assert math.isnan(metrics["solve_rate"])
    assert math.isnan(metrics["versions_2"])
    assert metrics["trajectories_trained"] == 0
    assert metrics["tokens_per_second_rollout"] == 5.0
    assert math.isnan(metrics["grading_overlap"])
    assert not any(key.startswith("drawn") for key in metrics)


def drawing(*draws: Draw) -> Iteration:
    return Iteration(
        0, RolloutResult(2, 20, 0), (), (), (), None, 2, 0, RolloutCounts(2, 20, 0), {"rollout": 4.0}, draws
    )


DRAW = Draw(0, "p", "algebra", "easy", 1.0, 0.5, 0.1, 0.75, "all", "uniform")


def test_the_phases_around_a_rollout_are_no_part_of_it() -> None:
    before = {"seconds_rollout": 10.0, "seconds_train": 4.0, "tokens_per_second_rollout": 60.0}
    # An evaluation had its phases, too; those of the iteration come last.
    phases = [
        Phase("start", 99.0, 9.0),
        Phase("offload", 0.5, 1.0),
        Phase("start", 2.0, 1.5, 3.0),
        Phase("transfer", 1.0, 2.0, 4.0),
        Phase("rollout", 4.0, 2.5, 5.0),
        Phase("stop", 0.25, 1.25),
        Phase("onload", 0.25, 1.0, 6.0),
    ]
    found = with_phases(before, phases)
    assert found["seconds_rollout"] == 6.0
    # 600 tokens in 6 s.
    assert found["tokens_per_second_rollout"] == pytest.approx(100.0)
    names = ("offload", "engine_start", "transfer", "engine_stop", "onload")
    assert [found[f"seconds_{name}"] for name in names] == [0.5, 2.0, 1.0, 0.25, 0.25]
    assert [found[f"memory_gb_{name}"] for name in ("offload", "start", "rollout", "onload")] == [1.0, 1.5, 2.5, 1.0]
    assert [found.get(f"device_gb_{name}") for name in ("offload", "start", "onload")] == [None, 3.0, 6.0]
    assert with_phases(before, ()) == before


def test_what_was_drawn() -> None:
    draws = (
        DRAW,
        replace(DRAW, band="hard", difficulty=4.0, success=0.0, tag="geometry"),
        replace(DRAW, band="hard", difficulty=4.0, success=0.25),
        replace(DRAW, band="unknown", difficulty=None, success=0.25, tag=""),
    )
    metrics = iteration_metrics(drawing(*draws))
    names = ("drawn_easy", "drawn_medium", "drawn_hard", "drawn_unknown")
    assert [metrics[name] for name in names] == [1, 0, 2, 1]
    assert (metrics["drawn_difficulty"], metrics["drawn_success"]) == (3.0, 0.25)
    assert (metrics["drawn_tags"], metrics["pool_allowed"]) == (3, 0.75)
    assert tags_drawn(draws) == {"algebra": 2, "geometry": 1, "untagged": 1}


def test_without_bands_none_are_counted() -> None:
    metrics = iteration_metrics(drawing(replace(DRAW, band=None, difficulty=None)))
    assert "drawn_easy" not in metrics
    assert math.isnan(metrics["drawn_difficulty"])
