"""Resident memory of a long run: it must not grow with the iterations."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerBase

ITERATIONS = 200

RECIPE = """\
name = "tiny"
output = {output}
threads = 1
stages = ["rl"]
[model]
name = {model}
[problems.train]
kind = "jsonl"
path = {problems}
[problems.heldout]
kind = "jsonl"
path = {problems}
rows = ":1"
[engine]
dtype = "float32"
slots = 8
[trainer]
dtype = "float32"
[rl]
iterations = {iterations}
problems_per_iteration = 4
group_size = 4
segment_tokens = 8
max_response_tokens = 16
[rewards]
workers = 1
[evaluation]
max_response_tokens = 4
base = false
"""


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase) -> Path:
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    rows = [json.dumps({"question": f"{n} + 1 = ?", "answer": str(n + 1)}) for n in range(40)]
    (tmp_path / "problems.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    places = {"output": "runs", "model": "model", "problems": "problems.jsonl"}
    settings = {key: json.dumps(str(tmp_path / name)) for key, name in places.items()}
    (tmp_path / "tiny.toml").write_text(RECIPE.format(**settings, iterations=ITERATIONS), encoding="utf-8")
    return tmp_path / "tiny.toml"


def iterations(metrics: Path) -> int:
    return metrics.read_bytes().count(b'"event": "iteration"') if metrics.exists() else 0


@pytest.mark.long
def test_memory_does_not_grow_with_iterations(recipe: Path) -> None:
    metrics = recipe.parent / "runs" / "tiny" / "metrics.jsonl"
    command = [sys.executable, "-m", "perilune.cli", "run", str(recipe), "--quiet"]
    resident: dict[int, int] = {}
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            done = iterations(metrics)
            if done not in resident:
                try:
                    resident[done] = watched.memory_info().rss
                except psutil.NoSuchProcess:
                    break
            time.sleep(0.01)
    assert process.returncode == 0
    assert iterations(metrics) == ITERATIONS
    early = [resident[n] for n in resident if 50 <= n < 100]
    late = [resident[n] for n in resident if ITERATIONS - 50 <= n < ITERATIONS]
    assert min(len(early), len(late)) > 25
    assert statistics.mean(late) == pytest.approx(statistics.mean(early), rel=0.02)
