"""A whole RL iteration, Perilune's against TRL's GRPOTrainer, in alternation.

Both answer the same 8 problems with 8 responses of up to 96 tokens each, sampled at temperature 1 from the whole
vocabulary, grade them with the same reward, and take ONE optimiser step at the same learning rate on all 64 of them.
(Perilune's default is four steps per iteration; one is what TRL does here.) Ours is the loop itself, with engine,
trainer, grading pool, buffer and the checkpoint that it writes after each iteration; TRL writes none. The segment
budget is the maximum length, so that every group is complete within its iteration.

Each side is a process of its own; only one works at a time. The first iteration of each warms up. TRL then does one in
each of several settings (--trl-batch, --trl-weights, its generate or continuous batching), and the fastest of them is
what ours is compared with. As sampled lengths differ, times are per 1,000 generated tokens. Usage:

    python benchmarks/iteration.py [--rounds 5] [--trl-batch 16 64] [--trl-weights float32 bfloat16]

TRL and datasets must be installed (pip install '.[benchmarks]').
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence
from typing import Any

from contenders.process import Contender, alternate, compare, processor, rate

from perilune.backends.devices import available_cores

MODEL = "smollm2-135m-instruct"
AIM = 4.0


def shared_settings(given: argparse.Namespace) -> dict[str, Any]:
    names = ("model", "problems", "group_size", "tokens", "learning_rate", "micro_batch_tokens", "threads", "dtype")
    found = {name: getattr(given, name) for name in names}
    return found | {"engine_dtype": given.engine_dtype or given.dtype, "iterations": given.rounds + 2}


def trl_contenders(given: argparse.Namespace) -> list[Contender]:
    ways = ("generate", "continuous") if given.continuous_batching else ("generate",)
    found = []
    for batch, weights, way in itertools.product(given.trl_batch, given.trl_weights, ways):
        own = {"batch": batch, "weights": weights, "continuous": way == "continuous"}
        # TRL's side has no use for the engine's type, which may be one that only our engine has.
        settings = shared_settings(given) | {"engine_dtype": "float32"} | own
        found.append(Contender(f"trl, batch {batch}, {weights} weights, {way}", "run_trl.py", settings))
    return found


def fastest(contenders: Sequence[Contender]) -> Contender:
    """The one that is fastest in one iteration after one to warm up; the others are ended."""
    speed: dict[str, float] = {}
    kept: Contender | None = None
    for contender in contenders:
        contender.start()
        contender.ask({})
        speed[contender.name] = rate(contender.ask({}))
        print(f"  {contender.name}: {1000 / speed[contender.name]:.1f} s per 1,000 tokens", flush=True)
        if kept is None or speed[contender.name] > speed[kept.name]:
            contender, kept = kept, contender  # noqa: PLW2901
        if contender is not None:
            contender.close()
    assert kept is not None
    return kept


def seconds_per_thousand(contender: Contender) -> dict[str, float]:
    """Medians over the rounds, by phase; what lies between phases is "rest"."""
    found: dict[str, list[float]] = {}
    for answer in contender.answers:
        scale = answer["counts"]["generated"] / 1000
        phases = answer["phases"] | {"rest": answer["seconds"] - sum(answer["phases"].values())}
        for name, seconds in phases.items():
            found.setdefault(name, []).append(seconds / scale)
    return {name: statistics.median(values) for name, values in found.items()}


def report(mine: Contender, peer: Contender) -> None:
    per_thousand = {}
    for contender in (mine, peer):
        whole = per_thousand[contender.name] = statistics.median(1000 / rate(answer) for answer in contender.answers)
        tokens = statistics.mean(answer["counts"]["generated"] for answer in contender.answers)
        seconds = statistics.median(answer["seconds"] for answer in contender.answers)
        phases = ", ".join(f"{name} {part:.2f}" for name, part in seconds_per_thousand(contender).items())
        print(
            f"{contender.name}: {seconds:.1f} s and {tokens:.0f} tokens an iteration; {whole:.2f} s per 1,000 tokens "
            f"({phases})"
        )
    ratio = compare(mine, peer)
    print(f"ratio per 1,000 generated tokens: {ratio}; at least {AIM:g}: {'yes' if ratio.median >= AIM else 'no'}")
    wanted = per_thousand[peer.name] / AIM
    missing = per_thousand[mine.name] - wanted
    if missing > 0:
        print(f"{AIM:g} times needs {wanted:.2f} s per 1,000 tokens, {missing:.2f} s less; by one phase alone:")
        for name, part in seconds_per_thousand(mine).items():
            how = f"{part / (part - missing):.2f} times as fast" if part > missing else "not even if it took no time"
            print(f"  {name} ({part:.2f} s): {how}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="compute type of both")
    parser.add_argument("--engine-dtype", help="compute type of our engine, if another, as in a recipe")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--rounds", type=int, default=5, help="pairs of iterations, after one of each to warm up")
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=96, help="maximum response length")
    parser.add_argument("--learning-rate", type=float, default=1e-6)
    parser.add_argument("--micro-batch-tokens", type=int, default=1024, help="of Perilune's trainer")
    parser.add_argument(
        "--trl-batch", type=int, nargs="+", default=[16, 64], help="responses per pass of TRL's trainer"
    )
    parser.add_argument(
        "--trl-weights",
        choices=("float32", "bfloat16"),
        nargs="+",
        default=["float32", "bfloat16"],
        help="types of TRL's weights; ours are float32 masters with a copy in the compute type",
    )
    parser.add_argument(
        "--continuous-batching", action="store_true", help="try transformers' continuous batching in TRL, too"
    )
    given = parser.parse_args()
    for batch in given.trl_batch:
        if given.problems * given.group_size % batch:
            parser.error(f"--trl-batch {batch} does not divide the {given.problems * given.group_size} responses")
    return given


def main() -> None:
    given = parse()
    print(
        f"{processor()}; {given.threads} threads\n{given.problems} problems x {given.group_size} responses of up to "
        f"{given.tokens} tokens, {given.dtype}, {given.rounds} rounds in alternation after 1 to warm up"
    )
    peer = fastest(trl_contenders(given))
    mine = Contender("perilune", "run_iterations.py", shared_settings(given))
    try:
        mine.start()
        mine.ask({})
        for contender in (mine, peer):
            print(f"  {contender.name}: " + ", ".join(f"{k} {v}" for k, v in contender.description.items()))
        alternate((mine, peer), [{}] * given.rounds)
    finally:
        mine.close()
        peer.close()
    report(mine, peer)


if __name__ == "__main__":
    main()
