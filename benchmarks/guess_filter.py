"""The guess filter with the built-in model: what it removes of families whose answers can and cannot be guessed.

    python benchmarks/guess_filter.py [--count 100]

Printed for each family: the share of problems that are removed at the recipe's defaults (8 guesses, one right is
enough). Verdicts and answers that are 0 or 1 should go; two-digit arithmetic should stay.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

from perilune.build import build_backends
from perilune.curation.asking import Ask, Asker, Settings
from perilune.curation.guessing import find_guessed, guess_prompt, stated_guess
from perilune.curation.sample_cache import SampleCache
from perilune.data.arithmetic import random_sum, tell
from perilune.recipe.recipe import Recipe
from perilune.rewards.pool import GradingPool
from perilune.types import Message, Problem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="problems of each family")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    source = {"kind": "generator", "generators": [{"name": "arithmetic"}]}
    recipe = Recipe.model_validate(
        {"name": "guess", "model": {"name": arguments.model}, "problems": {"train": source, "heldout": source}}
    )
    parts, config = build_backends(recipe), recipe.curation.guess
    settings = Settings(config.attempts, config.temperature, config.max_response_tokens)
    print(f"{parts.description}; {config.attempts} guesses at temperature {config.temperature:g}")
    with tempfile.TemporaryDirectory() as folder, GradingPool(recipe.rewards) as grader:
        cache = SampleCache(Path(folder) / "samples.sqlite")
        for name, make in FAMILIES.items():
            rng = Random(f"{name}/{arguments.seed}")
            problems = [_problem(f"{name}-{n}", *make(rng)) for n in range(arguments.count)]
            asks = [Ask(problem, parts.render(guess_prompt(problem))) for problem in problems]
            with parts.workers.serving(parts.trainer) as engine:
                asker = Asker(engine, grader, parts.decode, cache, arguments.model, "judge", arguments.seed)
                answers = asker.ask(asks, settings, lambda done, total: None, stated_guess("any"))
            gone = find_guessed(asks, answers)
            right = sum(a.grade.verdict == "right" for given in answers.values() for a in given)
            each = right / (config.attempts * len(asks))
            removed = f"removed {len(gone):4d} of {len(asks)} ({len(gone) / len(asks):.1%})"
            print(f"{name:22} {removed}; a guess is right in {each:.1%}")


def _problem(name: str, question: str, answer: str) -> Problem:
    return Problem(name, (Message("user", question),), answer)


def _sum(rng: Random) -> tuple[str, str]:
    a, b, sign = rng.randint(10, 99), rng.randint(10, 99), rng.choice("+-×")
    a, b = max(a, b), min(a, b)
    value = {"+": a + b, "-": a - b, "×": a * b}[sign]
    return rng.choice(("What is {}?", "Compute {}.", "Calculate {}")).format(f"{a} {sign} {b}"), str(value)


def _story(rng: Random) -> tuple[str, str]:
    content = random_sum(2, rng)
    return tell(content, rng), str(content.values[-1])


def _verdict(rng: Random) -> tuple[str, str]:
    n, d, m = rng.randint(10, 999), rng.choice((2, 3, 5, 7)), rng.randint(10, 999)
    question, holds = rng.choice(
        (
            (f"Is {n} divisible by {d}?", n % d == 0),
            (f"Is {n} greater than {m}?", n > m),
            (f"Does {n} end in an even digit?", n % 2 == 0),
            (f"Can {n} marbles be shared equally among {d} children?", n % d == 0),
            (f"Is the sum of {n} and {m} an odd number?", (n + m) % 2 == 1),
        )
    )
    return question, "yes" if holds else "no"


def _bit(rng: Random) -> tuple[str, str]:
    n, m = rng.randint(10, 999), rng.randint(3, 40)
    question, value = rng.choice(
        (
            (f"Let s be 1 if {n} is even and 0 otherwise. What is s?", n % 2 == 0),
            (f"What is the remainder when {n} is divided by 2?", n % 2),
            (f"Output 1 if {n} is a multiple of 3, else output 0.", n % 3 == 0),
            (f"A switch is off (0). It is flipped {m} times. What is its state, 0 or 1?", m % 2),
            (f"How many of the numbers {n} and {n + 1} are divisible by 2?", 1),
        )
    )
    return question, str(int(value))


FAMILIES: dict[str, Callable[[Random], tuple[str, str]]] = {
    "yes or no": _verdict,
    "0 or 1": _bit,
    "two-digit arithmetic": _sum,
    "word problems to 80": _story,
}

if __name__ == "__main__":
    main()
