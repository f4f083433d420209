"""A run that is killed from outside, again and again, in every phase, ends as one that was never killed."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from perilune.algorithm.streams import trajectory_seed
from perilune.recipe.recipe import Recipe, recipe_toml

REWARD = """
import time
from perilune.types import Grade, Verdict

def slow(problem, response, stop):
    time.sleep(0.02)
    right = sum(map(ord, response)) % 2 == 0
    return Grade(Verdict.RIGHT if right else Verdict.WRONG, float(right))
"""

CYCLE = ("rollout", "grading", "train", "save", "rollout", "after save")
PLAN = (
    *("setup", "evaluate", "evaluate", "after evaluate", "sft", "sft", "sft", "after sft", "save", "evaluate"),
    *CYCLE * 4,
    *("evaluate", "evaluate", "after evaluate"),
)
"""In which phase each kill is to come; 'after' a phase is between it and what follows."""


@dataclass
class Runner:
    """Starts commands in processes of a warm parent, and kills them."""

    process: subprocess.Popen[str]
    folder: Path
    durations: dict[str, float]

    def start(self, *arguments: str) -> int:
        job: dict[str, Any] = {name: str(self.folder / f"{name}.txt") for name in ("phases", "asked", "log")}
        job |= {"arguments": arguments, "path": [str(self.folder)]}
        (self.folder / "phases.txt").write_bytes(b"")
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def ended(self) -> int:
        """Wait for the command; its exit status, or the negative number of the signal that ended it."""
        assert self.process.stdout
        return int(self.process.stdout.readline())

    def phases(self) -> list[str]:
        return (self.folder / "phases.txt").read_text(encoding="utf-8").splitlines()

    def kill_in(self, pid: int, phase: str, chance: random.Random) -> bool:
        """Kill the process a random while after it has come to the phase; False if it ended before."""
        if phase == "never":
            return False
        mark = f"end {phase.removeprefix('after ')}" if phase.startswith("after ") else f"begin {phase}"
        while mark not in self.phases():
            if not running(pid):
                return False
            time.sleep(0.0005)
        time.sleep(chance.random() * self.durations.get(phase, 0.02))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True


def running(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has waited for yet has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@contextmanager
def started(folder: Path, durations: dict[str, float]) -> Iterator[Runner]:
    """A runner whose files are in a folder; seconds that each phase may go on before it is killed."""
    command = [sys.executable, str(Path(__file__).with_name("forking.py"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Runner(process, folder, durations)
        process.kill()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    (tmp_path / "kill_rewards.py").write_text(REWARD, encoding="utf-8")
    with started(tmp_path, {"rollout": 0.3, "train": 0.1, "sft": 0.4}) as found:
        yield found


@pytest.fixture
def recipe(tmp_path: Path, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase) -> Recipe:
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    source = {"kind": "generator", "generators": [{"name": "arithmetic"}], "reward": "kill_rewards:slow"}
    return Recipe.model_validate(
        {
            "name": "whole",
            "output": str(tmp_path / "runs"),
            "threads": 1,
            "model": {"name": str(tmp_path / "model")},
            "problems": {"train": {**source, "count": 12}, "heldout": {**source, "count": 6}},
            "engine": {"dtype": "float32", "slots": 6},
            "trainer": {"dtype": "float32", "micro_batch_tokens": 512},
            "sft": {"count": 24, "batch_size": 2, "learning_rate": 1e-3},
            "checkpoints": {"sft_steps": 3},
            "rl": {
                "iterations": 14,
                "problems_per_iteration": 3,
                "group_size": 4,
                "segment_tokens": 12,
                "max_response_tokens": 30,
                "learning_rate": 1e-3,
                "minibatches": 2,
            },
            "evaluation": {"max_response_tokens": 16, "samples": 1, "every": 5},
            "logging": {"tensorboard": False},
        }
    )


def rows(run: Path, query: str) -> list[tuple[Any, ...]]:
    path = run / "buffer.sqlite"
    if not path.exists():
        return []
    with sqlite3.connect(path) as db:
        try:
            found = db.execute(query).fetchall()
        except sqlite3.OperationalError:  # killed before there was a table
            found = []
    db.close()
    return found


SEGMENTS = "SELECT trajectory_id, number, tokens, logprobs, version, stop, iteration FROM segments ORDER BY 1, 2"
GROUPS = "SELECT id, problem, born, outcome, closed FROM groups ORDER BY number"
GRADES = "SELECT id, seed, verdict, score FROM trajectories ORDER BY id"


def finished(run: Path, recipe: Recipe) -> set[str]:
    """'seed start version' of every segment and every answer that is stored, as the runner's notes have them."""
    query = (
        "SELECT t.seed, s.version, (SELECT COALESCE(SUM(LENGTH(e.tokens)), 0) / 4 FROM segments e "
        "WHERE e.trajectory_id = s.trajectory_id AND e.number < s.number) "
        "FROM segments s JOIN trajectories t ON t.id = s.trajectory_id"
    )
    found = {f"{seed} {start} {version}" for seed, version, start in rows(run, query)}
    for request, version in rows(run, "SELECT request, version FROM answers"):
        problem, _, sample = request.rpartition("/")
        found.add(f"{trajectory_seed(recipe.seed, problem, 'evaluation', int(sample))} 0 {version}")
    return found


