"""Long-tailed lengths: the engine beside its earlier self, and partial rollouts beside waiting for the longest.

Most responses have 16 to 40 tokens, some ten times as many. Lengths are forced (no end tokens, each response has its
own limit), so that all generate the same tokens of the same trajectories, with as many engine slots:

waiting  each iteration draws its responses and runs until all of them are done;
partial  each iteration draws the same ones, but a response stops after the segment budget and goes on in the next
         iteration, whose engine reads prompt and response so far once more. That is part of the measured time.

Engines and ways take turns, iteration by iteration; each engine is a process of its own. Partial rollouts have more
responses in flight, though never more than the slots at a time. Useful tokens are generated response tokens; those that
are read again do not count. Ratios are of useful tokens per second in the steady state, from the iteration in which
the first cut responses can all be done to the last draw: of all its iterations together, and the median of its pairs.
With --natural responses end where the model ends them, at a low temperature, so that guesses are not flattered by texts
that go on after their end. Usage:

    python benchmarks/partial_rollouts.py [--before CHECKOUT] [--natural] [--iterations 10] [--responses 64]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from contenders.process import Contender, processor
from workloads import GROUP_SIZE, INSTRUCTIONS, Prompts, grouped

from perilune.backends.devices import available_cores

SHORTEST, LONGEST = 16, 40
AIMS = {"now/before": 1.6, "partial/waiting": 1.35}


@dataclass(frozen=True, slots=True)
class Phase:
    """One iteration's rollout."""

    seconds: float
    processor_seconds: float
    tokens: int
    """Generated, and so useful."""
    read_again: int
    """Prompt and response tokens of continued responses."""
    finished: dict[str, int]
    """Length of each response that came to its end."""
    guessed: int
    accepted: int


@dataclass(slots=True)
class Rollouts:
    """One engine's rollouts in one of the two ways."""

    name: str
    engine: Contender
    segment_tokens: int | None
    """None: wait for the longest."""
    cut: list[dict[str, Any]] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)

    def iterate(self, fresh: Sequence[dict[str, Any]]) -> None:
        """One iteration; cut responses come first, as in the loop."""
        budget = {} if self.segment_tokens is None else {"segment_tokens": self.segment_tokens}
        requests = [*self.cut, *(request | budget for request in fresh)]
        answer = self.engine.ask({"requests": requests})
        tokens, ended = answer["tokens"], set(answer["ended"])
        self.cut = [
            request | {"response_tokens": request["response_tokens"] + tokens[request["id"]]}
            for request in requests
            if request["id"] not in ended
        ]
        self.phases.append(
            Phase(
                seconds=answer["seconds"],
                processor_seconds=answer["processor_seconds"],
                tokens=sum(map(len, tokens.values())),
                read_again=sum(
                    len(r["prompt_tokens"]) + len(r["response_tokens"]) for r in requests if r["response_tokens"]
                ),
                finished={
                    r["id"]: len(r["response_tokens"]) + len(tokens[r["id"]]) for r in requests if r["id"] in ended
                },
                guessed=answer["guessed"],
                accepted=answer["accepted"],
            )
        )
        print(
            f"  iteration {len(self.phases)}: {self.name} {answer['seconds']:.1f} s, {self.phases[-1].tokens} tokens",
            file=sys.stderr,
            flush=True,
        )

    def drain(self) -> None:
        """After the last draw, cut responses alone go on until all are done."""
        while self.cut:
            self.iterate([])


def draws(given: argparse.Namespace) -> list[list[dict[str, Any]]]:
    """The responses that each iteration draws, whole: one segment may take all of each."""
    rng = np.random.default_rng(given.seed)
    prompts = Prompts(given.seed, INSTRUCTIONS if given.natural else "")
    found: list[list[dict[str, Any]]] = []
    for iteration in range(given.iterations):
        lengths = rng.integers(SHORTEST, LONGEST + 1, given.responses)
        lengths = np.where(rng.random(given.responses) < given.long_share, lengths * given.stretch, lengths)
        if given.natural:
            lengths = np.full(given.responses, LONGEST * given.stretch)
        first = iteration * given.responses
        found.append(grouped(prompts, lengths.tolist(), first, given.temperature, given.top_p)["requests"])
    return found


