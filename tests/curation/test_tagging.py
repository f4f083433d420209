"""Labels by the model's own log-probabilities, on a real (tiny) model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.curation.sample_cache import SampleCache, model_digest
from perilune.curation.tagging import LabelScorer
from perilune.curation.taxonomy import Discipline
from perilune.data.chat import render_demonstration
from perilune.recipe.training import TrainerConfig
from perilune.types import Message, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TAXONOMY = (Discipline("a", "x"), Discipline("a", "longer name"), Discipline("b", "y"))
PROBLEMS = [Problem(f"p{n}", (Message("user", text),), "1") for n, text in enumerate(["one", "two", "three", "four"])]


@pytest.fixture
def trainer(tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase) -> TorchTrainer:
    return TorchTrainer(tiny_model, tiny_tokenizer, TrainerConfig(), torch.float32)


def scorer(trainer: TorchTrainer, tokenizer: PreTrainedTokenizerBase, folder: Path) -> LabelScorer:
    cache = SampleCache(folder / "samples.sqlite")
    return LabelScorer(trainer, lambda shown: render_demonstration(shown, tokenizer), TAXONOMY, cache, "model")


def plain_score(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, question: str, label: str) -> float:
    """Log-probability of a label by the unchanged model, one sequence at a time."""
    asked = f"Name the field that this question belongs to.\n\nQuestion: {question}"
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": asked}], add_generation_prompt=True, return_dict=False
    )
    tokens = [*tokenizer.encode(label, add_special_tokens=False), tokenizer.eos_token_id]
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1]
    return float(logits.log_softmax(-1)[range(len(tokens)), tokens].sum())


def test_the_label_is_the_one_that_the_question_makes_likelier_most(
    trainer: TorchTrainer, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    found = scorer(trainer, tiny_tokenizer, tmp_path).tag(PROBLEMS, lambda done, total: None)
    tiny_model.set_attn_implementation("eager")
    for problem in PROBLEMS:
        gains = []
        for discipline in TAXONOMY:
            label = f"{discipline.domain}: {discipline.name}"
            after = plain_score(tiny_model, tiny_tokenizer, problem.text, label)
            without = [plain_score(tiny_model, tiny_tokenizer, q, label) for q in ("", "N/A", "[question]")]
            gains.append(after - math.log(sum(map(math.exp, without)) / 3))
        best = max(range(3), key=lambda index: gains[index])
        tagged = found[problem.id]
        assert tagged.discipline is TAXONOMY[best] and tagged.by == "model"
        share = math.exp(gains[best]) / sum(map(math.exp, gains))
        assert tagged.confidence == pytest.approx(share, abs=1e-3)


def test_what_was_scored_is_not_scored_again(
    trainer: TorchTrainer, tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    first = scorer(trainer, tiny_tokenizer, tmp_path).tag(PROBLEMS, lambda done, total: None)

    class Refusing:
        def logprobs(self, samples: object) -> None:
            raise AssertionError("scored again")

    again = scorer(Refusing(), tiny_tokenizer, tmp_path)  # type: ignore[arg-type]
    told: list[tuple[int, int]] = []
    assert again.tag(PROBLEMS, lambda *p: told.append(p)) == first
    assert told == [(4, 4)]


def test_a_model_is_told_by_its_weights(trainer: TorchTrainer) -> None:
    before = model_digest(trainer)
    assert before == model_digest(trainer)
    next(iter(trainer.weights()))[1].add_(1e-3)
    assert model_digest(trainer) != before
