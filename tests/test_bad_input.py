"""What a user can get wrong, through the command line: one message that says what, where and why."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from perilune.cli import main

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
slots = 1
[trainer]
dtype = "float32"
[rl]
iterations = 1
problems_per_iteration = 16
group_size = 4
segment_tokens = 32
max_response_tokens = 32
[evaluation]
max_response_tokens = 4
base = false
[logging]
tensorboard = false
"""


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase) -> Path:
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    rows = [json.dumps({"question": f"{n} + 1 = ?", "answer": str(n + 1)}) for n in range(16)]
    (tmp_path / "problems.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    places = {"output": "runs", "model": "model", "problems": "problems.jsonl"}
    text = RECIPE.format(**{key: json.dumps(str(tmp_path / name)) for key, name in places.items()})
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    return tmp_path / "tiny.toml"


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command says when it refuses; one message and nothing else."""
    assert main([*map(str, arguments), "--quiet"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("perilune: ")
    assert "Traceback" not in printed.err
    return printed.err


def test_a_broken_line_of_problems_is_named(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problems = recipe.parent / "problems.jsonl"
    lines = problems.read_text(encoding="utf-8").splitlines()
    problems.write_text("\n".join([*lines[:2], '{"question": "3 + 1', *lines[3:]]), encoding="utf-8")
    message = refusal(capsys, "run", recipe)
    assert "problems.jsonl" in message and "line 3" in message
    assert not (recipe.parent / "runs").exists()


def test_a_problem_without_an_answer_is_named(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recipe.parent / "problems.jsonl").write_text('{"question": "1 + 1 = ?", "solution": "2"}\n', encoding="utf-8")
    message = refusal(capsys, "run", recipe)
    assert "line 1" in message and "'answer'" in message


def test_filters_that_leave_nothing(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(capsys, "run", recipe, "--set", "problems.train.max_prompt_tokens=3")
    assert "all 16 prompts are longer than max_prompt_tokens = 3; raise it" in message


def test_a_tokenizer_without_a_chat_template(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recipe.parent / "model" / "chat_template.jinja").unlink()
    assert "has no chat template" in refusal(capsys, "run", recipe)


def test_an_unknown_reward_is_named_with_the_nearest(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(capsys, "run", recipe, "--set", "problems.train.reward=mth")
    assert "unknown reward 'mth'; did you mean math" in message


def test_responses_longer_than_the_models_context(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--set", "rl.segment_tokens=600", "--set", "rl.max_response_tokens=600")
    assert "exceed the model's context of 512; lower max_response_tokens" in refusal(capsys, "run", recipe, *settings)


def test_a_file_in_the_place_of_the_run(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recipe.parent / "runs").write_text("", encoding="utf-8")
    assert "cannot write the run folder" in refusal(capsys, "run", recipe)


def test_a_damaged_buffer_is_named(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recipe.parent / "runs" / "tiny"
    run.mkdir(parents=True)
    (run / "recipe.toml").write_text(recipe.read_text(encoding="utf-8"), encoding="utf-8")
    (run / "buffer.sqlite").write_bytes(b"no database" * 500)
    assert "buffer.sqlite: file is not a database" in refusal(capsys, "resume", run)


def generated(run: Path) -> list[tuple[str, bytes]]:
    """(trajectory, tokens) of every segment in a run's buffer."""
    if not (run / "buffer.sqlite").exists():
        return []
    with sqlite3.connect(f"file:{run / 'buffer.sqlite'}?mode=ro", uri=True) as db:
        try:
            rows = db.execute("SELECT trajectory_id, tokens FROM segments ORDER BY rowid").fetchall()
        except sqlite3.OperationalError:  # not made yet
            rows = []
    db.close()
    return rows


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_during_a_rollout_loses_no_finished_segment(
    recipe: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals, status: int
) -> None:
    run = recipe.parent / "runs" / "tiny"
    command = [sys.executable, "-m", "perilune.cli", "run", str(recipe), "--quiet"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        deadline = time.monotonic() + 200
        while len(generated(run)) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, number)  # what a terminal, a container or a batch system does
        _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert errors.count("\n") == 1
    assert errors.startswith("perilune: stopped; ") and errors.endswith(f"perilune resume {run}\n")
    kept = generated(run)
    assert 3 <= len(kept) < 64

    assert main(["resume", str(run), "--quiet"]) == 0
    found = generated(run)
    assert found[: len(kept)] == kept
    assert len(found) == len({name for name, _ in found}) == 64
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert summary["trajectories_trained"] == 64
