"""``perilune merge`` through real processes: what is printed where, and the exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase


def perilune(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "perilune.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)


@pytest.fixture
def models(tmp_path: Path, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase) -> list[Path]:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for number, folder in enumerate(folders):
        with torch.no_grad():
            for parameter in tiny_model.parameters():
                parameter.fill_(number)
        tiny_model.save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
    return folders


def test_it_says_where_the_model_is(models: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "merged"
    done = perilune("merge", *models, "--output", target, "--weights", "1", "1", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"merged model: {target}\n", "")
    assert {weight.flatten()[0].item() for weight in load_file(target / "model.safetensors").values()} == {1.25}
    again = perilune("merge", *models[:2], "--output", target)
    assert again.returncode == 2
    assert again.stderr.startswith(f"perilune: {target} exists already")
    done = perilune("merge", *models[:2], "--output", target, "--overwrite", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"merged model: {target}\n", "")
    assert {weight.flatten()[0].item() for weight in load_file(target / "model.safetensors").values()} == {0.5}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--weights", "1"), "1 weight(s) were given for 2 model(s)"),
        (("--weights", "-1", "1"), "a weight must be a number that is not negative (got -1.0)"),
        (("--weights", "0", "0"), "all weights are zero"),
        (("--method", "ties"), "name it with --base"),
        (("--density", "0.3"), "linear takes no density"),
    ],
)
def test_mistakes_take_one_line(models: list[Path], tmp_path: Path, more: tuple[str, ...], message: str) -> None:
    done = perilune("merge", *models[:2], "--output", tmp_path / "merged", *more)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.startswith("perilune: ")
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
