"""Training tokens per second, as a share of what the same matrix products reach when nothing else is done.

The batch is like that of an RL iteration: 8 problems with 8 responses of 40 to 110 tokens each. An update is timed as
the loop runs it: a fresh optimiser, then forward, backward and optimiser step per minibatch. Then the products that
its linear layers consist of run back to back, on the same weights and in the same type: per micro-batch of N packed
tokens and layer x W', dy W and dy' x, the output layer on the predicted tokens alone; and those of attention, q k' and
P v for each stretch of tokens that share their keys, with the four of their gradients (the scores that the trainer
computes a second time are not counted). opmd scores the batch once before it trains: the forward products of that pass
are counted with it; sft has no such pass. Usage:

    python benchmarks/training.py [--repeats 3] [--micro-batch-tokens 1024] [--minibatches 4] [--profile]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from perilune.backends.devices import available_cores, pick_dtype
from perilune.backends.models import load_model, load_tokenizer
from perilune.backends.trainers.packing import Pack, pack
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.backends.trainers.tree_attention import Tree
from perilune.recipe.training import RLConfig, TrainerConfig
from perilune.rl.loop import minibatches
from perilune.types import Objective, Sample

MODEL = "smollm2-135m-instruct"
CPU = torch.device("cpu")
LEARNING_RATE = 1e-6


@dataclass(frozen=True, slots=True)
class Product:
    """The products of one linear layer in one micro-batch."""

    weight: Tensor
    """[out, in]"""
    rows: int
    backward: bool
    """Whether the two products of the backward pass belong to it."""


def make_samples(arguments: argparse.Namespace, vocabulary: int) -> list[Sample]:
    """Groups of random tokens; what the tokens are does not matter for the time."""
    rng = np.random.default_rng(0)
    samples = []
    for group in range(arguments.problems):
        prompt = tuple(rng.integers(0, vocabulary, arguments.prompt_tokens).tolist())
        advantages = rng.normal(size=arguments.group_size)
        for advantage in advantages - advantages.mean():
            length = int(rng.integers(arguments.shortest, arguments.longest + 1))
            response = tuple(rng.integers(0, vocabulary, length).tolist())
            mask = (False,) * len(prompt) + (True,) * length
            behaviour, versions = (0.0,) * length, (0,) * length
            samples.append(
                Sample(prompt + response, len(prompt), mask, float(advantage), behaviour, versions, group=group)
            )
    return samples


def products_of(model: PreTrainedModel, packs: Sequence[Pack], *, backward: bool) -> list[Product]:
    """The linear layers' products of these micro-batches, in the order in which the forward pass meets them."""
    head = model.get_output_embeddings()
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return [
        Product(layer.weight.detach(), len(micro.predictors if layer is head else micro.tokens), backward)
        for micro in packs
        for layer in layers
    ]


@dataclass(frozen=True, slots=True)
class AttentionProducts:
    """The products of one layer's attention in one stretch: q k' and P v, and backward dP, dv, dq, dk."""

    heads: int
    queries: int
    keys: int
    width: int
    count: int
    """2 forward, 6 with the backward pass."""
    dtype: torch.dtype


def attention_of(model: PreTrainedModel, packs: Sequence[Pack], *, backward: bool) -> list[AttentionProducts]:
    """The products of attention of these micro-batches in all layers."""
    config, dtype = model.config.get_text_config(), next(model.parameters()).dtype
    heads, width = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    count = 6 if backward else 2
    stretches = [(size, seen) for micro in packs for tree in micro.trees for size, seen in _stretches(tree)]
    return [
        AttentionProducts(heads, size, seen, width, count, dtype)
        for size, seen in stretches
        for _ in range(config.num_hidden_layers)
    ]


def _stretches(tree: Tree) -> list[tuple[int, int]]:
    """(queries, keys) of the prompt and of each response."""
    return [(tree.length, tree.length), *((b.length, tree.length + b.length) for b in tree.branches if b.length)]


def attend_alone(products: Sequence[AttentionProducts]) -> float:
    """Seconds for all of them, one batched product per stretch and kind."""
    inputs: dict[AttentionProducts, tuple[Tensor, Tensor, Tensor]] = {}
    for p in products:
        if p not in inputs:
            shapes = ((p.heads, p.queries, p.width), (p.heads, p.keys, p.width), (p.heads, p.queries, p.keys))
            inputs[p] = tuple(torch.randn(shape, dtype=p.dtype) for shape in shapes)  # type: ignore[assignment]
    start = time.perf_counter()
    with torch.no_grad():
        for p in products:
            query, key, weights = inputs[p]
            torch.bmm(query, key.transpose(1, 2))  # q k'
            torch.bmm(weights, key)  # P v
            if p.count == 6:
                torch.bmm(query, key.transpose(1, 2))  # do v'
                torch.bmm(weights.transpose(1, 2), query)  # P' do
                torch.bmm(weights, key)  # dS k
                torch.bmm(weights.transpose(1, 2), query)  # dS' q
    return time.perf_counter() - start


