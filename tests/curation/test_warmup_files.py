"""The demonstrations as other trainers read them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perilune.curation.behaviours import Behaviour
from perilune.curation.warmup_files import write_messages
from perilune.curation.warmup_set import WarmupResponse
from perilune.types import Grade, Message, Problem, Stop, Verdict

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def shown(number: int) -> WarmupResponse:
    problem = Problem(f"p{number}", (Message("user", f"What is {number} + 1?"),), str(number + 1))
    text = f"Plan: add the one to {number}.\n{number} + 1 = {number + 1}.\nAnswer: {number + 1}"
    behaviours = frozenset({Behaviour.PLANNING} if number else ())
    return WarmupResponse(problem, "plan", 0, text, 40, Stop.ENDED, Grade(Verdict.RIGHT, 1.0), behaviours)


# TRL and what it loads warn of their own futures.
@pytest.mark.filterwarnings("ignore")
def test_trl_trains_on_the_file_as_it_is(
    tmp_path: Path, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "demonstrations.jsonl"
    write_messages(path, [shown(number) for number in range(4)])
    rows = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    settings = trl.SFTConfig(
        output_dir=str(tmp_path / "out"),
        max_steps=1,
        per_device_train_batch_size=2,
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = trl.SFTTrainer(model=tiny_model, args=settings, train_dataset=rows, processing_class=tiny_tokenizer)
    assert math.isfinite(trainer.train().training_loss)
    text = tiny_tokenizer.decode(trainer.train_dataset[0]["input_ids"])
    assert "What is 0 + 1?" in text and "Plan: add the one to 0." in text
