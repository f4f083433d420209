"""The command line through real processes: what is printed where, and the exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

RECIPE = """\
name = "tiny"
output = {output}
threads = 1
[model]
name = {model}
[problems.train]
kind = "generator"
count = 12
[[problems.train.generators]]
name = "arithmetic"
[problems.heldout]
kind = "generator"
count = 2
[[problems.heldout.generators]]
name = "arithmetic"
[engine]
dtype = "float32"
slots = 8
[trainer]
dtype = "float32"
[sft]
count = 8
[rl]
iterations = 2
problems_per_iteration = 2
group_size = 2
segment_tokens = 8
max_response_tokens = 16
[evaluation]
max_response_tokens = 8
base = false
[logging]
tensorboard = false
"""


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "perilune.cli", *map(str, arguments)]


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, which does not outlive the block."""
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def perilune(*arguments: str | Path, timeout: float = 200) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, timeout=timeout)


@pytest.fixture
def recipe(tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerBase) -> Path:
    model = tmp_path / "model"
    sizes = {"vocab_size": len(tiny_tokenizer), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    LlamaForCausalLM(
        LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1, eos_token_id=2, bos_token_id=1)
    ).save_pretrained(model)
    tiny_tokenizer.save_pretrained(model)
    path = tmp_path / "tiny.toml"
    path.write_text(
        RECIPE.format(output=json.dumps(str(tmp_path / "runs")), model=json.dumps(str(model))), encoding="utf-8"
    )
    return path


def refusal(*arguments: str | Path) -> str:
    """What a command says when it refuses: one message on standard error, nothing else anywhere."""
    done = perilune(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_help_names_every_command() -> None:
    done = perilune("--help")
    assert done.returncode == 0
    for name in (
        "run",
        "curate",
        "warmup",
        "sft",
        "sample",
        "dpo",
        "long2short",
        "merge",
        "rl",
        "evaluate",
        "resume",
        "report",
        "doctor",
        "recipe",
        "problems",
        "reward",
        "serve",
    ):
        assert re.search(rf"\n    {name}\s", done.stdout)
        assert perilune(name, "--help").returncode == 0


def test_without_a_command_it_shows_its_usage() -> None:
    assert refusal().startswith("usage: perilune")
    assert "invalid choice: 'runn'" in refusal("runn", "x.toml")


def test_a_missing_recipe() -> None:
    assert refusal("run", "nope.toml") == (
        "perilune: no recipe at nope.toml; ready ones are in recipes/, e.g. recipes/quickstart.toml\n"
    )


def test_mistakes_in_a_recipe_are_listed(recipe: Path) -> None:
    message = refusal("run", recipe, "--set", "rl.iteration=3", "--set", "rl.group_size=1")
    assert "2 mistake(s)" in message
    assert "unknown key rl.iteration; did you mean rl.iterations?" in message
    assert "rl.group_size: Input should be greater than or equal to 2 (got 1)" in message


def test_an_unknown_model_leaves_no_traceback(recipe: Path) -> None:
    assert "no model '/no/such/model'" in refusal("run", recipe, "--quiet", "--set", "model.name=/no/such/model")


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    assert "is no run folder" in refusal("resume", tmp_path)
    assert str(tmp_path / "nowhere") in refusal("report", tmp_path / "nowhere")


def test_resume_and_overwrite_exclude_each_other(recipe: Path) -> None:
    assert "not allowed with argument" in refusal("run", recipe, "--resume", "--overwrite")


def test_a_count_must_be_a_number(recipe: Path) -> None:
    assert "'-3' is no whole number" in refusal("problems", recipe, "--count=-3")


def test_recipe_lists_every_field_with_its_meaning() -> None:
    done = perilune("recipe", "--fields")
    assert done.returncode == 0
    assert "rl.tau = 0.05\n    The strength of the pull to the reference (eq. 3).\n" in done.stdout
    assert "model.name = (required)\n" in done.stdout


def test_recipe_prints_a_recipe_that_reads_back(recipe: Path, tmp_path: Path) -> None:
    done = perilune("recipe", recipe, "--set", "rl.tau=0.25")
    assert "tau = 0.25\n" in done.stdout
    (tmp_path / "again.toml").write_text(done.stdout, encoding="utf-8")
    assert perilune("recipe", tmp_path / "again.toml").stdout == done.stdout


def test_recipe_wants_a_recipe_or_fields(recipe: Path) -> None:
    assert "one of the arguments RECIPE --fields is required" in refusal("recipe")
    assert "not allowed with argument" in refusal("recipe", recipe, "--fields")


def test_problems_are_lines_that_a_source_can_read(recipe: Path, tmp_path: Path) -> None:
    done = perilune("problems", recipe, "--count", "3")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == 3
    assert records[0]["question"][0]["role"] == "user"
    assert len(perilune("problems", recipe, "--split", "heldout").stdout.splitlines()) == 2

    (tmp_path / "problems.jsonl").write_text(done.stdout, encoding="utf-8")
    source = [f"problems.train={{kind='jsonl', path='{tmp_path / 'problems.jsonl'}', fields={{id='id'}}}}"]
    again = perilune("problems", recipe, "--set", *source)
    read = [json.loads(line) for line in again.stdout.splitlines()]
    assert [(r["id"], r["question"], r["answer"]) for r in read] == [
        (r["id"], r["question"], r["answer"]) for r in records
    ]


def test_a_reader_that_has_had_enough_is_no_failure() -> None:
    with started("recipe", "--fields") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == ""


def test_doctor_says_whether_the_quickstart_can_run(tmp_path: Path) -> None:
    done = perilune("doctor", "--output", tmp_path)
    assert done.returncode == ("The quickstart cannot run here" in done.stdout)
    assert "yes  engine local on cpu" in done.stdout


def test_a_run_from_first_to_last(recipe: Path, tmp_path: Path) -> None:
    done = perilune("run", recipe)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "tiny"
    assert str(run / "report.html") in done.stdout
    assert "iteration" in done.stderr and "Warning" not in done.stderr
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["accuracy"]) == {"warmup", "final"}

    assert "exists already: continue it with --resume, replace it with --overwrite" in refusal("run", recipe, "--quiet")

    (run / "report.html").unlink()
    report = perilune("report", run)
    assert report.stdout == f"{run / 'report.html'}\n"
    assert (run / "report.html").exists()

    measured = perilune("evaluate", recipe, "--model", run / "models" / "final", "--samples", "2", "--quiet")
    assert measured.returncode == 0, measured.stderr
    assert measured.stderr == ""
    stored = tmp_path / "runs" / "tiny-evaluation"
    assert len((stored / "evaluations" / "base.jsonl").read_text(encoding="utf-8").splitlines()) == 2 * (1 + 2)
    assert f'name = "{run / "models" / "final"}"' in (stored / "recipe.toml").read_text(encoding="utf-8")


