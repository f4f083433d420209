"""Decoding ragged responses: the local engine beside its earlier self, vLLM, transformers and llama.cpp, in one run.

Responses of 20 to 200 tokens to prompts of about 100 tokens, eight to a prompt; lengths are forced (no end tokens), so
that all produce the same number of tokens. Each contender is a process of its own that has loaded its model; they take
turns, each round with new prompts, and only one works at a time. Ratios are of tokens per second, medians over the
rounds. Who is not there (--before, vLLM by make vllm, llama.cpp by make llamacpp) is left out. All together need more
than 24 GB; where there is less, take one --dtype at a time. Usage:

    python benchmarks/decoding.py [--before CHECKOUT] [--vllm-python .venv-vllm/bin/python]
        [--llamacpp-python PYTHON] [--sizes 64:64 96:96 96:64] [--dtype float32 bfloat16 int8] [--temperature 1]

--temperature 0 compares the tokens with those of transformers and vLLM, one by one. An AVX2 machine is emulated by

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
from contenders.process import Contender, alternate, compare, processor, produced, rate
from workloads import MODEL, Prompts, grouped

from perilune.backends.devices import available_cores
from perilune.recipe.engine import EngineConfig

CONTEXT = 512
"""Tokens that a slot of llama.cpp holds."""
AIMS = {"now/before": {"float32": 1.75, "bfloat16": 1.35}, "now/vllm seeded": 1.0, "now int8/vllm": 1.4}
TYPES = ("float32", "bfloat16", "int8")


def offered(dtype: str) -> bool:
    """Whether this checkout's engine has a compute type."""
    return dtype in get_args(EngineConfig.model_fields["dtype"].annotation)


def local(name: str, dtype: str, given: argparse.Namespace, slots: int, source: Path | None = None) -> Contender:
    settings = {"dtype": dtype, "slots": slots, "threads": given.threads, "forced": True, "as_given": False}
    where = {} if source is None else {"source": source}
    return Contender(f"{name} {dtype}", "run_local.py", settings | {"options": {}}, **where)


def contenders(given: argparse.Namespace, slots: int) -> list[Contender]:
    """Those that a ratio compares stand side by side."""
    found = []
    plain = [dtype for dtype in given.dtype if dtype != "int8"]
    for dtype in plain:
        found.append(local("now", dtype, given, slots))
        if given.before is not None:
            found.append(local("before", dtype, given, slots, given.before))
    if "int8" in given.dtype and offered("int8"):
        found.append(local("now", "int8", given, slots))
    for dtype in given.vllm_dtype or plain:
        for name, seeded in (("vllm seeded", True), ("vllm unseeded", False)) if given.vllm_python else ():
            settings = {"dtype": dtype, "slots": slots, "threads": given.threads, "seeded": seeded}
            settings["compiled"] = given.vllm_compiled
            preload = {"LD_PRELOAD": " ".join(given.vllm_preload)} if given.vllm_preload else {}
            found.append(Contender(f"{name} {dtype}", "run_vllm.py", settings, given.vllm_python, environment=preload))
    if given.llamacpp_python:
        from gguf_files import gguf_file

        for kind in given.llamacpp:
            path = str(gguf_file(MODEL, kind))
            settings = {"path": path, "slots": slots, "threads": given.threads, "context": CONTEXT}
            found.append(Contender(f"llama.cpp {kind}", "run_llamacpp.py", settings, given.llamacpp_python))
    for dtype in plain:
        for name, continuous in (("generate", False), ("generate_batch", True)):
            if given.transformers and (given.continuous_batching or not continuous):
                settings = {"dtype": dtype, "threads": given.threads, "continuous": continuous}
                found.append(Contender(f"{name} {dtype}", "run_transformers.py", settings))
    return found