def multiply_alone(products: Sequence[Product]) -> float:
    """Seconds for all of them; their inputs are made beforehand."""
    inputs: dict[tuple[int, int], Tensor] = {}
    for product in products:
        for width in product.weight.shape:
            shape = (product.rows, width)
            if shape not in inputs:
                inputs[shape] = torch.randn(shape, dtype=product.weight.dtype)
    start = time.perf_counter()
    with torch.no_grad():
        for product in products:
            out_width, in_width = product.weight.shape
            x, dy = inputs[product.rows, in_width], inputs[product.rows, out_width]
            torch.mm(x, product.weight.t())
            if product.backward:
                torch.mm(dy, product.weight)
                torch.mm(dy.t(), x)
    return time.perf_counter() - start


def gigaflops(products: Sequence[Product], attention: Sequence[AttentionProducts]) -> float:
    linear = sum(2 * p.rows * p.weight.numel() * (3 if p.backward else 1) for p in products)
    return (linear + sum(2 * p.heads * p.queries * p.keys * p.width * p.count for p in attention)) / 1e9


def products_alone(linear: Sequence[Product], attention: Sequence[AttentionProducts]) -> float:
    """Seconds for all products, one kind after the other."""
    return multiply_alone(linear) + attend_alone(attention)


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(alone: Callable[[], float], work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds of the update and of its products alone, taken in turn after one warm-up of each."""
    work()
    alone()
    pairs = [(seconds_of(work), alone()) for _ in range(repeats)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--prompt-tokens", type=int, default=70)
    parser.add_argument("--shortest", type=int, default=40, help="tokens of the shortest response")
    parser.add_argument("--longest", type=int, default=110, help="tokens of the longest response")
    parser.add_argument("--micro-batch-tokens", type=int, default=1024)
    parser.add_argument("--minibatches", type=int, default=4, help="optimiser steps per update")
    parser.add_argument("--repeats", type=int, default=3, help="the median is reported")
    parser.add_argument("--profile", action="store_true", help="print the six operations that take most of an update")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    dtype = pick_dtype(arguments.dtype, CPU)
    model = load_model(arguments.model, torch.float32, CPU)
    budget = arguments.micro_batch_tokens
    trainer = TorchTrainer(model, load_tokenizer(arguments.model), TrainerConfig(micro_batch_tokens=budget), dtype)
    samples = make_samples(arguments, model.config.get_text_config().vocab_size)
    steps = minibatches(samples, RLConfig(minibatches=arguments.minibatches, learning_rate=LEARNING_RATE))
    packs = [micro for step in steps for micro in pack(samples, step.indices, budget)]
    scoring = pack(samples, range(len(samples)), budget)
    tokens = sum(len(micro.tokens) for micro in packs)
    print(
        f"{len(samples)} samples of {sum(len(s.tokens) for s in samples)} tokens, packed into {tokens} in {len(packs)} "
        f"micro-batches and {len(steps)} steps; {dtype}, {arguments.threads} threads, median of {arguments.repeats}"
    )

    def update(objective: Objective) -> None:
        trainer.begin_iteration()
        trainer.update(samples, objective, steps)

    trained, attended = products_of(model, packs, backward=True), attention_of(model, packs, backward=True)
    scored, looked = products_of(model, scoring, backward=False), attention_of(model, scoring, backward=False)
    work: dict[Literal["sft", "opmd"], tuple[list[Product], list[AttentionProducts]]] = {
        "sft": (trained, attended),
        "opmd": ([*scored, *trained], [*looked, *attended]),
    }
    shares = {}
    for name, (linear, attention) in work.items():
        alone_of = partial(products_alone, linear, attention)
        whole, alone = measure(alone_of, partial(update, Objective(name)), arguments.repeats)
        shares[name] = alone / whole
        print(
            f"{name}: update {whole:.2f} s ({tokens / whole:.0f} packed tokens/s), products alone {alone:.2f} s "
            f"({gigaflops(linear, attention) / alone:.0f} GFLOP/s), share {alone / whole:.2f}; without those of "
            f"attention {multiply_alone(linear) / whole:.2f}"
        )
    if arguments.profile:
        print_profile(lambda: update(Objective("sft")))
    print(f"ratio of the products alone to training, sft: {shares['sft']:.2f} (opmd: {shares['opmd']:.2f})")


def print_profile(work: Callable[[], object]) -> None:
    """The operations of one update that take most time themselves."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        work()
    events = sorted(profile.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    for event in events[:6]:
        print(f"  {event.self_cpu_time_total / total:6.1%} {event.self_cpu_time_total / 1e6:7.2f} s  {event.key}")


if __name__ == "__main__":
    main()
