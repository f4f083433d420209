"""The trainer's speed, as a share of what the matrix products of its linear layers reach when nothing else is done.

The batch is like that of an RL iteration: 8 problems with 8 responses of 40 to 110 tokens each. An update is timed as
the loop runs it: a fresh optimiser, then forward, backward and optimiser step per minibatch. The floor are the products
that its linear layers and its output layer consist of, back to back, on the same weights, in the same type and for as
many tokens: per micro-batch and layer x W', dy W and dy' x, the output layer on the predicted tokens alone. Attention,
norms, the loss, the sums of gradients and the optimiser are no part of it. opmd with several minibatches needs the old
policy's log-probabilities of those after the first: the forward products of that pass belong to its floor; the share
without them is told beside. Times are of the processor, all threads together. Usage:

    python benchmarks/training.py [--repeats 3] [--dtype float32] [--minibatches 4] [--profile]
    python benchmarks/training.py --before PATH      # this checkout beside an earlier one, five pairs in turn
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from perilune.backends.devices import available_cores, pick_dtype
from perilune.backends.memory import bound_kernel_caches
from perilune.backends.models import load_model, load_tokenizer
from perilune.backends.trainers.packing import Pack, pack
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.recipe.training import RLConfig, TrainerConfig
from perilune.rl.loop import minibatches
from perilune.types import Objective, OptimizerStep, Sample

MODEL = "smollm2-135m-instruct"
CPU = torch.device("cpu")
LEARNING_RATE = 1e-6
PAIRS = 5
Kind = Literal["sft", "opmd"]
KINDS: tuple[Kind, ...] = ("sft", "opmd")


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


class Work:
    """A trainer, what it trains on, and which products that takes."""

    def __init__(self, arguments: argparse.Namespace):
        torch.set_num_threads(arguments.threads)
        bound_kernel_caches()
        self.dtype = pick_dtype(arguments.dtype, CPU)
        self._model = load_model(arguments.model, torch.float32, CPU)
        budget = arguments.micro_batch_tokens
        config = TrainerConfig(micro_batch_tokens=budget)
        self._trainer = TorchTrainer(self._model, load_tokenizer(arguments.model), config, self.dtype)
        self.samples = make_samples(arguments, self._model.config.get_text_config().vocab_size)
        self.steps: list[OptimizerStep] = minibatches(
            self.samples, RLConfig(minibatches=arguments.minibatches, learning_rate=LEARNING_RATE)
        )
        by_step = [pack(self.samples, step.indices, budget) for step in self.steps]
        self.packs = [micro for micros in by_step for micro in micros]
        self.scored = [m for m in pack(self.samples, range(len(self.samples)), budget) if m not in by_step[0]]

    def update(self, kind: Kind) -> None:
        """One update, as the loop runs it."""
        self._trainer.begin_iteration()
        self._trainer.update(self.samples, Objective(kind), self.steps)

    def trained(self) -> list[Product]:
        """Products of the linear layers in the forward and backward passes of training."""
        return products_of(self._model, self.packs, backward=True)

    def scoring(self) -> list[Product]:
        """Products of the forward passes that opmd needs before the weights move."""
        return products_of(self._model, self.scored, backward=False)


def products_of(model: PreTrainedModel, packs: Sequence[Pack], *, backward: bool) -> list[Product]:
    """The linear layers' products of these micro-batches, in the order in which the forward pass meets them."""
    head = model.get_output_embeddings()
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return [
        Product(layer.weight.detach(), len(micro.predictors if layer is head else micro.tokens), backward)
        for micro in packs
        for layer in layers
    ]


def multiply_alone(products: Sequence[Product]) -> float:
    """Seconds for all of them; their inputs are made beforehand."""
    inputs: dict[tuple[int, int], Tensor] = {}
    for product in products:
        for width in product.weight.shape:
            shape = (product.rows, width)
            if shape not in inputs:
                inputs[shape] = torch.randn(shape, dtype=product.weight.dtype)
    start = time.process_time()
    with torch.no_grad():
        for product in products:
            out_width, in_width = product.weight.shape
            x, dy = inputs[product.rows, in_width], inputs[product.rows, out_width]
            torch.mm(x, product.weight.t())
            if product.backward:
                torch.mm(dy, product.weight)
                torch.mm(dy.t(), x)
    return time.process_time() - start


def gigaflops(products: Sequence[Product]) -> float:
    return sum(2 * p.rows * p.weight.numel() * (3 if p.backward else 1) for p in products) / 1e9


