"""Contender: transformers' generate, each row stopped at its own length. Settings: dtype, threads, continuous.

continuous: its own continuous batching (generate_batch), which has one length for all and so is given the mean.
"""

from __future__ import annotations

from typing import Any

import torch
from answering import serve, settings, torch_description
from transformers import ContinuousBatchingConfig, GenerationConfig, StoppingCriteria, StoppingCriteriaList

from perilune.backends.models import load_model

MODEL = "smollm2-135m-instruct"
PAGE = 32
"""Tokens of a page of generate_batch's cache."""


class Lengths(StoppingCriteria):
    """Ends each row at its own length."""

    def __init__(self, prompt_length: int, lengths: torch.Tensor):
        self.ends = prompt_length + lengths

    def __call__(self, input_ids: torch.Tensor, scores: object, **rest: object) -> torch.Tensor:
        return input_ids.shape[1] >= self.ends


def sampling(requests: list[dict[str, Any]], length: int, end: int | None) -> GenerationConfig:
    temperature = requests[0]["temperature"]
    drawn = {"do_sample": True, "temperature": temperature, "top_p": requests[0]["top_p"], "top_k": 0}
    how = drawn if temperature else {"do_sample": False}
    return GenerationConfig(max_new_tokens=length, pad_token_id=0, eos_token_id=end, **how)


def generate(model: Any, requests: list[dict[str, Any]]) -> dict[str, Any]:
    prompts, lengths = [r["prompt_tokens"] for r in requests], [r["segment_tokens"] for r in requests]
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    torch.manual_seed(requests[0]["seed"])
    with torch.inference_mode():
        out = model.generate(
            ids,
            attention_mask=mask,
            generation_config=sampling(requests, max(lengths), None),
            stopping_criteria=StoppingCriteriaList([Lengths(width, torch.tensor(lengths))]),
        )
    rows = zip(requests, out, lengths, strict=True)
    return {"tokens": {r["id"]: row[width : width + length].tolist() for r, row, length in rows}}


def bounded(requests: list[dict[str, Any]]) -> ContinuousBatchingConfig:
    """A cache that holds all requests; by itself it would take most of the machine's memory."""
    pages = sum((len(r["prompt_tokens"]) + r["segment_tokens"]) // PAGE + 2 for r in requests)
    return ContinuousBatchingConfig(page_size=PAGE, num_blocks=pages, max_batch_tokens=2048)


def generate_batch(model: Any, requests: list[dict[str, Any]]) -> dict[str, Any]:
    mean = round(sum(r["segment_tokens"] for r in requests) / len(requests))
    torch.manual_seed(requests[0]["seed"])
    found = model.generate_batch(
        [r["prompt_tokens"] for r in requests],
        generation_config=sampling(requests, mean, -1),
        continuous_batching_config=bounded(requests),
        progress_bar=False,
    )
    return {"tokens": {str(n): list(result.generated_tokens) for n, result in enumerate(found.values())}}


def main() -> None:
    given = settings()
    torch.set_num_threads(given["threads"])
    model: Any = load_model(MODEL, getattr(torch, given["dtype"]), torch.device("cpu"))
    # The attention that from_pretrained would have chosen; the engine's model is loaded with its own.
    model.set_attn_implementation("sdpa")
    run = generate_batch if given["continuous"] else generate
    serve(torch_description(dtype=given["dtype"]), lambda workload: run(model, workload["requests"]))


if __name__ == "__main__":
    main()
