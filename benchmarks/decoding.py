"""Decoding 96 responses of ragged length: the local engine against transformers' generate, side by side in one run.

Both decode greedily, from the same prompts, to the same lengths (20 to 200 tokens, end tokens ignored), so that both
produce the same number of tokens; in float32 the token ids are compared one by one. Usage:

    python benchmarks/decoding.py [--responses 96] [--repeats 1] [--continuous-batching]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.engines.local import LocalEngine
from perilune.backends.models import load_model, load_tokenizer
from perilune.types import Request

MODEL = "smollm2-135m-instruct"
QUESTIONS = (
    "Tom has 23 apples and buys 18 more. How many apples does he have?",
    "A train travels 60 km in one hour. How far does it go in four hours? Explain.",
    "Write a short story about a lighthouse keeper who finds a letter in a bottle.",
    "What is the capital of France, and what is it known for?",
    "Explain how a rainbow forms to a child of eight years.",
    "List the steps to bake bread at home.",
    "If 5 pens cost 15 coins, what do 8 pens cost?",
    "Describe a quiet morning in the mountains.",
    "Why is the sky blue? Answer in a few sentences, please, and do not use the word scattering.",
    "Give three reasons to learn a second language.",
    "Add 48 and 77, then subtract 19.",
    "Who wrote Hamlet?",
)


class Lengths(StoppingCriteria):
    """Ends each row at its own length."""

    def __init__(self, prompt_length: int, lengths: torch.Tensor):
        self.ends = prompt_length + lengths

    def __call__(self, input_ids: torch.Tensor, scores: object, **rest: object) -> torch.Tensor:
        return input_ids.shape[1] >= self.ends


def ours(dtype: torch.dtype, prompts: list[tuple[int, ...]], lengths: list[int]) -> tuple[float, list[list[int]]]:
    model = load_model(MODEL, dtype, torch.device("cpu"))
    engine = LocalEngine(model, (), slots=len(prompts), detector=lambda: RepetitionDetector(1, 10_000, 1))
    requests = [
        Request(str(i), prompt, (), length, length, seed=i, temperature=0.0)
        for i, (prompt, length) in enumerate(zip(prompts, lengths, strict=True))
    ]
    list(engine.generate([Request("warm", prompts[0], (), 4, 4, seed=0, temperature=0.0)]))
    start = time.perf_counter()
    found = {c.request_id: list(c.segment.tokens) for c in engine.generate(requests)}
    return time.perf_counter() - start, [found[str(i)] for i in range(len(prompts))]


def theirs(dtype: torch.dtype, prompts: list[tuple[int, ...]], lengths: list[int]) -> tuple[float, list[list[int]]]:
    model: Any = load_model(MODEL, dtype, torch.device("cpu"))
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    config = GenerationConfig(max_new_tokens=max(lengths), do_sample=False, pad_token_id=0, eos_token_id=None)
    stop = StoppingCriteriaList([Lengths(width, torch.tensor(lengths))])
    with torch.inference_mode():
        model.generate(ids[:2], attention_mask=mask[:2], max_new_tokens=4, do_sample=False, pad_token_id=0)
        start = time.perf_counter()
        out = model.generate(ids, attention_mask=mask, generation_config=config, stopping_criteria=stop)
        seconds = time.perf_counter() - start
    return seconds, [row[width : width + length].tolist() for row, length in zip(out, lengths, strict=True)]


def continuous(dtype: torch.dtype, prompts: list[tuple[int, ...]], lengths: list[int]) -> float:
    """transformers' own continuous batching; it has one length for all, so it is given the mean."""
    model: Any = load_model(MODEL, dtype, torch.device("cpu"))
    mean = round(float(np.mean(lengths)))
    config = GenerationConfig(max_new_tokens=mean, do_sample=False, pad_token_id=0, eos_token_id=-1)
    start = time.perf_counter()
    found = model.generate_batch([list(p) for p in prompts], generation_config=config, progress_bar=False)
    seconds = time.perf_counter() - start
    produced = sum(len(result.generated_tokens) for result in found.values())
    return produced / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--responses", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--continuous-batching", action="store_true", help="measure transformers' generate_batch too")
    arguments = parser.parse_args()
    tokenizer = load_tokenizer(MODEL)
    rng = np.random.default_rng(0)
    prompts, lengths = [], []
    for i in range(arguments.responses):
        message = [{"role": "user", "content": QUESTIONS[i % len(QUESTIONS)]}]
        prompts.append(tuple(tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=False)))
        lengths.append(int(rng.integers(20, 201)))
    total = sum(lengths)
    print(f"{arguments.responses} responses, {total} tokens, lengths {min(lengths)} to {max(lengths)}")
    best: dict[str, float] = {}
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        runs = [(ours(dtype, prompts, lengths), theirs(dtype, prompts, lengths)) for _ in range(arguments.repeats)]
        mine, peer = min(run[0][0] for run in runs), min(run[1][0] for run in runs)
        best[f"engine {name}"], best[f"generate {name}"] = mine, peer
        pairs = [(a, b) for x, y in zip(runs[0][0][1], runs[0][1][1], strict=True) for a, b in zip(x, y, strict=True)]
        same = sum(a == b for a, b in pairs) / len(pairs)
        print(
            f"{name}: engine {mine:.1f} s ({total / mine:.0f} tokens/s), generate {peer:.1f} s "
            f"({total / peer:.0f} tokens/s), same tokens {same:.1%}, ratio {peer / mine:.2f}"
        )
    if arguments.continuous_batching:
        for dtype in (torch.float32, torch.bfloat16):
            print(f"transformers generate_batch {dtype}: {continuous(dtype, prompts, lengths):.0f} tokens/s")
    mine = min(seconds for name, seconds in best.items() if name.startswith("engine"))
    peer = min(seconds for name, seconds in best.items() if name.startswith("generate"))
    print(f"ratio of the best types: {peer / mine:.2f}")


if __name__ == "__main__":
    main()