def seconds_of(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


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
    parser.add_argument("--before", type=Path, metavar="PATH", help="compare with an earlier checkout of the project")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="updates of each checkout, in turn")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    if arguments.serve:
        serve(arguments)
    elif arguments.before is not None:
        compare(arguments)
    else:
        measure(arguments)


def measure(arguments: argparse.Namespace) -> None:
    """Print the share of the floor."""
    work = Work(arguments)
    tokens = sum(len(micro.tokens) for micro in work.packs)
    print(
        f"{processor()}: {len(work.samples)} samples of {sum(len(s.tokens) for s in work.samples)} tokens, packed into "
        f"{tokens} in {len(work.packs)} micro-batches and {len(work.steps)} steps; {work.dtype}, {arguments.threads} "
        f"thread(s), median of {arguments.repeats}"
    )
    trained, scoring = work.trained(), work.scoring()
    shares: dict[Kind, float] = {}
    for kind in KINDS:
        extra = scoring if kind == "opmd" else []
        # Warm: shapes are compiled once.
        work.update(kind)
        multiply_alone([*trained, *extra])
        rounds = [
            (seconds_of(partial(work.update, kind)), multiply_alone(trained), multiply_alone(extra))
            for _ in range(arguments.repeats)
        ]
        whole, alone, scored = (statistics.median(column) for column in zip(*rounds, strict=True))
        shares[kind] = statistics.median((b + c) / a for a, b, c in rounds)
        strict = statistics.median(b / a for a, b, _ in rounds)
        print(
            f"{kind}: update {whole:.2f} s ({tokens / whole:.0f} packed tokens/s), its products alone "
            f"{alone + scored:.2f} s ({gigaflops([*trained, *extra]) / (alone + scored):.0f} GFLOP/s), share "
            f"{shares[kind]:.2f}; without those of the score pass {strict:.2f}"
        )
    if arguments.profile:
        print_profile(lambda: work.update("sft"))
    print(f"share of the floor: sft {shares['sft']:.2f}, opmd {shares['opmd']:.2f}")


def serve(arguments: argparse.Namespace) -> None:
    """Time an update for each line that names one; the first of a kind is not counted."""
    work = Work(arguments)
    for kind in KINDS:
        work.update(kind)
    print("ready", flush=True)
    for line in sys.stdin:
        print(seconds_of(partial(work.update, "sft" if line.strip() == "sft" else "opmd")), flush=True)


def compare(arguments: argparse.Namespace) -> None:
    """Updates by an earlier checkout and by this one in turn, each in a process of its own."""
    here = Path(__file__).resolve().parents[1]
    print(f"{processor()}: {arguments.dtype}, {arguments.threads} thread(s), {arguments.pairs} pairs", flush=True)
    sides = [_side(arguments, checkout) for checkout in (arguments.before.resolve(), here)]
    try:
        for side in sides:
            _answer(side)
        for kind in KINDS:
            pairs = [(_ask(sides[0], kind), _ask(sides[1], kind)) for _ in range(arguments.pairs)]
            before, now = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            print(f"{kind}: before {before:.2f} s, now {now:.2f} s an update, {ratio:.2f} times as fast", flush=True)
    finally:
        for side in sides:
            side.kill()


def _side(arguments: argparse.Namespace, checkout: Path) -> subprocess.Popen[str]:
    """This script on another checkout's package."""
    if not (checkout / "perilune" / "__init__.py").exists():
        raise SystemExit(f"{checkout} is no checkout of the project: it has no perilune/__init__.py")
    names = ("model", "dtype", "threads", "problems", "group_size", "prompt_tokens", "shortest", "longest")
    options = [
        part
        for name in (*names, "micro_batch_tokens", "minibatches")
        for part in (f"--{name.replace('_', '-')}", str(getattr(arguments, name)))
    ]
    return subprocess.Popen(
        [sys.executable, __file__, "--serve", *options],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _ask(side: subprocess.Popen[str], kind: Kind) -> float:
    assert side.stdin is not None
    side.stdin.write(f"{kind}\n")
    side.stdin.flush()
    return float(_answer(side))


def _answer(side: subprocess.Popen[str]) -> str:
    assert side.stdout is not None
    line = side.stdout.readline()
    if not line:
        raise SystemExit("a checkout could not be timed; its own message stands above")
    return line


def processor() -> str:
    """The processor's name and the instructions that torch uses."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    name = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "processor unknown"
    )
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


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
