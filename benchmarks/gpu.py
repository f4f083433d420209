"""What one GPU does: decoding beside vLLM, training as a share of the device's peak, and bf16 against fp32.

decoding   ragged responses of 20 to 200 tokens by the local engine and, where --vllm-python names a Python that has it,
           by vLLM, in turn, five times each; the median of the ratios.
training   an update of opmd on a model of --training-parameters (Llama's shape, random weights): the floating-point
           operations of its matrix products (6 a parameter and token, the embedding apart, and those of attention)
           over the time, as a share of what one large product in the same type reaches in the same run.
agreement  log-probabilities of the engine in bf16 against the trainer in bf16 and in fp32, on what the engine wrote.

Each part that cannot run here says so by name. Usage: make test-gpu, or

    python benchmarks/gpu.py [--vllm-python .venv-vllm/bin/python] [--responses 256] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.engines.local import LocalEngine
from perilune.backends.models import load_model, load_tokenizer, weights_of
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.protocols import Engine
from perilune.recipe.training import TrainerConfig
from perilune.types import Objective, OptimizerStep, Request, Sample

MODEL = "smollm2-135m-instruct"
NO_END = 1 << 30
ANSWER = "tokens/s:"


def requests_for(count: int, prompt_tokens: int = 100) -> list[Request]:
    """Random prompts; what they say does not matter for the time."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        prompt = tuple(rng.integers(10, 40_000, prompt_tokens).tolist())
        length = int(rng.integers(20, 201))
        found.append(Request(str(number), prompt, (), length, length, seed=number))
    return found


def make_engine(model: PreTrainedModel, slots: int) -> LocalEngine:
    return LocalEngine(model, (NO_END,), slots=slots, detector=lambda: RepetitionDetector(1, 10_000, 1_000_000))


def decode(engine: Engine, requests: Sequence[Request]) -> float:
    """Tokens a second."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    tokens = sum(len(done.segment.tokens) for done in engine.generate(requests))
    torch.cuda.synchronize()
    return tokens / (time.perf_counter() - start)


def serve_vllm(responses: int) -> None:
    """In vLLM's own Python: one line in, one rate out."""
    from perilune.backends.builtin_models import fetch_builtin
    from perilune.backends.engines.vllm.core import VllmCore
    from perilune.backends.engines.vllm.engine import VllmEngine
    from perilune.backends.engines.vllm.options import VllmOptions
    from perilune.backends.weights.transfer import InProcessTransfer

    options = VllmOptions(
        model=str(fetch_builtin(MODEL)),
        dtype="bfloat16",
        device="cuda",
        slots=responses,
        end_tokens=(NO_END,),
        repetition=(1, 10_000, 1_000_000),
        cache_gb=None,
        memory_share=0.4,
        max_model_tokens=None,
        tensor_parallel=1,
        compiled=True,
        sleep=False,
        threads=1,
    )
    engine = VllmEngine(VllmCore(options), InProcessTransfer(), context=None)
    engine.load_weights(weights_of(load_model(MODEL, torch.bfloat16, torch.device("cpu"))), 0)
    for _ in sys.stdin:
        print(ANSWER, decode(engine, requests_for(responses)), flush=True)


def measure_decoding(arguments: argparse.Namespace) -> None:
    engine = make_engine(load_model(MODEL, torch.bfloat16, torch.device("cuda")), arguments.responses)
    requests = requests_for(arguments.responses)
    decode(engine, requests[:8])
    if arguments.vllm_python is None or not Path(arguments.vllm_python).exists():
        rates = [decode(engine, requests) for _ in range(arguments.rounds)]
        print(f"decoding: {statistics.median(rates):.0f} tokens/s; not compared with vLLM: --vllm-python names none")
        return
    command = [arguments.vllm_python, __file__, "--serve-vllm", "--responses", str(arguments.responses)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdin is not None and peer.stdout is not None

        def theirs() -> float:
            print("go", file=peer.stdin, flush=True)
            # vLLM writes messages of its own between.
            for line in peer.stdout or ():
                if line.startswith(ANSWER):
                    return float(line.removeprefix(ANSWER))
            raise SystemExit("decoding: vLLM's process ended; see its messages above")

        theirs()
        pairs = [(decode(engine, requests), theirs()) for _ in range(arguments.rounds)]
        peer.stdin.close()
    ratio = statistics.median(mine / other for mine, other in pairs)
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"decoding: local {mine:.0f} tokens/s, vLLM, seeded {other:.0f}; ratio {ratio:.2f}")