def make_contenders(given: argparse.Namespace) -> dict[str, Contender]:
    base = {"dtype": given.dtype, "slots": given.slots, "threads": given.threads, "forced": not given.natural}
    kinds: dict[str, dict[str, Any]] = {"now": {"options": {}, "as_given": False}}
    if given.before is not None:
        kinds["before"] = {"options": {}, "as_given": False}
    if not given.only_judged:
        kinds["now, no guesses"] = {"options": {"drafts": False}, "as_given": False}
        kinds["now, as given"] = {"options": {}, "as_given": True}
    places = {"before": {"source": given.before}}
    return {name: Contender(name, "run_local.py", base | kind, **places.get(name, {})) for name, kind in kinds.items()}


def make_rollouts(contenders: dict[str, Contender], segment_tokens: int) -> dict[str, Rollouts]:
    """Those that a ratio compares stand side by side."""
    ways = [("now", "partial"), ("before", "partial"), ("now, no guesses", "partial"), ("now, as given", "partial")]
    ways += [("now", "waiting"), ("before", "waiting"), ("now, no guesses", "waiting")]
    return {
        f"{name}: {way}": Rollouts(f"{name}: {way}", contenders[name], segment_tokens if way == "partial" else None)
        for name, way in ways
        if name in contenders
    }


def rate(phases: Iterable[Phase], seconds: Callable[[Phase], float] = lambda p: p.seconds) -> float:
    phases = tuple(phases)
    return sum(phase.tokens for phase in phases) / sum(map(seconds, phases))


def describe(name: str, phases: Sequence[Phase]) -> None:
    guessed, accepted = sum(p.guessed for p in phases), sum(p.accepted for p in phases)
    tokens = sum(p.tokens for p in phases)
    print(
        f"  {name}: {len(phases)} iterations, {tokens} useful tokens in {sum(p.seconds for p in phases):.1f} s "
        f"({rate(phases):.0f} tokens/s), {sum(p.read_again for p in phases)} tokens read again, longest iteration "
        f"{max(p.seconds for p in phases):.1f} s"
        + (f", {accepted} of {guessed} guesses drawn ({accepted / guessed:.0%})" if guessed else "")
    )


def compare(one: Sequence[Phase], other: Sequence[Phase]) -> tuple[float, str]:
    """The ratio of all iterations together, and how it is told."""
    pairs = [rate([a]) / rate([b]) for a, b in zip(one, other, strict=True)]
    whole = rate(one) / rate(other)
    busy = rate(one, lambda p: p.processor_seconds) / rate(other, lambda p: p.processor_seconds)
    return whole, (
        f"{whole:.2f} (median of {len(pairs)} pairs {statistics.median(pairs):.2f}, {min(pairs):.2f} to "
        f"{max(pairs):.2f}; in processor time {busy:.2f})"
    )


def report(found: dict[str, Rollouts], steady: slice) -> None:
    judged = [
        ("now: partial", "before: partial", AIMS["now/before"]),
        ("now: waiting", "before: waiting", AIMS["now/before"]),
        ("now: partial", "now: waiting", AIMS["partial/waiting"]),
        ("before: partial", "before: waiting", None),
        ("now: partial", "now, no guesses: partial", None),
        ("now: waiting", "now, no guesses: waiting", None),
        ("now: partial", "now, as given: partial", None),
    ]
    for one, other, aim in judged:
        if one in found and other in found:
            ratio, told = compare(found[one].phases[steady], found[other].phases[steady])
            end = "" if aim is None else f"; at least {aim:g}: {'yes' if ratio >= aim else 'no'}"
            print(f"  {one} / {other}: {told}{end}")
    mine = found["now: partial"].phases, found["now: waiting"].phases
    longest = max(p.seconds for p in mine[1]) / max(p.seconds for p in mine[0])
    print(
        f"  now, start and drained end included, partial / waiting: {rate(mine[0]) / rate(mine[1]):.2f}; the longest "
        f"iteration is {longest:.2f} times as long when waiting"
    )


