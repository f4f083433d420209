"""Gradings per second of the pool, without degenerate responses and with 5 % of them, in one run.

The responses are math's: whole numbers, fractions, formulas, intervals, two of three right, each at the end of two
kilobytes of working. The degenerate ones are what a model writes that has lost its way: thousands of answer lines,
towers of exponents, deep nesting, factorials, endless numbers. The two are graded in turn, each round with
texts of its own and the other one first. Usage:

    python benchmarks/grading_pool.py [--gradings 2000] [--rounds 5] [--workers 1]
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.pool import GradingPool
from perilune.types import GradeRequest, Message, Problem

DEGENERATE_SHARE = 0.05
DEGENERATE: Sequence[Callable[[int], str]] = (
    lambda n: f"Answer: {n}\n" * 2600,
    lambda n: f"Answer: ${n}^{{" + "9^{" * 200 + "9" + "}" * 201 + "$",
    lambda n: f"Answer: ${n}^{{9^{{9^{{9^{{9}}}}}}}}$",
    lambda n: f"Answer: ${n}" + "(" * 3000 + "x" + ")" * 3000 + "$",
    lambda n: f"{n} " + "\\boxed{" * 4000,
    lambda n: f"\\boxed{{{n}" + "\\frac{1}{" * 900 + "x" + "}" * 900 + "}",
    lambda n: f"Answer: ${n}123456!!$",
    lambda n: f"Answer: $({n}^{{9}})!$",
    lambda n: f"Answer: {n}" + "7" * 28_000,
    lambda n: f"Answer: 0.{n}" + "142857" * 4_000,
    lambda n: f"Answer: {n}" + "+x" * 9_000,
    lambda n: f"Answer: ${n}" + "\\sqrt{" * 1500 + "2" + "}" * 1500 + "$",
)
WORKING = "We look at the next step, multiply both sides by 3 and collect the terms, so that 4x + 5 = 17 and x = 3. "


def ordinary(number: int, rng: random.Random) -> GradeRequest:
    """A response as a model writes it, and its reference."""
    a, b, c = rng.randint(2, 99), rng.randint(2, 99), rng.randint(2, 9)
    reference, answer = (
        (str(a * b), f"{a * b}.0"),
        (f"\\frac{{{a}}}{{{b}}}", f"{a}/{b}"),
        (f"{a}x^2-{b}", f"-{b}+{a}x^{{2}}"),
        (f"[{a},{a + b}]", f"$\\left[{a}, {a + b}\\right]$"),
        (f"{c}\\sqrt{{{b}}}", f"$\\sqrt{{{b}}} \\cdot {c}$"),
    )[number % 5]
    if number % 3 == 2:
        answer = str(a + b + c + 1000)
    return request(number, reference, f"{WORKING * 20}\nAnswer: {answer}")


def request(number: int, reference: str, response: str) -> GradeRequest:
    """To be graded by the reward math."""
    return GradeRequest(str(number), Problem(str(number), (Message("user", "?"),), reference), response)


def mixture(count: int, share: float, seed: int) -> list[GradeRequest]:
    """So many gradings, of which a share is degenerate, spread evenly; another seed gives other texts."""
    rng = random.Random(seed)
    requests = [ordinary(number, rng) for number in range(count)]
    degenerate = round(count * share)
    for place in range(degenerate):
        number = place * count // degenerate
        requests[number] = request(
            number, requests[number].problem.answer, DEGENERATE[place % len(DEGENERATE)](rng.randint(10, 999))
        )
    return requests


def speed(pool: GradingPool, requests: Sequence[GradeRequest]) -> tuple[float, Counter[str]]:
    """Gradings per second, and the verdicts."""
    begun = time.perf_counter()
    for one in requests:
        pool.submit(one)
    verdicts = Counter(grade.verdict.value for _, grade in pool.drain())
    return len(requests) / (time.perf_counter() - begun), verdicts


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gradings", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    print(f"{processor()}; {options.workers} worker(s), {options.gradings} gradings a round")
    ratios = []
    with GradingPool(RewardsConfig(workers=options.workers), on_event=print) as pool:
        # Workers start, import the reward and fill what it keeps; from then on no text comes twice in a row.
        speed(pool, mixture(options.gradings, DEGENERATE_SHARE, seed=0))
        for number in range(1, options.rounds + 1):
            plain = mixture(options.gradings, 0.0, seed=2 * number)
            mixed = mixture(options.gradings, DEGENERATE_SHARE, seed=2 * number + 1)
            over = pool.stats.over_limit
            if number % 2:
                (without, right), (with_them, found) = speed(pool, plain), speed(pool, mixed)
            else:
                (with_them, found), (without, right) = speed(pool, mixed), speed(pool, plain)
            ratios.append(with_them / without)
            print(
                f"without: {without:.1f}/s {dict(right)}; with {DEGENERATE_SHARE:.0%}: {with_them:.1f}/s {dict(found)}"
            )
            print(f"ratio {ratios[-1]:.2f}; {pool.stats.over_limit - over} gradings over a limit")
    print(
        f"ratio, median of {options.rounds}: {statistics.median(ratios):.2f}; workers replaced: {pool.stats.restarts}"
    )


def processor() -> str:
    """Its name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "processor unknown"
    )


if __name__ == "__main__":
    main()
