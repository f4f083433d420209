"""Trainer and vLLM in turn: which phases there are, and what they leave behind."""

from __future__ import annotations

import copy
import importlib.util
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from perilune.backends.engines.vllm.engine import VllmEngine
from perilune.backends.engines.vllm.options import VllmOptions
from perilune.backends.engines.vllm.process import VllmProcess
from perilune.backends.hybrid_workers import HybridWorkers, memory_gb
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.backends.weights.transfer import SharedMemoryTransfer
from perilune.recipe.engine import AfterRollout
from perilune.recipe.training import TrainerConfig
from perilune.types import Objective, OptimizerStep, Request, Sample

needs_vllm = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="needs vLLM: make test-vllm"),
    pytest.mark.filterwarnings("ignore"),
]


def test_memory_is_that_of_this_process_and_its_children() -> None:
    before = memory_gb()
    held = torch.ones(50_000_000)
    grown = memory_gb() - before
    assert 0.15 < grown < 0.25
    assert held.sum() > 0
    assert memory_gb() > 0.5 * psutil.Process().memory_info().rss / 1e9


Build = Callable[[AfterRollout], tuple[TorchTrainer, HybridWorkers, VllmProcess]]


@pytest.fixture
def build(make_llama: Callable[..., PreTrainedModel], tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> Build:
    model = make_llama(head_dim=32, max_position_embeddings=256)
    model.save_pretrained(tmp_path / "model")

    def made(after: AfterRollout) -> tuple[TorchTrainer, HybridWorkers, VllmProcess]:
        options = VllmOptions(
            str(tmp_path / "model"), "float32", "cpu", 8, (10_000,), (8, 40, 400), 0.25, 0.85, None, 1, False, False, 1
        )
        process = VllmProcess(options, log=tmp_path / "engine.log")
        workers = HybridWorkers(VllmEngine(process, SharedMemoryTransfer(torch.float32)), after)
        trainer = TorchTrainer(copy.deepcopy(model), tiny_tokenizer, TrainerConfig(), torch.float32)
        return trainer, workers, process

    return made


def roll_out(trainer: TorchTrainer, workers: HybridWorkers) -> list[Sample]:
    """Eight responses under the trainer's weights; their log-probabilities are compared with the trainer's own."""
    asked = [Request(str(n), (5 + n, 6, 7), (), 16, 16, seed=n) for n in range(8)]
    with workers.serving(trainer) as engine:
        assert engine.version == trainer.version
        found = {c.request_id: c.segment for c in engine.generate(asked)}
    samples = []
    for number, request in enumerate(asked):
        segment = found[request.id]
        assert segment.version == trainer.version
        samples.append(
            Sample(
                request.prompt_tokens + segment.tokens,
                3,
                (False,) * 3 + (True,) * len(segment.tokens),
                0.5 if number % 2 else -0.5,
                segment.logprobs,
                (segment.version,) * len(segment.tokens),
                group=number,
            )
        )
    return samples


def step(trainer: TorchTrainer, samples: list[Sample]) -> float:
    trainer.begin_iteration()
    return trainer.update(samples, Objective("opmd"), [OptimizerStep(tuple(range(8)), 1e-2)]).mismatch_max


class TestPhases:
    pytestmark = needs_vllm

    def test_ended_after_each_rollout_nothing_is_left_and_every_version_is_right(self, build: Build) -> None:
        trainer, workers, process = build("end")
        for version in range(3):
            samples = roll_out(trainer, workers)
            assert not process.running
            assert not psutil.Process().children(recursive=True)
            names = [phase.name for phase in workers.take_phases()]
            assert names == ["offload", "start", "transfer", "rollout", "stop", "onload"]
            # The engine's log-probabilities are those of the trainer's present weights.
            assert step(trainer, samples) < 1e-3
            assert trainer.version == version + 1
        workers.close()

    def test_kept_it_stays_and_takes_weights_where_they_changed(self, build: Build) -> None:
        trainer, workers, process = build("keep")
        samples = roll_out(trainer, workers)
        pid = process.pid
        roll_out(trainer, workers)
        first, second = workers.take_phases()[:4], workers.take_phases()
        assert [phase.name for phase in first] == ["start", "transfer", "rollout", "stop"]
        assert second == ()
        assert step(trainer, samples) < 1e-3
        assert step(trainer, roll_out(trainer, workers)) < 1e-3
        assert process.pid == pid
        assert process.running
        workers.close()
        assert not process.running

    def test_kept_and_dead_it_is_started_again_with_the_trainers_weights(self, build: Build) -> None:
        trainer, workers, process = build("keep")
        samples = roll_out(trainer, workers)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(process.pid)], timeout=10)
        # The weights have not changed since, but the new process has none of them.
        again = roll_out(trainer, workers)
        assert [sample.tokens for sample in again] == [sample.tokens for sample in samples]
        assert step(trainer, again) < 1e-3
        workers.close()

    def test_the_trainer_has_the_device_back_after_an_error(self, build: Build) -> None:
        trainer, workers, process = build("end")
        taken: list[None] = []
        trainer.onload = lambda: taken.append(None)  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt), workers.serving(trainer):
            raise KeyboardInterrupt
        assert taken
        assert not process.running
