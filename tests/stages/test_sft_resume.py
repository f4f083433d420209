"""A warm-up that a signal stops is kept to the step, and goes on to the weights that it would have had."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perilune.cli import main


def steps(run: Path) -> list[int]:
    if not (run / "metrics.jsonl").exists():
        return []
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [event["step"] for event in events if event["event"] == "sft_step"]


@pytest.mark.parametrize("every", ["0", "5"])
def test_a_warm_up_stopped_by_a_signal_goes_on_with_its_next_step(tiny_recipe: Path, every: str) -> None:
    settings = ("sft.count=200", "sft.batch_size=2", "sft.learning_rate=1e-3", f"checkpoints.sft_steps={every}")
    arguments = ["sft", str(tiny_recipe), "--quiet", *(part for s in settings for part in ("--set", s))]
    assert main([*arguments, "--set", "name=whole"]) == 0
    whole, stopped = (tiny_recipe.parent / "runs" / name for name in ("whole", "tiny"))
    count = len(steps(whole))
    assert count > 50

    path = os.pathsep.join([str(tiny_recipe.parent), *filter(None, sys.path)])
    command = [sys.executable, "-m", "perilune.cli", *arguments]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        while len(steps(stopped)) < 7 and process.poll() is None:
            pass
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert errors.startswith("perilune: stopped; ") and errors.count("\n") == 1
    done = steps(stopped)
    assert 7 <= len(done) < count
    newest = max(path.name for path in (stopped / "checkpoints").iterdir())
    assert newest == f"sft-step-{len(done):05d}"

    assert main(["resume", str(stopped), "--quiet"]) == 0
    assert steps(stopped) == list(range(1, count + 1))
    name = "models/warmup/model.safetensors"
    assert (stopped / name).read_bytes() == (whole / name).read_bytes()
