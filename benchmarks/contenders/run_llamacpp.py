"""Contender: llama.cpp's server in this process, one slot per response, by the wheel xllamacpp (pip install xllamacpp).

Settings: path of a GGUF file, slots, threads, context (tokens that a slot holds). Its wheels for Linux are built for
AVX2 at most, whatever the processor has.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import xllamacpp
from answering import serve, settings


def make_server(given: dict[str, Any]) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = given["path"]
    params.n_parallel = given["slots"]
    params.n_ctx = given["slots"] * given["context"]
    params.cont_batching = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = given["threads"]
    params.fit_params = False
    params.cache_ram_mib = 0
    params.verbosity = 0
    params.ui = False
    return xllamacpp.Server(params)


def body(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt": request["prompt_tokens"],
        "n_predict": request["segment_tokens"],
        "max_tokens": request["segment_tokens"],
        "ignore_eos": True,
        "temperature": request["temperature"],
        "top_p": request["top_p"],
        "top_k": 0,
        "min_p": 0.0,
        # The whole vocabulary, and nothing else done to it.
        "samplers": ["top_p", "temperature"] if request["top_p"] < 1 else ["temperature"],
        "seed": request["seed"],
        "return_tokens": True,
        "cache_prompt": True,
    }


def main() -> None:
    given = settings()
    server = make_server(given)

    def complete(request: dict[str, Any]) -> tuple[str, int]:
        found = server.handle_completions(body(request))
        if "usage" not in found:
            raise RuntimeError(f"request {request['id']}: {str(found)[:500]}")
        return request["id"], found["usage"]["completion_tokens"]

    # One thread a request: it only waits.
    pool = ThreadPoolExecutor(max(given["slots"], 256))

    def run(workload: dict[str, Any]) -> dict[str, Any]:
        return {"counts": dict(pool.map(complete, workload["requests"]))}

    told = {"xllamacpp": version("xllamacpp"), "system": xllamacpp.get_system_info().strip()}
    serve({**told, "file": given["path"], "threads": given["threads"]}, run)


if __name__ == "__main__":
    main()