def workloads(given: argparse.Namespace, responses: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One to warm up, and one a round: other prompts and seeds, the same lengths."""
    rng, prompts = np.random.default_rng(0), Prompts(0)
    lengths = [int(n) for n in rng.integers(given.lengths[0], given.lengths[1] + 1, responses)]
    made = [
        grouped(prompts, lengths, 1_000_000 + number * responses, given.temperature, given.top_p)
        for number in range(given.rounds)
    ]
    return grouped(prompts, [8] * responses, 0, given.temperature, given.top_p), made


def measure(given: argparse.Namespace, responses: int, slots: int) -> None:
    warm, rounds = workloads(given, responses)
    requests = rounds[0]["requests"]
    tokens = sum(r["segment_tokens"] for r in requests)
    prompt = statistics.mean(len(r["prompt_tokens"]) for r in requests)
    print(
        f"\n{responses} responses at {slots} slots: {tokens} tokens after prompts of {prompt:.0f}, "
        f"temperature {given.temperature:g}, top_p {given.top_p:g}, {given.rounds} rounds in alternation"
    )
    taking_part = contenders(given, slots)
    try:
        for contender in taking_part:
            contender.start()
            contender.ask(warm)
            print(f"  {contender.name}: " + ", ".join(f"{k} {v}" for k, v in contender.description.items()))
        alternate(taking_part, rounds)
    finally:
        for contender in taking_part:
            contender.close()
    for contender in taking_part:
        speeds = [rate(answer) for answer in contender.answers]
        busy = statistics.median(answer["processor_seconds"] for answer in contender.answers)
        seconds = statistics.median(answer["seconds"] for answer in contender.answers)
        print(
            f"  {contender.name:24} {seconds:7.2f} s, {busy:7.2f} s of processor, "
            f"{statistics.median(speeds):6.0f} tokens/s ({min(speeds):.0f} to {max(speeds):.0f})" + guesses(contender)
        )
        if not contender.name.startswith("generate_batch"):
            assert all(produced(answer) == tokens for answer in contender.answers), contender.name
    report({contender.name: contender for contender in taking_part}, given)


def guesses(contender: Contender) -> str:
    made = sum(answer.get("guessed", 0) for answer in contender.answers)
    drawn = sum(answer.get("accepted", 0) for answer in contender.answers)
    return f", {drawn} of {made} guesses drawn" if made else ""


def report(found: dict[str, Contender], given: argparse.Namespace) -> None:
    """The ratios that are judged, then all others of the engine as it is now."""
    mine = [name for name in found if name.startswith("now ")]
    others = [name for name in found if name not in mine]
    judged = [(f"now {dtype}", f"before {dtype}", aim) for dtype, aim in AIMS["now/before"].items()]
    judged += [(f"now {dtype}", f"vllm seeded {dtype}", AIMS["now/vllm seeded"]) for dtype in TYPES]
    judged += [("now int8", name, AIMS["now int8/vllm"]) for name in found if name.startswith("vllm")]
    for one, other, aim in judged:
        if one in found and other in found:
            ratio = compare(found[one], found[other])
            print(f"  {one} / {other}: {ratio}; at least {aim:g}: {'yes' if ratio.median >= aim else 'no'}")
    done = {(one, other) for one, other, _ in judged}
    for one in mine:
        for other in others:
            if (one, other) not in done:
                print(f"  {one} / {other}: {compare(found[one], found[other])}")
    speed = {name: statistics.median(map(rate, contender.answers)) for name, contender in found.items()}
    for kind in ("before", "vllm seeded", "vllm unseeded", "llama.cpp", "generate"):
        if peers := [name for name in others if name.startswith(kind) and "batch" not in name]:
            one, other = max(mine, key=speed.__getitem__), max(peers, key=speed.__getitem__)
            print(f"  the fastest types, {one} / {other}: {compare(found[one], found[other])}")
    same_tokens(found, given.temperature)


def same_tokens(found: dict[str, Contender], temperature: float) -> None:
    """Greedy tokens are to be the same everywhere; drawn ones where the seeds mean the same."""
    for dtype in ("float32", "bfloat16"):
        for other in [
            f"before {dtype}",
            *(f"{name} {dtype}" for name in ("vllm seeded", "generate") if not temperature),
        ]:
            if f"now {dtype}" not in found or other not in found:
                continue
            pairs = [
                (a, b)
                for mine, theirs in zip(found[f"now {dtype}"].answers, found[other].answers, strict=True)
                for name, tokens in mine["tokens"].items()
                for a, b in zip(tokens, theirs["tokens"][name], strict=True)
            ]
            print(f"  now {dtype}: {sum(a == b for a, b in pairs) / len(pairs):.1%} of tokens the same as {other}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["64:64", "96:96", "96:64"], help="responses:slots")
    parser.add_argument("--lengths", type=int, nargs=2, default=[20, 200], help="shortest and longest response")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", nargs="+", choices=TYPES, default=list(TYPES))
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--before", type=Path, help="another checkout of Perilune")
    parser.add_argument("--vllm-python", help="a Python that has vLLM; by default that of make vllm, if it is there")
    parser.add_argument("--vllm-dtype", nargs="+", choices=("float32", "bfloat16"), help="by default as --dtype")
    parser.add_argument("--vllm-compiled", action="store_true", help="let vLLM compile the model")
    parser.add_argument("--vllm-preload", nargs="+", help="libraries that vLLM's process begins with, e.g. libiomp5.so")
    parser.add_argument("--llamacpp-python", help="a Python that has xllamacpp; by default that of make llamacpp")
    parser.add_argument("--llamacpp", nargs="+", choices=("f32", "f16", "bf16", "q8_0"), default=["f16", "q8_0"])
    parser.add_argument("--no-transformers", dest="transformers", action="store_false")
    parser.add_argument("--continuous-batching", action="store_true", help="measure transformers' generate_batch too")
    given = parser.parse_args()
    for name, usual in (("vllm_python", ".venv-vllm/bin/python"), ("llamacpp_python", ".venv-llamacpp/bin/python")):
        if getattr(given, name) is None and Path(usual).exists():
            setattr(given, name, usual)
    if "int8" in given.dtype and not offered("int8"):
        print("int8: this engine does not offer it; left out", file=sys.stderr)
    return given


def main() -> None:
    given = parse()
    print(f"{processor()}; {given.threads} threads")
    for size in given.sizes:
        responses, slots = map(int, size.split(":"))
        measure(given, responses, slots)


if __name__ == "__main__":
    main()