def told(run: Path) -> list[dict[str, Any]]:
    """The events of metrics.jsonl, without what a clock says."""
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    clocks = ("time", "tokens_per_second_rollout", "grading_seconds", "grading_overlap")
    return [
        {key: value for key, value in event.items() if key not in clocks and not key.startswith("seconds_")}
        for event in events
        if event["event"] != "seconds"
    ]


def kill_and_go_on(runner: Runner, recipe: Recipe, plan: Sequence[str], seed: int) -> tuple[Counter[str], int]:
    """A run that is killed in one phase after the other, until it ends; kills by phase, and repeated generations."""
    chance, kills, repeated = random.Random(seed), Counter[str](), 0
    (runner.folder / "recipe.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    killed = recipe.run_folder
    arguments = ("run", str(runner.folder / "recipe.toml"), "--resume", "--quiet")
    for phase in (*plan, "never"):
        before = finished(killed, recipe)
        (runner.folder / "asked.txt").write_bytes(b"")
        pid = runner.start(*arguments)
        if runner.kill_in(pid, phase, chance):
            kills[phase] += 1
        status = runner.ended()
        # What was there before this start is not asked for again.
        asked = set((runner.folder / "asked.txt").read_text(encoding="utf-8").splitlines())
        repeated += len(asked & before)
        if status == 0:
            break
        assert status == -signal.SIGKILL, (runner.folder / "log.txt").read_text(encoding="utf-8")
        arguments = ("resume", str(killed), "--quiet") if (killed / "recipe.toml").exists() else arguments
    return kills, repeated


def differences(killed: Path, whole: Path) -> list[str]:
    """What differs between two runs, but for clocks."""
    found = [
        f"weights of {model}"
        for model in ("warmup", "final")
        if (killed / f"models/{model}/model.safetensors").read_bytes()
        != (whole / f"models/{model}/model.safetensors").read_bytes()
    ]
    if told(killed) != told(whole):
        found.append("metrics")
    for name, query in (("segments", SEGMENTS), ("groups", GROUPS), ("grades", GRADES)):
        if rows(killed, query) != rows(whole, query):
            found.append(name)
    for path in (whole / "samples.jsonl", whole / "draws.jsonl", *(whole / "evaluations").glob("*.jsonl")):
        if (killed / path.relative_to(whole)).read_bytes() != path.read_bytes():
            found.append(str(path.relative_to(whole)))
    return found


@pytest.mark.parametrize("attention", ["compiled", "torch"])
def test_a_run_killed_in_every_phase_ends_as_one_never_killed(runner: Runner, recipe: Recipe, attention: str) -> None:
    if attention == "compiled":
        pytest.importorskip("llvmlite")
    recipe = recipe.model_copy(update={"engine": recipe.engine.model_copy(update={"attention": attention})})
    whole = recipe.run_folder
    assert kill_and_go_on(runner, recipe, (), 0) == (Counter(), 0)
    kills, repeated = kill_and_go_on(runner, recipe.model_copy(update={"name": "killed"}), PLAN, 20)
    killed = whole.with_name("killed")
    assert kills.total() >= 25
    assert set(kills) == set(PLAN)
    assert repeated == 0
    assert differences(killed, whole) == []
    # Each group that was trained was trained in one iteration, and the metrics tell of each iteration once.
    trained = rows(killed, "SELECT COUNT(*) FROM groups WHERE outcome = 'trained'")[0][0]
    iterations = [event for event in told(killed) if event["event"] == "iteration"]
    assert [event["step"] for event in iterations] == list(range(recipe.rl.iterations))
    assert sum(event["groups_trained"] for event in iterations) == trained > 20
    assert {path.name for path in (killed / "checkpoints").iterdir()} == {"iteration-00013", "iteration-00014"}
    assert not list((killed / "models").glob(".*"))