def length_bias(phases: Sequence[Phase], fill: int, iterations: int, responses: int) -> None:
    """How long the responses are that partial rollouts finish, and train on, beside all that are drawn.

    A response is trained on when all of its group are done.
    """
    drawn = [length for phase in phases for length in phase.finished.values()]
    groups: defaultdict[int, list[int]] = defaultdict(list)
    rows: list[tuple[list[int], list[int]]] = []
    for phase in phases:
        trained: list[int] = []
        for name, length in phase.finished.items():
            iteration, place = divmod(int(name), responses)
            group = groups[iteration * responses + place // GROUP_SIZE]
            group.append(length)
            if len(group) == min(GROUP_SIZE, responses - place // GROUP_SIZE * GROUP_SIZE):
                trained += group
        rows.append((list(phase.finished.values()), trained))
    mean = statistics.mean(drawn)
    print(f"  length of what partial rollouts finish, mean of all that are drawn {mean:.1f} tokens:")
    for number, (finished, trained) in enumerate(rows):
        print(f"    iteration {number + 1}: {_mean(finished, mean)} finished; {_mean(trained, mean)} trained on")
    for name, part in (("start", rows[:fill]), ("steady state", rows[fill:iterations]), ("end", rows[iterations:])):
        finished, trained = ([length for row in part for length in row[k]] for k in (0, 1))
        print(f"    {name}: {_mean(finished, mean)} finished; {_mean(trained, mean)} trained on")


def _mean(lengths: Sequence[int], drawn: float) -> str:
    if not lengths:
        return "none"
    mean = statistics.mean(lengths)
    return f"{len(lengths)} of {mean:.1f} tokens ({mean / drawn:.2f} of the mean)"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout of Perilune")
    parser.add_argument("--natural", action="store_true", help="responses end where the model ends them")
    parser.add_argument("--dtype", default="float32", help="compute type, as in a recipe")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--iterations", type=int, default=10, help="iterations that draw responses")
    parser.add_argument("--responses", type=int, default=64, help="drawn per iteration")
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--segment-tokens", type=int, default=96, help="budget of a partial rollout per iteration")
    parser.add_argument("--long-share", type=float, default=0.15, help="share of long responses")
    parser.add_argument("--stretch", type=int, default=10, help="how many times as long these are")
    parser.add_argument("--temperature", type=float, help="by default 1, with --natural 0.3")
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0, help="of the lengths and problems")
    parser.add_argument("--only-judged", action="store_true", help="without the engines that lack guesses or the order")
    given = parser.parse_args()
    given.fill = -(-LONGEST * given.stretch // given.segment_tokens) - 1
    if given.temperature is None:
        given.temperature = 0.3 if given.natural else 1.0
    if given.iterations <= given.fill:
        parser.error(f"with this segment budget the steady state begins after {given.fill} iterations; draw more")
    return given


def main() -> None:
    given = parse()
    drawn = draws(given)
    lengths = [request["max_response_tokens"] for requests in drawn for request in requests]
    kind = "natural ends, at most" if given.natural else "forced lengths, median"
    print(
        f"{processor()}; {given.threads} threads, {given.dtype}\n{len(lengths)} responses, {kind} "
        f"{np.median(lengths):.0f} tokens, {sum(n > LONGEST for n in lengths) / len(lengths):.0%} long; {given.slots} "
        f"slots, segments of {given.segment_tokens}, temperature {given.temperature:g}"
    )
    contenders = make_contenders(given)
    found = make_rollouts(contenders, given.segment_tokens)
    try:
        for contender in contenders.values():
            contender.start()
            contender.ask({"requests": [request | {"segment_tokens": 4} for request in drawn[0]]})
            print(f"  {contender.name}: " + ", ".join(f"{k} {v}" for k, v in contender.description.items()))
        for fresh in drawn:
            for rollouts in found.values():
                rollouts.iterate(fresh)
        for rollouts in found.values():
            rollouts.drain()
    finally:
        for contender in contenders.values():
            contender.close()
    steady = slice(given.fill, len(drawn))
    for rollouts in found.values():
        assert given.natural or sum(p.tokens for p in rollouts.phases) == sum(lengths)
        describe(f"{rollouts.name}, steady state", rollouts.phases[steady])
    report(found, steady)
    length_bias(found["now: partial"].phases, given.fill, given.iterations, given.responses)


if __name__ == "__main__":
    main()
