"""The local engine against vLLM, both against bare forward passes; and weight transfer against a plain copy.

Decoding: 96 responses of ragged length (20 to 200 tokens) from the built-in model, sampled, as in a rollout. The floor
is the model's forward pass alone, one token a row, over the batches that a perfect scheduler would run: no cache read,
no sampling. Transfer: from the trainer's tensors to tensors of another process. Usage, where vLLM is installed:

    .venv-vllm/bin/python benchmarks/vllm_engine.py [--responses 96] [--slots 64] [--repeats 2] [--dtype bfloat16]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.builtin_models import fetch_builtin
from perilune.backends.devices import available_cores
from perilune.backends.engines.local import LocalEngine
from perilune.backends.engines.vllm.core import VllmCore
from perilune.backends.engines.vllm.engine import VllmEngine
from perilune.backends.engines.vllm.options import VllmOptions
from perilune.backends.engines.vllm.process import VllmProcess
from perilune.backends.models import load_model, load_tokenizer, weights_of
from perilune.backends.weights.shared_memory import SharedBlock, SharedWeights
from perilune.backends.weights.transfer import InProcessTransfer, SharedMemoryTransfer
from perilune.protocols import Engine
from perilune.types import Request

MODEL = "smollm2-135m-instruct"
NO_END = (1 << 30,)
NO_REPETITION = (1, 10_000, 1_000_000)
READER = """
import json, sys, time
import torch
from perilune.backends.weights.shared_memory import Manifest, read_weights
torch.set_num_threads(int(sys.argv[1]))
kept = {}
for line in sys.stdin:
    start = time.perf_counter()
    with read_weights(Manifest.from_json(json.loads(line))) as weights:
        for name, weight in weights:
            if name not in kept:
                kept[name] = torch.zeros_like(weight)
            kept[name].copy_(weight)
    print(time.perf_counter() - start, flush=True)
