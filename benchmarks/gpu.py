"""Engine and trainer on a GPU, on a randomly initialised model of the built-in one's shape: no download is needed.

Prints decoding tokens per second against transformers' generate, and training tokens per second. Usage:

    python benchmarks/gpu.py [--responses 512]
"""

from __future__ import annotations

import argparse
import copy
import time
from typing import Any, cast

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.engines.local import LocalEngine
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.config import TrainerConfig
from perilune.types import Objective, OptimizerStep, Request, Sample

PROMPT = 70


def make_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
        initializer_range=0.05,
    )
    return LlamaForCausalLM(config).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--responses", type=int, default=512)
    count = parser.parse_args().responses
    base = make_model()
    lengths = [20 + 37 * n % 181 for n in range(count)]
    prompts = [tuple((13 * (n // 8) + 7 * place) % 49000 for place in range(PROMPT)) for n in range(count)]
    model = copy.deepcopy(base).to(device="cuda", dtype=torch.bfloat16)
    engine = LocalEngine(model, (), slots=count, detector=lambda: RepetitionDetector(1, 10_000, 1))
    requests = [Request(str(n), prompts[n], (), lengths[n], lengths[n], seed=n) for n in range(count)]
    found = {}
    for _ in range(2):
        start = time.perf_counter()
        found = {c.request_id: c.segment for c in engine.generate(requests)}
        torch.cuda.synchronize()
        mine = time.perf_counter() - start
    print(f"engine: {sum(lengths)} tokens in {mine:.2f} s, {sum(lengths) / mine:.0f} tokens/s")

    peer_model = copy.deepcopy(base).to(device="cuda", dtype=torch.bfloat16)
    ids = torch.tensor(prompts, device="cuda")
    peer = 0.0
    for _ in range(2):
        start = time.perf_counter()
        peer_model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=max(lengths), do_sample=True, pad_token_id=0,
            eos_token_id=None, top_k=0,
        )  # fmt: skip
        torch.cuda.synchronize()
        peer = time.perf_counter() - start
    print(f"generate: {peer:.2f} s for the same responses, {sum(lengths) / peer:.0f} useful tokens/s")

    samples = [
        Sample(
            tokens=prompts[n] + found[str(n)].tokens,
            prompt_length=PROMPT,
            loss_mask=(False,) * PROMPT + (True,) * lengths[n],
            advantage=0.5 if n % 2 else -0.5,
            behaviour_logprobs=found[str(n)].logprobs,
            versions=(0,) * lengths[n],
            group=n // 8,
        )
        for n in range(count)
    ]
    tokenizer = cast(PreTrainedTokenizerBase, cast(Any, None))
    config = TrainerConfig(micro_batch_tokens=16384)
    trainer = TorchTrainer(copy.deepcopy(base).to(device="cuda"), tokenizer, config, torch.bfloat16)
    for _ in range(2):
        trainer.begin_iteration()
        start = time.perf_counter()
        metrics = trainer.update(samples, Objective("opmd"), [OptimizerStep(tuple(range(count)), 1e-5)] * 2)
        torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        print(f"trainer: {metrics.tokens} packed tokens in {seconds:.2f} s, {metrics.tokens / seconds:.0f} tokens/s")
        if trainer.version == 1:
            print(f"mismatch in bf16: mean {metrics.mismatch_mean:.4g}, max {metrics.mismatch_max:.4g} nats")
    print(f"peak GPU memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB; ratio to generate {peer / mine:.2f}")


if __name__ == "__main__":
    main()
