"""A run whose disk fills up, on a real small tmpfs: one message, and it goes on once there is room."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerBase

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
rows = ":4"
[engine]
dtype = "float32"
slots = 4
[trainer]
dtype = "float32"
[rl]
iterations = 3
problems_per_iteration = 4
group_size = 4
segment_tokens = 8
max_response_tokens = 16
[evaluation]
max_response_tokens = 4
base = false
[rewards]
workers = 1
"""

SCRIPT = """\
mount -t tmpfs -o size=$3k none "$1"
"$4" -m perilune.cli run "$2" --quiet; echo "first $?"
mount -o remount,size=1g "$1"
ls "$1"
"$4" -m perilune.cli run "$2" --quiet --resume 2>/dev/null || "$4" -m perilune.cli run "$2" --quiet; echo "second $?"
cp -r "$1" "$5"
"""


@cache
def unshare() -> tuple[str, ...]:
    """The command that makes a mount namespace here, or skip."""
    for command in (("unshare", "-m"), ("unshare", "-rm")):
        try:
            done = subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
        except FileNotFoundError:
            break
        if done.returncode == 0:
            return command
    return ()


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase) -> Path:
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    rows = [json.dumps({"question": f"{n} + 1 = ?", "answer": str(n + 1)}) for n in range(12)]
    (tmp_path / "problems.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    places = {"output": "runs", "model": "model", "problems": "problems.jsonl"}
    text = RECIPE.format(**{key: json.dumps(str(tmp_path / name)) for key, name in places.items()})
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    return tmp_path / "tiny.toml"


# Full at the start, at the first segments, at a checkpoint, at the model in the end.
@pytest.mark.parametrize("kilobytes", [16, 100, 600, 1500])
def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(recipe: Path, kilobytes: int) -> None:
    if not unshare():
        pytest.skip("needs a mount namespace: root, or user namespaces")
    place, kept = recipe.parent / "runs", recipe.parent / "kept"
    place.mkdir()
    arguments = [str(place), str(recipe), str(kilobytes), sys.executable, str(kept)]
    command = [*unshare(), "sh", "-c", SCRIPT, "sh", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert "first 2\n" in done.stdout, done
    assert "second 0\n" in done.stdout, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("perilune: ")
    assert "space" in done.stderr or "disk is full" in done.stderr
    summary = json.loads((kept / "tiny" / "summary.json").read_text(encoding="utf-8"))
    assert summary["iterations"] == 3
    assert (kept / "tiny" / "models" / "final" / "model.safetensors").exists()
