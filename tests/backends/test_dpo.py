"""The DPO loss and its gradients against TRL's on the same batch, and how pairs go through the trainer."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from perilune.algorithm.loss import dpo_loss
from perilune.backends.trainers.packing import pack_pairs
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.errors import TrainerError
from perilune.recipe.training import TrainerConfig
from perilune.types import Objective, OptimizerStep, Sample, StepMetrics

QUESTIONS = [("2 + 3 = ?", "5", "Let me think. It is 2 + 3, which is 5. So 5."), ("4 - 1?", "3", "4 - 1 is 2, no: 4.")]


def rows() -> list[dict[str, Any]]:
    return [
        {
            "prompt": [{"role": "user", "content": question}],
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
        }
        for question, chosen, rejected in QUESTIONS
    ]


def moved(model: PreTrainedModel) -> PreTrainedModel:
    """A policy that is not its reference any more."""
    policy = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return policy


def trainer_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, budget: int = 4096) -> TorchTrainer:
    config = TrainerConfig(micro_batch_tokens=budget, max_gradient_norm=1e9, beta1=0.0)
    return TorchTrainer(copy.deepcopy(model), tokenizer, config, torch.float32)


def samples_of(batch: dict[str, torch.Tensor], reference: TorchTrainer) -> list[Sample]:
    """TRL's batch, [chosen of all pairs, rejected of all pairs], as pairs of samples, token for token."""
    pairs = len(batch["input_ids"]) // 2
    found = []
    for row, (tokens, mask, completion) in enumerate(
        zip(batch["input_ids"], batch["attention_mask"], batch["completion_mask"], strict=True)
    ):
        real = mask.bool()
        ids, of_response = tokens[real].tolist(), completion[real].bool().tolist()
        first = of_response.index(True)
        sample = Sample(tuple(ids), first, tuple(of_response), 1.0 if row < pairs else -1.0, group=row % pairs)
        found.append(sample)
    scored = reference.logprobs(found)
    return [
        Sample(s.tokens, s.prompt_length, s.loss_mask, s.advantage, group=s.group, reference_logprob=sum(r))
        for s, r in zip(found, scored, strict=True)
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["sigmoid", "sigmoid_norm"])
@pytest.mark.parametrize("budget", [60, 4096])
def test_loss_and_gradients_are_those_of_trl(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path, kind: str, budget: int
) -> None:
    from datasets import Dataset
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    policy = moved(tiny_model)
    arguments = DPOConfig(
        output_dir=str(tmp_path), beta=0.3, loss_type=kind, per_device_train_batch_size=2, report_to=[], use_cpu=True,
        bf16=False, gradient_checkpointing=False,
    )  # fmt: skip
    theirs = DPOTrainer(
        model=copy.deepcopy(policy),
        ref_model=copy.deepcopy(tiny_model),
        args=arguments,
        train_dataset=Dataset.from_list(rows()),
        processing_class=tiny_tokenizer,
    )
    theirs.model.eval()
    (batch,) = theirs.get_train_dataloader()
    loss = theirs.compute_loss(theirs.model, batch)
    loss.backward()

    reference = trainer_of(tiny_model, tiny_tokenizer)
    samples = samples_of(batch, reference)
    mine = trainer_of(policy, tiny_tokenizer, budget)
    mine.begin_iteration()
    steps: list[StepMetrics] = []
    objective = Objective("dpo", beta=0.3, length_normalized=kind == "sigmoid_norm")
    mine.update(samples, objective, [OptimizerStep((0, 2, 1, 3), 1e-9)], steps.append)

    assert steps[0].loss == pytest.approx(float(loss), abs=1e-5)
    assert abs(float(loss) - math.log(2)) > 1e-3, "the policy must differ from its reference"
    assert mine._optimizer is not None
    (state,) = mine._optimizer.state.values()
    for found, parameter in zip(mine._masters._views(state["exp_avg"]), theirs.model.parameters(), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(found, parameter.grad, atol=1e-5, rtol=1e-4)
    norms = [parameter.grad.norm() for parameter in theirs.model.parameters() if parameter.grad is not None]
    assert float(torch.stack(norms).norm()) > 0.1, "a gradient of nothing proves nothing"


def test_the_loss_by_hand_with_smoothing() -> None:
    chosen, rejected = torch.tensor([1.0, -1.0]), torch.tensor([-1.0, 0.0])
    # margins 0.5 * (2, -1) = (1, -0.5)
    sigmoid = [1 / (1 + math.exp(-h)) for h in (1.0, -0.5)]
    plain = -sum(math.log(s) for s in sigmoid) / 2
    flipped = -sum(math.log(1 - s) for s in sigmoid) / 2
    found = dpo_loss(chosen, rejected, beta=0.5, count=2)
    smoothed = dpo_loss(chosen, rejected, beta=0.5, label_smoothing=0.2, count=2)
    assert found.item() == pytest.approx(plain, abs=1e-6)
    assert smoothed.item() == pytest.approx(0.8 * plain + 0.2 * flipped, abs=1e-6)


def pair(group: int, chosen: int, rejected: int, prompt: int = 5) -> list[Sample]:
    found = []
    for length, advantage in ((chosen, 1.0), (rejected, -1.0)):
        tokens = tuple((7 * place + 13 * group + length) % 250 + 3 for place in range(prompt + length))
        start = tuple((3 * place + group) % 250 + 3 for place in range(prompt))
        mask = (False,) * prompt + (True,) * length
        found.append(Sample(start + tokens[prompt:], prompt, mask, advantage, group=group))
    return found


def test_training_moves_the_chosen_response_up_against_the_rejected_one(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    samples = [*pair(0, 4, 9), *pair(1, 6, 12)]
    trainer = TorchTrainer(copy.deepcopy(tiny_model), tiny_tokenizer, TrainerConfig(), torch.float32)
    before = [sum(row) for row in trainer.logprobs(samples)]
    known = [
        Sample(s.tokens, s.prompt_length, s.loss_mask, s.advantage, group=s.group, reference_logprob=b)
        for s, b in zip(samples, before, strict=True)
    ]
    trainer.begin_iteration()
    steps: list[StepMetrics] = []
    trainer.update(known, Objective("dpo", beta=0.1), [OptimizerStep((0, 1, 2, 3), 1e-3)] * 8, steps.append)
    after = [sum(row) for row in trainer.logprobs(samples)]
    gains = [b - a for a, b in zip(before, after, strict=True)]
    assert gains[0] > gains[1] and gains[2] > gains[3]
    # At the reference itself the loss is log 2 and no pair has a margin; then both grow.
    assert steps[0].loss == pytest.approx(math.log(2), abs=1e-5)
    assert steps[0].margin == pytest.approx(0.0, abs=1e-4)
    assert steps[-1].margin > 0.5 and steps[-1].preferred == 1.0
    assert steps[-1].loss < steps[0].loss


@pytest.mark.parametrize("budget", [1, 25, 10_000])
def test_pairs_stay_together_whatever_the_budget(budget: int) -> None:
    samples = [s for group in range(5) for s in pair(group, 3 + group, 9)]
    pairs = [(2 * group, 2 * group + 1) for group in range(5)]
    packs = pack_pairs(samples, pairs, budget)
    members = [sorted(index for index, _, _ in packed.spans) for packed in packs]
    assert sorted(index for found in members for index in found) == list(range(10))
    for found in members:
        assert all(index ^ 1 in found for index in found)
    assert len(packs) == {1: 5, 25: 5, 10_000: 1}[budget]


@pytest.mark.parametrize("indices", [(0,), (0, 1, 2), (0, 2), (0, 0)])
def test_half_a_pair_is_an_error(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, indices: Sequence[int]
) -> None:
    samples = [*pair(0, 4, 9), *pair(1, 6, 12)]
    with pytest.raises(TrainerError, match="whole pairs"):
        trainer_of(tiny_model, tiny_tokenizer).update(
            samples, Objective("dpo", beta=0.1), [OptimizerStep(tuple(indices), 1e-3)]
        )
