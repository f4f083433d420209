"""``perilune reward test`` through real processes: a recipe's rewards are tried before there is a model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

RECIPE = """\
name = "tried"
[model]
name = "/no/such/model"
[problems.train]
kind = "jsonl"
path = {train}
prompt = "{{question}} Put the final answer in \\\\boxed{{}}."
fields = {{id = "id", solution = "solution"}}
[problems.heldout]
kind = "jsonl"
path = {heldout}
fields = {{id = "id"}}
"""
ROWS = (
    {"id": "half", "question": "1/2 = ?", "answer": "\\frac{1}{2}", "solution": "It is a half."},
    {"id": "four", "question": "2 + 2 = ?", "answer": "It is $2 + 2$, so \\boxed{4}.", "solution": "It is 2 + 2."},
    {"id": "lost", "question": "? = ?", "answer": "???", "solution": "None."},
)


def tried(recipe: Path, *options: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "perilune.cli", "reward", "test", str(recipe), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200, input=stdin)


def written(tmp_path: Path, train: Sequence[Mapping[str, str]], heldout: Sequence[Mapping[str, str]]) -> Path:
    paths = {}
    for name, rows in (("train", train), ("heldout", heldout)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        paths[name] = json.dumps(str(path))
    recipe = tmp_path / "tried.toml"
    recipe.write_text(RECIPE.format(**paths), encoding="utf-8")
    return recipe


def block(output: str, problem: str) -> list[str]:
    """The lines about a problem, stripped."""
    (found,) = [part for part in output.split("\n\n") if f", {problem} (reward" in part.splitlines()[0]]
    return [" ".join(line.split()) for line in found.splitlines()]


def test_it_shows_how_reference_and_responses_are_read(tmp_path: Path) -> None:
    done = tried(written(tmp_path, ROWS[:2], ROWS[:1]))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("train: all of 2 reference answers can be read\nheldout: all of 1 reference answers")
    assert "\x1b" not in done.stdout
    half = block(done.stdout, "half")
    assert half[0] == "train, half (reward math, answer form any)"
    assert "the reference, stated as a response: right, score 1" in half
    assert "the worked solution, as the warm-up gives it: right, score 1" in half
    assert "a wrong answer: wrong, score 0" in half
    assert "response Answer: \\frac{1}{2}" in half
    assert any(line.startswith("found \\frac{1}{2}") for line in half)
    assert any(line.startswith("reference read as") and "1/2" in line for line in half)
    assert any(line.startswith("rule ") for line in half)
    # Of a worked solution as the reference the last box counts.
    assert "response Answer: 4" in block(done.stdout, "four")


def test_references_that_cannot_be_read_are_counted_and_named(tmp_path: Path) -> None:
    many = [{"id": f"lost{n}", "question": f"{n}?", "answer": "?" * (3 + n)} for n in range(25)]
    recipe = written(tmp_path, ROWS, many)
    done = tried(recipe)
    assert done.returncode == 1
    assert "train: 1 of 3 reference answers cannot be read:\n  lost: " in done.stdout
    assert "heldout: 25 of 25" in done.stdout and "… and 5 more" in done.stdout and "  lost24: " not in done.stdout
    lost = block(done.stdout, "lost")
    assert any(line.startswith("it cannot be read:") for line in lost) and not any("score" in line for line in lost)
    everything = tried(recipe, "--all", "--source", "heldout", "--count", "0")
    assert everything.returncode == 1
    assert "  lost24: " in everything.stdout and "more" not in everything.stdout and "train" not in everything.stdout


def test_a_response_of_ones_own(tmp_path: Path) -> None:
    recipe = written(tmp_path, ROWS[:2], ROWS[:1])
    done = tried(recipe, "--response", "So it is\n\\boxed{0.5}.", "--problem", "half")
    assert done.returncode == 0
    half = block(done.stdout, "half")
    assert "your response: right, score 1" in half and "found 0.5 (by \\boxed{…})" in half
    assert "a wrong answer" not in done.stdout
    piped = tried(recipe, "--response", "-", stdin="Answer: 5\n")
    assert piped.returncode == 0 and piped.stdout.count("your response: wrong") == 1
    assert tried(recipe, "--response", "none", "--count", "2").stdout.count("your response: wrong") == 2


def test_a_verdict_that_should_be_another_is_told(tmp_path: Path) -> None:
    recipe = written(tmp_path, ROWS[:1], ROWS[:1])
    done = tried(recipe, "--set", "rewards.answer_form=boxed", "--set", "sft.response={solution}")
    assert done.returncode == 1
    assert "the worked solution, as the warm-up gives it: wrong, score 0, and should be right" in done.stdout
    assert "the reference, stated as a response: right" in done.stdout


def test_a_prompt_that_asks_for_another_form_is_told(tmp_path: Path) -> None:
    recipe = written(tmp_path, ROWS[:1], ROWS[:1])
    done = tried(recipe, "--set", "rewards.answer_form=hashes", "--count", "0")
    assert done.returncode == 0
    assert done.stdout.startswith("note: train: 1 of 1 prompts ask for \\boxed{…}")
    assert "Set rewards.answer_form to 'boxed' or 'any'" in done.stdout


def test_a_pattern_of_ones_own(tmp_path: Path) -> None:
    recipe = written(tmp_path, ROWS[:1], ROWS[:1])
    pattern = tried(recipe, "--set", "rewards.answer_form='pattern: (?:x|y)z* is (.+)'", "--response", "y is 1/2")
    assert (pattern.returncode, pattern.stderr) == (0, "")
    assert "found 1/2 (by your pattern)" in block(pattern.stdout, "half")
    # No text can be made from this one, so nothing is stated; that is no fault.
    bare = ("--set", "problems.train.fields={id='id'}")
    unstated = tried(recipe, "--set", "rewards.answer_form='pattern: (?:x|y)z{2} is (.+)'", *bare)
    assert (unstated.returncode, unstated.stderr) == (0, "")
    assert "score" not in unstated.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--problem", "hal"), "no problem of train or heldout has the id 'hal'; there are, for example, 'half'"),
        (("--set", "problems.train.reward=maths"), "unknown reward 'maths'"),
        (("--problem", "half", "--count", "2"), "not allowed with argument"),
        (("--set", "problems.train.path=/no/such.jsonl"), "/no/such.jsonl"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    done = tried(written(tmp_path, ROWS[:1], ROWS[:1]), *options)
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_reward_that_cannot_work_is_blamed_in_place_of_the_references(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("import no_such_module\ndef reward(problem, response, stop):\n    return 1.0\n", encoding="utf-8")
    recipe = written(tmp_path, ROWS[:1], ROWS[:1])
    done = tried(recipe, "--quiet", "--set", f"problems.train.reward={own}:reward")
    assert done.returncode == 1
    assert "own.py:reward cannot work" in done.stdout and "no_such_module" in done.stdout
    assert "cannot be read" not in done.stdout and "can be read" not in done.stdout
