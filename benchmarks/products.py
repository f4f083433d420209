"""Drawing tokens and linear layers of the local engine, each way in turns in one process, in processor time.

Drawing: by torch, with the whole vocabulary sorted, and by the compiled kernel. Layers, in the shapes of the built-in
model: plain, packed, and int8 with its rounding to and fro. Ratios are to the first way; more is faster. Usage:

    python benchmarks/products.py [--rounds 7] [--threads 1]

Held to AVX2: ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 before it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from perilune.backends.engines.integers import IntegerProduct, Quantizer, weight_levels
from perilune.backends.engines.products import packed
from perilune.backends.engines.sampling import sample_by_torch, sample_tokens

VOCABULARY = 49_152
LAYERS = {"query": (576, 576), "key": (192, 576), "gate": (1536, 576), "down": (576, 1536), "output": (VOCABULARY, 576)}
ROWS = 16, 64, 96


def compare(name: str, ways: Mapping[str, Callable[[], object]], rounds: int, repeats: int) -> None:
    """Print the median milliseconds of each way, and how much faster it is than the first."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, call in ways.items():
            start = time.process_time()
            for _ in range(repeats):
                call()
            if number:  # The first round sets libraries up.
                seconds[way].append((time.process_time() - start) / repeats)
    medians = {way: float(np.median(times)) for way, times in seconds.items()}
    first = next(iter(medians.values()))
    told = (f"{way} {1e3 * median:.3f} ms ({first / median:.2f} x)" for way, median in medians.items())
    print(f"{name}: {', '.join(told)}", flush=True)


def drawing(rounds: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for rows in ROWS:
        logits = torch.randn(rows, VOCABULARY, generator=generator) * 3
        uniforms = torch.rand(rows, generator=generator, dtype=torch.float64)
        for heat, top_p in ((1.0, 1.0), (0.7, 1.0), (1.0, 0.95), (0.0, 1.0)):
            given = logits, torch.full((rows,), heat), torch.full((rows,), top_p), uniforms
            ways = {
                "torch": lambda given=given: sample_by_torch(*given),
                "kernel": lambda given=given: sample_tokens(*given),
            }
            compare(f"drawing {rows} rows, temperature {heat}, top_p {top_p}", ways, rounds, 1)


def layers(dtype: torch.dtype, rounds: int) -> None:
    for name, (outputs, inputs) in LAYERS.items():
        linear = nn.Linear(inputs, outputs, bias=False).to(dtype).requires_grad_(False)
        quantizer = Quantizer()
        products = {"packed": packed(name, linear), "int8": IntegerProduct(linear, quantizer)}
        for product in products.values():
            if product is not None:
                product.pack(linear.weight)
        for rows in ROWS:
            # Another tensor each time, so that it is rounded each time.
            inputs_ = [torch.randn(rows, inputs).to(dtype) for _ in range(2)]
            repeats = 1 if outputs == VOCABULARY else 20
            ways: dict[str, Callable[[], object]] = {
                "plain": lambda inputs_=inputs_, linear=linear: [F.linear(x, linear.weight) for x in inputs_]
            }
            for way, product in products.items():
                if product is not None:
                    ways[way] = lambda inputs_=inputs_, product=product: [product(x) for x in inputs_]
            compare(f"{str(dtype)[6:]} {name} [{outputs}, {inputs}], twice {rows} rows", ways, rounds, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"{capability}, {arguments.threads} thread(s), int8 weights of {weight_levels()} levels to each side")
    with torch.inference_mode():
        drawing(arguments.rounds)
        layers(torch.float32, arguments.rounds)
        if capability != "AVX2":
            layers(torch.bfloat16, arguments.rounds)


if __name__ == "__main__":
    main()
