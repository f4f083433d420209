"""Checkpoints on disk, without a trainer that matters."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.errors import RunFolderError
from perilune.recipe.training import TrainerConfig
from perilune.run.checkpoint import prune_checkpoints, read_state, verify_checkpoint, write_checkpoint
from perilune.run.state import RunState

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

STATE = RunState(7, 3, ("evaluate base", "sft"))


@pytest.fixture
def checkpoint(tmp_path: Path, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase) -> Path:
    trainer = TorchTrainer(tiny_model, tiny_tokenizer, TrainerConfig(), torch.float32)
    write_checkpoint(trainer, tmp_path / "checkpoints", "one", STATE)
    return tmp_path / "checkpoints" / "one"


def test_a_checkpoint_is_whole_and_gives_its_progress_back(checkpoint: Path) -> None:
    assert verify_checkpoint(checkpoint) == []
    assert read_state(checkpoint) == STATE
    assert [path.name for path in checkpoint.parent.iterdir()] == ["one"]


def test_sha256sum_reads_the_list_too(checkpoint: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=checkpoint, capture_output=True, check=False)
    assert done.returncode == 0, done


def test_every_harm_is_named(checkpoint: Path) -> None:
    sums = (checkpoint / "SHA256SUMS").read_text(encoding="utf-8")
    for path in checkpoint.iterdir():
        whole = path.read_bytes()
        for harmed in (whole[:-3], b"", whole[:10] + bytes([whole[10] ^ 1]) + whole[11:]):
            path.write_bytes(harmed)
            (fault, *_) = verify_checkpoint(checkpoint)
            assert path.name in fault or "SHA256SUMS" in (path.name, fault.split(":")[0]), fault
        path.unlink()
        assert verify_checkpoint(checkpoint)
        path.write_bytes(whole)
    assert verify_checkpoint(checkpoint) == []
    (checkpoint / "SHA256SUMS").write_text(sums.splitlines(keepends=True)[-1], encoding="utf-8")
    assert verify_checkpoint(checkpoint) == ["SHA256SUMS: cut off"]
    assert verify_checkpoint(checkpoint / "nowhere")[0].startswith("no list of its files")


def test_progress_that_cannot_be_read_is_an_error(checkpoint: Path) -> None:
    (checkpoint / "progress.json").write_text('{"iteration": 1}', encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"cannot read .*progress\.json"):
        read_state(checkpoint)


def test_pruning_keeps_what_is_named(tmp_path: Path) -> None:
    for name in ("one", "two", "three", ".four"):
        (tmp_path / name).mkdir()
    prune_checkpoints(tmp_path, {"two", "three"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["three", "two"]