def test_one_stage_alone(recipe: Path, tmp_path: Path) -> None:
    done = perilune("sft", recipe, "--quiet")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "runs" / "tiny" / "models").iterdir()] == ["warmup"]


def test_curate_shows_its_funnel_and_where_the_files_are(recipe: Path, tmp_path: Path) -> None:
    steps = 'curation.steps=["forms","duplicates"]'
    done = perilune("curate", recipe, "--quiet", "--set", steps)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "tiny" / "curation"
    assert "forms" in done.stdout and "duplicates" in done.stdout and str(folder / "report.html") in done.stdout
    assert {path.name for path in folder.iterdir()} >= {"problems.jsonl", "dropped.jsonl", "curation.json"}
    mistake = refusal("curate", recipe, "--overwrite", "--set", 'curation.steps=["form"]')
    assert "curation.steps.0: Input should be 'forms'" in mistake


def test_interrupted_it_says_what_was_kept_and_goes_on_from_there(recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "tiny"
    with started("rl", recipe, "--set", "rl.iterations=500") as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("iteration"):
                os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does on a terminal
                lines += process.stderr.readlines()
        assert process.wait(timeout=60) == 130
    assert lines[-1] == (
        f"perilune: stopped; every finished iteration is kept in {run}. Go on with: perilune resume {run}\n"
    )
    assert not any("Traceback" in line for line in lines)

    done = perilune("rl", recipe, "--resume", "--set", "rl.iterations=3")
    assert done.returncode == 0, done.stderr
    assert not any(line.startswith("iteration 1/3") for line in done.stderr.splitlines())
    assert (run / "models" / "final" / "config.json").exists()


def test_interrupted_before_anything_was_written(recipe: Path) -> None:
    # A recipe that is a pipe without an end: the command is stopped while it reads.
    pipe = recipe.parent / "pipe"
    os.mkfifo(pipe)
    with started("run", pipe) as process, pipe.open("w"):
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "perilune: stopped; nothing was written\n"
