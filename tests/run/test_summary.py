from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perilune.run.metrics import MetricsLog
from perilune.run.summary import write_summary


def iteration(trained: int, multi: float, mismatch: float | None) -> dict[str, Any]:
    return {
        "trajectories_trained": trained,
        "versions_2": multi,
        "versions_3_or_more": 0.0,
        "mismatch_mean": mismatch,
        "mismatch_max": None if mismatch is None else 2 * mismatch,
    }


def evaluation(name: str, accuracy: float, tokens: float) -> dict[str, Any]:
    found = {"accuracy": accuracy, "accuracy_interval": [accuracy, accuracy], "problems": 200, "mean_tokens": tokens}
    return {"name": name, "summary": found}


def test_the_summary_adds_up_what_the_run_wrote(tmp_path: Path) -> None:
    with MetricsLog(tmp_path) as log:
        log.write("evaluation", 0, evaluation("warmup", 0.25, 80.0))
        log.write("iteration", 1, iteration(8, 0.0, 0.5))
        log.write("seconds", 0, {"phases": {"rollout": 1.5, "train": 2.0}, "peak_memory_gb": 2.0})
        # Stopped and gone on with: an iteration written twice counts once, seconds add up.
        log.write("iteration", 2, iteration(16, 0.0, 0.1))
        log.write("iteration", 2, iteration(24, 0.5, 0.25))
        log.write("iteration", 3, iteration(0, 0.0, None))
        log.write("evaluation", 3, evaluation("final", 0.5, 60.0))
        log.write("seconds", 0, {"phases": {"rollout": 1.0}, "peak_memory_gb": 1.0})
    summary = write_summary(tmp_path)
    assert summary == json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["accuracy"] == {"warmup": 0.25, "final": 0.5}
    assert summary["tokens"] == {"warmup": 80.0, "final": 60.0}
    assert summary["iterations"] == 3
    assert summary["trajectories_trained"] == 32
    assert summary["share_multi_version"] == pytest.approx(12 / 32)
    assert summary["mismatch"] == {"mean": pytest.approx(0.375), "max": pytest.approx(1.0)}
    assert summary["seconds"] == {"rollout": 2.5, "train": 2.0}
    assert summary["peak_memory_gb"] == 2.0


def test_a_run_that_measured_nothing_has_a_summary_that_says_so(tmp_path: Path) -> None:
    with MetricsLog(tmp_path):
        pass
    summary = write_summary(tmp_path)
    assert summary["accuracy"] == {}
    assert summary["share_multi_version"] == 0.0
    assert summary["mismatch"] == {"mean": None, "max": None}
    assert summary["peak_memory_gb"] is None
