"""What grows with the number of problems: loading, near-duplicates, an iteration's draw, and keeping what it saw.

Problems are made from templates with other names and numbers. Prints a Markdown table: processor time of one core for
each size, memory above what the process had before, and by how much each grew where the size grew tenfold or a
hundredfold. Each size is measured in a process of its own, one after another. Usage:

    python benchmarks/scale.py [--sizes 1000 100000 1000000] [--largest-pile 100000]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar

from perilune.curation.duplicates import find_duplicates
from perilune.data.problems import load_problems
from perilune.recipe.curation import DuplicatesConfig
from perilune.recipe.problems import FieldMapping, SourceConfig
from perilune.recipe.training import SamplingConfig
from perilune.rl.sampler import ProblemSampler
from perilune.run.folder import RunFolder
from perilune.run.observations import Observation
from perilune.types import Problem

NAMES = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana", "Ivo", "Jo", "Kim", "Lea", "Max", "Nia", "Otto"]
THINGS = ["apples", "books", "coins", "pens", "cards", "stones", "shells", "tickets", "marbles", "boxes"]
TEMPLATES = (
    "{name} has {a} {thing} and buys {b} more. Each of {c} friends gets one. How many {thing} does {name} have left?",
    "A shop sells {thing} in boxes of {c}. {name} orders {a} boxes and gives {b} {thing} away. How many are left?",
    "{name} reads {a} pages on Monday, {b} on Tuesday and {c} on each other day. How many pages are that in a week?",
    "{name} counts {thing}: {a} in the first room, {b} in the second and {c} in the last one. How many are there?",
)
T = TypeVar("T")
ITERATIONS, DRAWN = 20, 64
"""Iterations of which the median counts, and problems that each draws."""
MEASURED = (
    ("load", "load, s"),
    ("memory", "memory of what is loaded at its peak, bytes a problem"),
    ("text", "texts of it, bytes a problem"),
    ("duplicates", "near-duplicates, s"),
    ("draw", "draw of an iteration, ms"),
    ("save", "save of an iteration's rates, ms"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--largest-pile", type=int, default=100_000, help="near-duplicates are looked for up to here")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure, arguments.measure <= arguments.largest_pile)))
        return
    found = []
    for size in arguments.sizes:
        command = [sys.executable, __file__, "--measure", str(size), "--largest-pile", str(arguments.largest_pile)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        shown = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        found.append(json.loads(shown))
    print(f"Processor time of one core, {processor()}\n")
    print("\n".join(table(arguments.sizes, found)))


def measure(size: int, duplicates: bool) -> dict[str, float | None]:
    """All figures of one size."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "problems.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(rows(size))
        mapping = FieldMapping(id="id", difficulty="difficulty", tags="tags")
        source = SourceConfig(kind="jsonl", path=str(folder / "problems.jsonl"), fields=mapping)
        before = peak_bytes()
        load, problems = timed(lambda: load_problems(source, "train"))
        memory = peak_bytes() - before
        draw, save = iterations(problems, folder)
        return {
            "load": load,
            "memory": memory / size,
            "text": sum(len(p.id) + len(p.text) + len(p.answer) for p in problems) / size,
            "draw": 1000 * draw,
            "save": 1000 * save,
            "duplicates": timed(lambda: find_duplicates(problems, DuplicatesConfig()))[0] if duplicates else None,
        }


def rows(size: int) -> Iterator[str]:
    """Lines of a file of problems."""
    rng = Random(size)
    for number in range(size):
        difficulty = number % len(TEMPLATES)
        given = {"a": rng.randint(2, 999), "b": rng.randint(2, 999), "c": rng.randint(2, 49)}
        thing = rng.choice(THINGS)
        question = TEMPLATES[difficulty].format(name=rng.choice(NAMES), thing=thing, **given)
        answer = (
            given["a"] + given["b"] - given["c"],
            given["a"] * given["c"] - given["b"],
            given["a"] + given["b"] + 5 * given["c"],
            sum(given.values()),
        )[difficulty]
        record = {"id": str(number), "question": question, "answer": str(answer)}
        yield json.dumps({**record, "difficulty": difficulty, "tags": ["word problem", thing]}) + "\n"


def iterations(problems: list[Problem], folder: Path) -> tuple[float, float]:
    """Seconds of a draw and of a commit with what was observed, medians over some iterations."""
    config = SamplingConfig(strategy="prioritized", curriculum="gradual", curriculum_iteration=10, balance_tags=True)
    sampler = ProblemSampler(problems, config, seed=0)
    run = RunFolder.open(folder)
    draws, saves = [], []
    for number in range(ITERATIONS):
        seconds, drawn = timed(partial(sampler.draw, number, DRAWN))
        draws.append(seconds)
        seen = [sampler.observe(draw.problem, 0.5, number) for draw in drawn]
        observed = [each for each in seen if each is not None]
        saves.append(timed(partial(commit, run, observed))[0])
    run.buffer.close()
    return median(draws), median(saves)


def commit(run: RunFolder, observed: list[Observation]) -> None:
    """What an iteration's commit keeps of the rates."""
    with run.buffer.transaction():
        run.observations.add(observed)


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """(seconds of processor time, what came out)."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def peak_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def table(sizes: list[int], found: list[dict[str, float | None]]) -> list[str]:
    """Markdown: a row for each figure, a column for each size, and how much it grew from the size before."""
    grown = [f"{one:,} → {other:,}: × {other / one:,.0f}" for one, other in itertools.pairwise(sizes)]
    heads = [f"{size:,}" for size in sizes] + grown
    lines = [f"| problems | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for key, name in MEASURED:
        values = [figures[key] for figures in found]
        factors = [growth(one, other) for one, other in itertools.pairwise(values)]
        cells = ["–" if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in values]
        lines.append(f"| {name} | {' | '.join([*cells, *factors])} |")
    return lines


def growth(one: float | None, other: float | None) -> str:
    """How many times as much the second is."""
    if not one or other is None:
        return "–"
    return f"× {other / one:,.0f}" if other >= 10 * one else f"× {other / one:.1f}"


def processor() -> str:
    """Its name, as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
