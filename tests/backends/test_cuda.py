"""Engine and trainer on a GPU, against the CPU; skipped where there is none."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.engines.local import LocalEngine
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.recipe.training import TrainerConfig
from perilune.types import Objective, OptimizerStep, Request, Sample

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def engine_on(device: str, model: PreTrainedModel, dtype: torch.dtype = torch.float32) -> LocalEngine:
    placed = copy.deepcopy(model).to(device=device, dtype=dtype)
    return LocalEngine(placed, (2,), slots=4, detector=lambda: RepetitionDetector(8, 4, 16))


def requests(count: int) -> list[Request]:
    prompts = [tuple((7 * n + 3 * place) % 250 + 3 for place in range(3 + n % 5)) for n in range(count)]
    return [Request(str(n), prompt, (), 20, 20, seed=n) for n, prompt in enumerate(prompts)]


def rolled_out(engine: LocalEngine, count: int) -> list[Sample]:
    found = {c.request_id: c.segment for c in engine.generate(requests(count))}
    return [
        Sample(
            tokens=asked.prompt_tokens + found[asked.id].tokens,
            prompt_length=len(asked.prompt_tokens),
            loss_mask=(False,) * len(asked.prompt_tokens) + (True,) * len(found[asked.id].tokens),
            advantage=0.5 if number % 2 else -0.5,
            behaviour_logprobs=found[asked.id].logprobs,
            versions=(0,) * len(found[asked.id].tokens),
        )
        for number, asked in enumerate(requests(count))
    ]


def trainer_on(
    device: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype = torch.float32
) -> TorchTrainer:
    return TorchTrainer(copy.deepcopy(model).to(device=device), tokenizer, TrainerConfig(micro_batch_tokens=64), dtype)


def test_the_engine_samples_the_same_tokens_on_both(tiny_model: PreTrainedModel) -> None:
    there, here = (rolled_out(engine_on(device, tiny_model), 12) for device in ("cuda", "cpu"))
    assert [sample.tokens for sample in there] == [sample.tokens for sample in here]
    for mine, other in zip(there, here, strict=True):
        assert mine.behaviour_logprobs == pytest.approx(other.behaviour_logprobs, abs=1e-4)


def test_an_update_gives_the_same_weights_on_both(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    samples = rolled_out(engine_on("cpu", tiny_model), 12)
    steps = [OptimizerStep(tuple(range(0, 6)), 1e-4), OptimizerStep(tuple(range(6, 12)), 1e-4)]
    trainers = [trainer_on(device, tiny_model, tiny_tokenizer) for device in ("cuda", "cpu")]
    for trainer in trainers:
        trainer.begin_iteration()
        metrics = trainer.update(samples, Objective("opmd"), steps)
        assert metrics.mismatch_mean < 1e-4
    for (_, there), (_, here) in zip(*(trainer.weights() for trainer in trainers), strict=True):
        assert (there.cpu() - here).abs().mean() < 1e-5


def test_trainer_and_engine_agree_in_bf16(tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    samples = rolled_out(engine_on("cuda", tiny_model, torch.bfloat16), 12)
    trainer = trainer_on("cuda", tiny_model, tiny_tokenizer, torch.bfloat16)
    trainer.begin_iteration()
    metrics = trainer.update(samples, Objective("opmd"), [OptimizerStep(tuple(range(12)), 1e-4)])
    assert metrics.mismatch_mean < 0.1
    engine = engine_on("cuda", tiny_model, torch.bfloat16)
    engine.load_weights(trainer.weights(), trainer.version)
    assert {c.segment.version for c in engine.generate(requests(3))} == {1}


def test_an_offloaded_trainer_leaves_the_device_and_trains_on(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    samples = rolled_out(engine_on("cpu", tiny_model), 12)
    ends = []
    for moved in (True, False):
        trainer = trainer_on("cuda", tiny_model, tiny_tokenizer, torch.bfloat16)
        for _ in range(2):
            trainer.begin_iteration(keep_reference=True)
            if moved:
                used = torch.cuda.memory_allocated()
                trainer.offload()
                assert torch.cuda.memory_allocated() < used / 2
                assert all(weight.device.type == "cpu" for _, weight in trainer.weights())
                trainer.onload()
            trainer.update(samples, Objective("opmd"), [OptimizerStep(tuple(range(12)), 1e-4)])
        ends.append([weight.cpu() for _, weight in trainer.weights()])
    for mine, other in zip(*ends, strict=True):
        assert torch.allclose(mine, other, atol=1e-6)
