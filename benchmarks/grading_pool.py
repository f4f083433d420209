"""Gradings per second of the pool, without degenerate responses and with 5 % of them, in one run.

The responses are math's: whole numbers, fractions, formulas, intervals, two of three right, each at the end of two
kilobytes of working. The degenerate ones are what a model writes that has lost its way: thousands of answer lines,
towers of exponents, deep nesting, factorials, endless numbers. Both are graded in turn, several times. Usage:

    python benchmarks/grading_pool.py [--gradings 2000] [--rounds 3] [--workers 1]
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.pool import GradingPool
from perilune.types import GradeRequest, Message, Problem

DEGENERATE_SHARE = 0.05
DEGENERATE = (
    "Answer: 42\n" * 2600,
    "Answer: $" + "9^{" * 200 + "9" + "}" * 200 + "$",
    "Answer: $9^{9^{9^{9^{9}}}}$",
    "Answer: $" + "(" * 3000 + "x" + ")" * 3000 + "$",
    "\\boxed{" * 4000,
    "\\boxed{" + "\\frac{1}{" * 900 + "x" + "}" * 900 + "}",
    "Answer: $123456789!!$",
    "Answer: $(10^{9})!$",
    "Answer: " + "7" * 28_000,
    "Answer: 0." + "142857" * 4_000,
    "Answer: " + "+".join(["x"] * 9_000),
    "Answer: $\\sqrt{" * 1500 + "2" + "}" * 1500 + "$",
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


def mixture(count: int, share: float) -> list[GradeRequest]:
    """So many gradings, of which a share is degenerate, spread evenly."""
    rng = random.Random(0)
    requests = [ordinary(number, rng) for number in range(count)]
    degenerate = round(count * share)
    for place in range(degenerate):
        number = place * count // degenerate
        requests[number] = request(number, requests[number].problem.answer, DEGENERATE[place % len(DEGENERATE)])
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
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    print(f"{processor()}; {options.workers} worker(s), {options.gradings} gradings a round")
    plain, mixed = mixture(options.gradings, 0.0), mixture(options.gradings, DEGENERATE_SHARE)
    ratios = []
    with GradingPool(RewardsConfig(workers=options.workers), on_event=print) as pool:
        speed(pool, plain[:50])  # Workers start, and import the reward.
        for _ in range(options.rounds):
            without, right = speed(pool, plain)
            over = pool.stats.over_limit
            with_them, found = speed(pool, mixed)
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