def peak(dtype: torch.dtype, size: int = 8192, runs: int = 20) -> float:
    """Operations a second of one large product."""
    left, right = (torch.randn(size, size, device="cuda", dtype=dtype) for _ in range(2))
    for _ in range(5):
        left @ right
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(runs):
        left @ right
    torch.cuda.synchronize()
    return 2 * size**3 * runs / (time.perf_counter() - start)


def make_samples(groups: int, size: int, prompt: int, response: int, vocabulary: int) -> list[Sample]:
    rng = np.random.default_rng(1)
    found = []
    for group in range(groups):
        question = tuple(rng.integers(0, vocabulary, prompt).tolist())
        for number in range(size):
            answer = tuple(rng.integers(0, vocabulary, response).tolist())
            mask = (False,) * prompt + (True,) * response
            advantage = 1.0 if number % 2 else -1.0
            found.append(
                Sample(question + answer, prompt, mask, advantage, (0.0,) * response, (0,) * response, group=group)
            )
    return found


def measure_training(arguments: argparse.Namespace) -> None:
    wide = arguments.training_width
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=wide,
        intermediate_size=4 * wide,
        num_hidden_layers=arguments.training_layers,
        num_attention_heads=wide // 128,
        num_key_value_heads=wide // 128,
        max_position_embeddings=4096,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).to("cuda")
    inner = sum(p.numel() for name, p in model.named_parameters() if "embed" not in name and "lm_head" not in name)
    groups, size, prompt, response = 4, 8, 128, 896
    samples = make_samples(groups, size, prompt, response, config.vocab_size)
    trainer = TorchTrainer(model, load_tokenizer(MODEL), TrainerConfig(micro_batch_tokens=8192), torch.bfloat16)
    steps = [OptimizerStep(tuple(range(len(samples))), 1e-6)]
    seconds = []
    for _ in range(1 + arguments.rounds):
        trainer.begin_iteration()
        torch.cuda.synchronize()
        start = time.perf_counter()
        trainer.update(samples, Objective("opmd"), steps)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    tokens, predicted = groups * (prompt + size * response), groups * size * response
    seen = groups * (prompt**2 / 2 + size * response * (prompt + response / 2))
    work = 6 * inner * tokens + 6 * config.vocab_size * wide * predicted + 12 * config.num_hidden_layers * wide * seen
    best = statistics.median(seconds[1:])
    reached, top = work / best, peak(torch.bfloat16)
    print(
        f"training: {inner / 1e9:.2f}B parameters, {tokens / best:.0f} tokens/s, {reached / 1e12:.0f} TFLOP/s, "
        f"{reached / top:.2f} of one large product's {top / 1e12:.0f}"
    )


def measure_agreement() -> None:
    requests = requests_for(64)
    written = make_engine(load_model(MODEL, torch.bfloat16, torch.device("cuda")), 64)
    done = {completion.request_id: completion.segment for completion in written.generate(requests)}
    samples = [
        Sample(
            request.prompt_tokens + done[request.id].tokens,
            len(request.prompt_tokens),
            (False,) * len(request.prompt_tokens) + (True,) * len(done[request.id].tokens),
            0.0,
            done[request.id].logprobs,
            (0,) * len(done[request.id].tokens),
        )
        for request in requests
    ]
    own = np.concatenate([sample.behaviour_logprobs for sample in samples])
    for dtype in (torch.bfloat16, torch.float32):
        model = load_model(MODEL, torch.float32, torch.device("cuda"))
        trainer = TorchTrainer(model, load_tokenizer(MODEL), TrainerConfig(), dtype)
        gap = np.abs(np.concatenate(trainer.logprobs(samples)) - own)
        name = str(dtype).removeprefix("torch.")
        print(f"agreement: engine in bfloat16, trainer in {name}: mean {gap.mean():.4f}, largest {gap.max():.3f} nats")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--responses", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--training-width", type=int, default=2048)
    parser.add_argument("--training-layers", type=int, default=16)
    parser.add_argument("--vllm-python", default=None)
    parser.add_argument("--serve-vllm", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_vllm:
        serve_vllm(arguments.responses)
        return
    if not torch.cuda.is_available():
        for name in ("decoding against vLLM", "training's share of the peak", "agreement in bf16"):
            print(f"{name}: skipped, there is no CUDA device")
        return
    print(torch.cuda.get_device_name(), torch.__version__)
    measure_decoding(arguments)
    measure_training(arguments)
    measure_agreement()


if __name__ == "__main__":
    main()
