"""summary.json: the run in a few figures, derived from what the run wrote."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from perilune.run.metrics import read_metrics


def write_summary(run_folder: Path) -> dict[str, Any]:
    """Write and return the summary of a run, finished or not; what was not measured is missing."""
    events = read_metrics(run_folder)
    evaluations = {e["name"]: e["summary"] for e in events if e["event"] == "evaluation"}
    named = {name: evaluations[name] for name in ("base", "warmup", "final") if name in evaluations}
    # A resumed run may have written an iteration twice: the last one counts.
    iterations = list({e["step"]: e for e in events if e["event"] == "iteration"}.values())
    trained = sum(e["trajectories_trained"] for e in iterations)
    multi = sum(
        e["trajectories_trained"] * ((e["versions_2"] or 0) + (e["versions_3_or_more"] or 0)) for e in iterations
    )
    mismatches = [e["mismatch_mean"] for e in iterations if e.get("mismatch_mean") is not None]
    seconds: dict[str, float] = {}
    for event in events:
        if event["event"] == "seconds":
            for phase, value in event["phases"].items():
                seconds[phase] = seconds.get(phase, 0.0) + value
    summary: dict[str, Any] = {
        "accuracy": {name: found["accuracy"] for name, found in named.items()},
        "accuracy_interval": {name: found["accuracy_interval"] for name, found in named.items()},
        "problems": {name: found["problems"] for name, found in named.items()},
        "tokens": {name: found["mean_tokens"] for name, found in named.items()},
        "iterations": len(iterations),
        "trajectories_trained": int(trained),
        "share_multi_version": multi / trained if trained else 0.0,
        "mismatch": {
            "mean": sum(mismatches) / len(mismatches) if mismatches else None,
            "max": max((e["mismatch_max"] for e in iterations if e.get("mismatch_max") is not None), default=None),
        },
        "peak_memory_gb": max((e["peak_memory_gb"] for e in events if e["event"] == "seconds"), default=None),
        "seconds": {phase: round(value, 2) for phase, value in seconds.items() if math.isfinite(value)},
    }
    (run_folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary
