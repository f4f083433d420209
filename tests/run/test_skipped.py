"""Minibatches of skipped steps on disk."""

from __future__ import annotations

import json
import math
from pathlib import Path

from perilune.run.skipped import saving_skipped
from perilune.types import OptimizerStep, Sample, StepMetrics


def sample(number: int, advantage: float) -> Sample:
    return Sample((5, 6, 7 + number), 2, (False, False, True), advantage, (-0.5,), (number,), group=number)


SAMPLES = [sample(0, 1.0), sample(1, math.inf), sample(2, -math.inf), sample(3, 0.5)]
STEPS = [OptimizerStep((0, 3), 1e-3), OptimizerStep((1, 2), 2e-3)]
BAD = StepMetrics(2, 2, math.nan, math.inf, 2e-3, 6, skipped=True)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_minibatch_of_a_skipped_step_is_kept_whole(tmp_path: Path) -> None:
    seen: list[StepMetrics] = []
    on_step = saving_skipped(tmp_path / "skipped", "iteration-00007", SAMPLES, STEPS, seen.append)
    fine = StepMetrics(1, 2, 0.5, 1.0, 1e-3, 6)
    on_step(fine)
    assert not (tmp_path / "skipped").exists()
    on_step(BAD)
    assert seen == [fine, BAD]
    (path,) = (tmp_path / "skipped").iterdir()
    assert path.name == "iteration-00007-step-2.jsonl"
    head, *samples = lines(path)
    assert head == {
        "step": 2,
        "steps": 2,
        "loss": "NaN",
        "gradient_norm": "Infinity",
        "learning_rate": 0.002,
        "samples": 2,
    }
    assert [found["advantage"] for found in samples] == ["Infinity", "-Infinity"]
    for found, given in zip(samples, SAMPLES[1:3], strict=True):
        fields = {**found, "advantage": float(str(found["advantage"]))}
        assert Sample(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}) == given


def test_the_first_ones_are_kept_and_a_repeated_iteration_replaces_its_own(tmp_path: Path) -> None:
    for number in range(30):
        saving_skipped(tmp_path, f"iteration-{number:05d}", SAMPLES, STEPS, lambda step: None)(BAD)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"iteration-{number:05d}-step-2.jsonl" for number in range(20)]
    fewer = [STEPS[0], OptimizerStep((1,), 1.0)]
    saving_skipped(tmp_path, "iteration-00003", SAMPLES, fewer, lambda step: None)(BAD)
    assert len(lines(tmp_path / "iteration-00003-step-2.jsonl")) == 2
    assert len(list(tmp_path.iterdir())) == 20
