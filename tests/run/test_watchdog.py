"""The watchdog over processes that really hang: each runs as a process of its own, for being stuck ends it."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from perilune.run.watchdog import EXIT_STUCK

WATCHED = """
import sys, threading, time
from pathlib import Path
from perilune.run.watchdog import Watchdog

watchdog, folder = Watchdog(), Path(sys.argv[1])
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def outcome(program: str, *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    with start(program, *arguments) as process:
        out, errors = process.communicate(timeout=250)
    return process.returncode, out, errors


def watched(body: str) -> str:
    return WATCHED + "with watchdog.watching(folder):\n" + textwrap.indent(textwrap.dedent(body), "    ")


def test_who_is_silent_is_named_and_the_process_ended(tmp_path: Path) -> None:
    status, out, errors = outcome(
        watched("""
        with watchdog.expects("engine", "served 96 requests, 12 of them done", 1.0):
            print("begun", flush=True)
            threading.Event().wait()
        """),
        tmp_path,
    )
    assert (status, out) == (EXIT_STUCK, "begun\n")
    assert errors.startswith(
        "perilune: the engine has shown no sign of life for 1 s while it served 96 requests, 12 of them done, so the "
        f"run was ended; every finished iteration is kept. Go on with: perilune resume {tmp_path}."
    )
    assert "raise engine.timeout_seconds" in errors
    stacks = (tmp_path / "stuck.txt").read_text(encoding="utf-8")
    assert stacks.startswith("perilune: the engine")
    assert "in <module>" in stacks and "in wait" in stacks


def test_a_folder_that_cannot_be_written_does_not_save_the_process(tmp_path: Path) -> None:
    status, _, errors = outcome(
        watched("""
        with watchdog.expects("trainer", "took 4 steps", 0.5):
            time.sleep(1000)
        """),
        tmp_path / "gone",
    )
    assert status == EXIT_STUCK
    assert "the trainer has shown no sign of life" in errors


def test_who_works_slowly_or_is_not_expected_is_left_in_peace(tmp_path: Path) -> None:
    status, out, errors = outcome(
        watched("""
        time.sleep(3)
        with watchdog.expects("trainer", "outer", 2.0):
            for _ in range(12):
                time.sleep(0.3)
                watchdog.alive()
            for _ in range(3):
                time.sleep(1)
                with watchdog.expects("engine", "inner", 2.0):
                    time.sleep(1)
        time.sleep(3)
        print("done")
        """),
        tmp_path,
    )
    assert (status, out, errors) == (0, "done\n", "")


def test_of_nested_ones_the_innermost_is_named(tmp_path: Path) -> None:
    status, _, errors = outcome(
        watched("""
        with watchdog.expects("trainer", "outer", 0.5):
            with watchdog.expects("engine", "inner", 2.0):
                time.sleep(1)
            with watchdog.expects("engine", "inner", 1.0):
                time.sleep(1000)
        """),
        tmp_path,
    )
    assert status == EXIT_STUCK
    assert "the engine has shown" in errors and "while it inner" in errors


def test_a_run_that_was_stopped_for_long_is_not_stuck(tmp_path: Path) -> None:
    program = watched("""
    with watchdog.expects("engine", "was stopped", 1.5):
        print("begun", flush=True)
        time.sleep(0.5)
    print("done")
    """)
    with start(program, tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(4)
        process.send_signal(signal.SIGCONT)
        out, errors = process.communicate(timeout=250)
    assert (process.returncode, out, errors) == (0, "done\n", "")


RUN = """
import sys, threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from perilune.backends.local_workers import LocalWorkers
from perilune.build import build_backends
from perilune.recipe.recipe import load_recipe
from perilune.stages.pipeline import run_pipeline

recipe, stuck = load_recipe(Path(sys.argv[1]), sys.argv[3:]), sys.argv[2]


class HangingEngine:
    "Another engine, until it has handed out three responses in one call after the warm-up."

    def __init__(self, engine):
        self.engine = engine

    version = property(lambda self: self.engine.version)

    def load_weights(self, weights, version):
        self.engine.load_weights(weights, version)

    def generate(self, requests):
        for number, completion in enumerate(self.engine.generate(requests)):
            if number == 3 and requests[0].segment_tokens == 12:
                threading.Event().wait()
            yield completion


class HangingTrainer:
    "Another trainer, until its second update."

    def __init__(self, trainer):
        self.trainer = trainer

    def __getattr__(self, name):
        return getattr(self.trainer, name)

    def update(self, samples, objective, steps, on_step=None):
        if self.trainer.version == 1:
            threading.Event().wait()
        return self.trainer.update(samples, objective, steps, on_step)


def build(recipe):
    parts = build_backends(recipe)
    if stuck == "engine":
        return replace(parts, workers=LocalWorkers(HangingEngine(parts.workers._engine)))
    return replace(parts, trainer=HangingTrainer(parts.trainer)) if stuck == "trainer" else parts


run_pipeline(recipe, build, resume=True, quiet=True)
"""


def segments(folder: Path) -> list[tuple[str, bytes]]:
    """(trajectory, tokens) of everything that was generated, in order."""
    with closing(sqlite3.connect(folder / "buffer.sqlite")) as db:
        return db.execute("SELECT trajectory_id, tokens FROM segments ORDER BY rowid").fetchall()


@pytest.mark.parametrize(
    ("party", "doing", "generated"),
    [("engine", "served 8 requests, 3 of them done", 3), ("trainer", r"took 2 optimiser steps on \d samples", 8)],
)
def test_a_run_whose_part_hangs_ends_and_goes_on_from_there(
    tiny_recipe: Path, party: str, doing: str, generated: int
) -> None:
    folder = tiny_recipe.parent / "runs" / "tiny"
    limit = f"{party}.timeout_seconds=3"
    status, _, errors = outcome(RUN, tiny_recipe, party, limit)
    assert status == EXIT_STUCK, errors
    assert re.search(f"the {party} has shown no sign of life for 3 s while it {doing}, so the run was ended", errors)
    stacks = (folder / "stuck.txt").read_text(encoding="utf-8")
    assert ("in generate" if party == "engine" else "in update") in stacks
    assert not (folder / "models" / "final").exists()
    assert no_worker_is_left(str(tiny_recipe.parent))
    kept = segments(folder)
    assert len(kept) == generated

    # A time limit may be changed in the midst of a run. What was generated is not generated again.
    status, _, errors = outcome(RUN, tiny_recipe, "nobody", "engine.timeout_seconds=900", "trainer.timeout_seconds=900")
    assert (status, errors) == (0, "")
    assert (folder / "models" / "final" / "config.json").exists()
    found = segments(folder)
    assert found[:generated] == kept
    assert len(found) == len(dict(found)) == 16


def no_worker_is_left(reward_folder: str) -> bool:
    """Whether no grading process is alive that has this folder on its path."""
    deadline = time.monotonic() + 25
    while time.monotonic() < deadline:
        if not any(reward_folder in line and "rewards.worker" in line for line in command_lines()):
            return True
        time.sleep(0.1)
    return False


def command_lines() -> Sequence[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return found