"""


def requests_for(count: int, seed: int) -> list[Request]:
    tokenizer = load_tokenizer(MODEL)
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        question = f"Tom has {number + 2} apples and buys {2 * number + 1} more. How many apples does he have? Explain."
        turns = [{"role": "user", "content": question}]
        prompt = tuple(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))
        length = int(rng.integers(20, 201))
        found.append(Request(str(number), prompt, (), length, length, seed=number, temperature=0.7))
    return found


def run(engine: Engine, requests: Sequence[Request]) -> float:
    start = time.perf_counter()
    tokens = sum(len(completion.segment.tokens) for completion in engine.generate(requests))
    seconds = time.perf_counter() - start
    assert tokens == sum(request.segment_tokens for request in requests)
    return seconds


def floor_seconds(model: PreTrainedModel, requests: Sequence[Request], slots: int) -> float:
    """Forward passes alone, over the batches of a scheduler that fills each free slot at once."""
    waiting, running, batches = [r.segment_tokens for r in requests][::-1], [], []
    while waiting or running:
        while waiting and len(running) < slots:
            running.append(waiting.pop())
        batches.append(len(running))
        running = [left - 1 for left in running if left > 1]
    sizes = sorted({1, 8, 16, 32, 48, slots})
    measured = [_fastest(lambda size=size: _forward(model, size, 1)) for size in sizes]  # type: ignore[misc]
    decode = float(np.interp(batches, sizes, measured).sum())
    prompt = sum(len(r.prompt_tokens) for r in requests) // len(requests)
    return decode + len(requests) / 16 * _fastest(lambda: _forward(model, 16, prompt))


@torch.inference_mode()
def _forward(model: PreTrainedModel, rows: int, length: int) -> None:
    model(torch.full((rows, length), 5), use_cache=False, logits_to_keep=1)


def _fastest(action: Callable[[], None], runs: int = 5) -> float:
    action()
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - start)
    return best


def options_for(dtype: str, slots: int, seeded: bool = True) -> VllmOptions:
    return VllmOptions(
        model=str(fetch_builtin(MODEL)),
        dtype=dtype,
        device="cpu",
        slots=slots,
        end_tokens=NO_END,
        repetition=NO_REPETITION,
        cache_gb=1.0,
        memory_share=0.85,
        max_model_tokens=None,
        tensor_parallel=1,
        compiled=False,
        sleep=False,
        threads=available_cores(),
        seeded=seeded,
    )


def decoding(dtype: torch.dtype, count: int, slots: int, repeats: int, folder: Path) -> None:
    requests, warm = requests_for(count, 0), requests_for(8, 1)
    tokens = sum(r.segment_tokens for r in requests)
    name = str(dtype).removeprefix("torch.")
    print(f"{name}: {count} responses, {tokens} tokens, {slots} at once")
    model = load_model(MODEL, dtype, torch.device("cpu"))
    options = options_for(name, slots)
    vllm_process = VllmEngine(
        VllmProcess(options, log=folder / "engine.log"), SharedMemoryTransfer(dtype), context=None
    )
    vllm_here = VllmEngine(VllmCore(options), InProcessTransfer(), context=None)
    without = options_for(name, slots, seeded=False)
    unseeded = VllmEngine(VllmProcess(without, log=folder / "engine.log"), SharedMemoryTransfer(dtype), context=None)
    for engine in (vllm_process, vllm_here, unseeded):
        engine.load_weights(weights_of(model), 0)
    serving = load_model(MODEL, dtype, torch.device("cpu"))
    local = LocalEngine(serving, NO_END, slots=slots, detector=lambda: RepetitionDetector(*NO_REPETITION))
    engines: dict[str, Engine] = {"local": local, "vllm process": vllm_process, "vllm in process": vllm_here}
    engines["vllm no seeds"] = unseeded
    best: dict[str, float] = {}
    for engine in engines.values():
        run(engine, warm)
    for _ in range(repeats):
        for label, engine in engines.items():
            best[label] = min(best.get(label, float("inf")), run(engine, requests))
    floor = floor_seconds(model, requests, slots)
    for label, seconds in best.items():
        print(
            f"  {label:16} {seconds:6.1f} s  {tokens / seconds:6.0f} tokens/s  {seconds / floor:5.2f} x the bare "
            f"forward passes  {best['vllm process'] / seconds:5.2f} x vLLM's speed"
        )
    print(f"  {'forward passes':16} {floor:6.1f} s  {tokens / floor:6.0f} tokens/s")
    for engine in (vllm_process, vllm_here, unseeded):
        engine.end()


def transfer(dtype: torch.dtype, folder: Path) -> None:
    """GB/s are of the bytes that another process reads; the plain copy is of as many, within one process."""
    model = load_model(MODEL, torch.float32, torch.device("cpu"))
    name = str(dtype).removeprefix("torch.")
    home = SharedBlock()
    flat = home.allocate(sum(weight.numel() for _, weight in weights_of(model)))
    lying, start = [], 0
    for key, weight in weights_of(model):
        part = flat[start : start + weight.numel()].view(weight.shape)
        part.copy_(weight)
        lying.append((key, part))
        start += weight.numel()
    elsewhere = [(key, weight.clone()) for key, weight in lying]
    _transferred("trainer's weights in shared memory, as in a run", SharedWeights(dtype, home), lying, torch.float32)
    _transferred(f"copied to shared memory as {name}", SharedWeights(dtype), elsewhere, dtype)
    engine = VllmEngine(
        VllmProcess(options_for(name, 8), log=folder / "engine.log"), SharedMemoryTransfer(dtype, home), context=None
    )
    begin = time.perf_counter()
    engine.start()
    print(f"vLLM in {name} starts with dummy weights in {time.perf_counter() - begin:.1f} s")
    loads = []
    for version in range(4):
        begin = time.perf_counter()
        engine.load_weights(lying, version)
        loads.append(time.perf_counter() - begin)
    size = flat.numel() * 4 / 1e9
    print(f"  registered, loaded, repacked and confirmed by vLLM in {min(loads):.2f} s ({size / min(loads):.2f} GB/s)")
    engine.end()


def _transferred(
    label: str, shared: SharedWeights, weights: Sequence[tuple[str, torch.Tensor]], dtype: torch.dtype
) -> None:
    source = [weight.to(dtype, copy=True) for _, weight in weights]
    target = [torch.zeros_like(weight) for weight in source]
    size = sum(weight.numel() * weight.element_size() for weight in source) / 1e9

    def plain() -> None:
        for here, there in zip(source, target, strict=True):
            there.copy_(here)

    copy, written, read = _fastest(plain), float("inf"), float("inf")
    command = [sys.executable, "-c", READER, str(torch.get_num_threads())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin is not None and reader.stdout is not None
        for version in range(6):
            start = time.perf_counter()
            manifest = shared.write(weights, version)
            written = min(written, time.perf_counter() - start)
            reader.stdin.write(json.dumps(manifest.to_json()) + "\n")
            reader.stdin.flush()
            read = min(read, float(reader.stdout.readline()))
        reader.stdin.close()
    # Again, for the machine may have been slower before.
    copy, whole = min(copy, _fastest(plain)), written + read
    print(
        f"{label}: {size:.3f} GB at {size / whole:.1f} GB/s (registered in {1e3 * written:.0f} ms, read in "
        f"{1e3 * read:.0f} ms); plain copy {size / copy:.1f} GB/s; ratio {copy / whole:.2f}"
    )
    shared.release()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--responses", type=int, default=96)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--only", choices=("decoding", "transfer"))
    arguments = parser.parse_args()
    torch.set_num_threads(available_cores())
    with tempfile.TemporaryDirectory() as folder:
        for dtype in (getattr(torch, name) for name in arguments.dtype):
            if arguments.only != "decoding":
                transfer(dtype, Path(folder))
            if arguments.only != "transfer":
                decoding(dtype, arguments.responses, arguments.slots, arguments.repeats, Path(folder))


if __name__ == "__main__":
    main()
