"""Partial rollouts against waiting for the longest response, on long-tailed lengths.

Most responses have 16 to 40 tokens, a few have ten times as many. Lengths are forced (no end tokens, each response has
its own limit), so that both strategies generate the same tokens of the same trajectories, with as many engine slots:

waiting  each iteration draws its responses and runs until all of them are done;
partial  each iteration draws the same ones, but a response stops after the segment budget and goes on in the next
         iteration, whose engine reads prompt and response so far once more. That is part of the measured time.

Partial rollouts thus have more responses in flight, though never more than the slots at a time. Useful tokens are
generated response tokens; those that are read again do not count. The last draws' responses need iterations without
fresh ones: the ratio is that of the steady state, from the iteration in which the first cut responses can all be done
to the last draw; the whole, with start and drained end, is printed beside it. Usage:

    python benchmarks/partial_rollouts.py [--iterations 10] [--responses 64] [--slots 64] [--segment-tokens 96]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.devices import available_cores, pick_dtype
from perilune.backends.engines.local import LocalEngine
from perilune.backends.models import load_model, load_tokenizer
from perilune.types import Request

MODEL = "smollm2-135m-instruct"
CPU = torch.device("cpu")
SHORTEST, LONGEST = 16, 40
GROUP_SIZE = 8
QUESTIONS = (
    "Tom has 23 apples and buys 18 more. How many apples does he have?",
    "A train travels 60 km in one hour. How far does it go in four hours? Explain.",
    "If 5 pens cost 15 coins, what do 8 pens cost?",
    "Add 48 and 77, then subtract 19.",
    "A box holds 12 eggs. How many eggs are in 7 boxes, if 5 of them are broken?",
    "Anna is 4 years older than Ben, and together they are 30. How old is Anna?",
    "A tank of 90 litres loses 6 litres an hour. When is it empty?",
    "What is the remainder of 100 divided by 7?",
)


@dataclass(frozen=True, slots=True)
class Phase:
    """One iteration's rollout."""

    seconds: float
    tokens: int
    """Generated, and so useful."""
    read_again: int
    """Prompt and response tokens of continued responses."""
    fresh: int
    continued: int


def draws(arguments: argparse.Namespace) -> list[list[Request]]:
    """The responses that each iteration draws, whole: one segment may take all of each."""
    tokenizer = load_tokenizer(arguments.model)
    rng = np.random.default_rng(arguments.seed)
    found: list[list[Request]] = []
    for iteration in range(arguments.iterations):
        found.append([])
        for place in range(arguments.responses):
            question = QUESTIONS[place // GROUP_SIZE % len(QUESTIONS)]
            message = [{"role": "user", "content": question}]
            prompt = tuple(tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=False))
            length = int(rng.integers(SHORTEST, LONGEST + 1))
            length *= arguments.stretch if rng.random() < arguments.long_share else 1
            seed = iteration * arguments.responses + place
            found[-1].append(Request(str(seed), prompt, (), length, length, seed=seed))
    return found


def roll_out(engine: LocalEngine, requests: Sequence[Request]) -> tuple[Phase, list[Request]]:
    """One iteration; also what it cut, as it is to be continued."""
    by_id = {request.id: request for request in requests}
    cut, tokens = [], 0
    start = time.perf_counter()
    for completion in engine.generate(requests):
        tokens += len(completion.segment.tokens)
        if not completion.segment.stop.terminal:
            request = by_id[completion.request_id]
            cut.append(replace(request, response_tokens=(*request.response_tokens, *completion.segment.tokens)))
    seconds = time.perf_counter() - start
    continued = [request for request in requests if request.response_tokens]
    read_again = sum(len(request.prompt_tokens) + len(request.response_tokens) for request in continued)
    return Phase(seconds, tokens, read_again, len(requests) - len(continued), len(continued)), cut


def waiting(engine: LocalEngine, drawn: Sequence[Sequence[Request]]) -> list[Phase]:
    return [roll_out(engine, requests)[0] for requests in drawn]


def partial(engine: LocalEngine, drawn: Sequence[Sequence[Request]], segment_tokens: int) -> list[Phase]:
    """Cut responses come first, as in the loop; after the last draw they alone go on until all are done."""
    phases: list[Phase] = []
    cut: list[Request] = []
    while len(phases) < len(drawn) or cut:
        fresh = drawn[len(phases)] if len(phases) < len(drawn) else []
        requests = [*cut, *(replace(request, segment_tokens=segment_tokens) for request in fresh)]
        phase, cut = roll_out(engine, requests)
        phases.append(phase)
    return phases


def rate(phases: Sequence[Phase]) -> float:
    return sum(phase.tokens for phase in phases) / sum(phase.seconds for phase in phases)


def describe(name: str, phases: Sequence[Phase]) -> None:
    tokens, again = sum(phase.tokens for phase in phases), sum(phase.read_again for phase in phases)
    print(
        f"{name}: {len(phases)} iterations, {tokens} useful tokens in {sum(p.seconds for p in phases):.1f} s "
        f"({rate(phases):.0f} tokens/s), {again} tokens read again, longest iteration "
        f"{max(phase.seconds for phase in phases):.1f} s"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--iterations", type=int, default=10, help="iterations that draw responses")
    parser.add_argument("--responses", type=int, default=64, help="drawn per iteration")
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--segment-tokens", type=int, default=96, help="budget of a partial rollout per iteration")
    parser.add_argument("--long-share", type=float, default=0.05, help="share of long responses")
    parser.add_argument("--stretch", type=int, default=10, help="how many times as long these are")
    parser.add_argument("--seed", type=int, default=0, help="of the lengths")
    arguments = parser.parse_args()
    arguments.fill = -(-LONGEST * arguments.stretch // arguments.segment_tokens) - 1
    if arguments.iterations <= arguments.fill:
        parser.error(f"with this segment budget the steady state begins after {arguments.fill} iterations; draw more")
    return arguments


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    dtype = pick_dtype(arguments.dtype, CPU)
    model = load_model(arguments.model, dtype, CPU)
    engine = LocalEngine(model, (), slots=arguments.slots, detector=lambda: RepetitionDetector(1, 10_000, 1))
    drawn = draws(arguments)
    lengths = [request.max_response_tokens for requests in drawn for request in requests]
    print(
        f"{len(lengths)} responses of {min(lengths)} to {max(lengths)} tokens, median {np.median(lengths):.0f}, "
        f"{sum(length > LONGEST for length in lengths) / len(lengths):.0%} long; {arguments.slots} slots, {dtype}, "
        f"{arguments.threads} threads"
    )
    roll_out(engine, [replace(request, segment_tokens=4) for request in drawn[0]])
    whole, segmented = waiting(engine, drawn), partial(engine, drawn, arguments.segment_tokens)
    assert sum(p.tokens for p in whole) == sum(p.tokens for p in segmented) == sum(lengths)
    steady = segmented[arguments.fill : len(drawn)]
    describe("waiting", whole)
    describe("partial, start and drained end included", segmented)
    describe("partial, steady state", steady)
    longest = max(p.seconds for p in whole) / max(p.seconds for p in segmented)
    print(f"the longest iteration: {longest:.2f} times as long when waiting")
    print(
        f"ratio of useful tokens per second, steady state: {rate(steady) / rate(whole):.2f} "
        f"(start and drained end included: {rate(segmented) / rate(whole):.2f})"
    )


if __name__ == "__main__":
    main()
