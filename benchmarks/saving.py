"""Seconds spent saving, as a share of an iteration: the quickstart's RL on the built-in model, without its warm-up.

Checkpoint, checksums, waiting for the disk and the buffer's transaction are all in it. Usage:

    python benchmarks/saving.py [--iterations 4] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from perilune.build import build_backends
from perilune.data.problems import load_problems
from perilune.recipe.recipe import load_recipe
from perilune.rewards.pool import GradingPool
from perilune.rl.loop import Master, iterate
from perilune.rl.sampler import ProblemSampler
from perilune.run.folder import RunFolder

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.toml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=4, help="the first warms up and does not count")
    parser.add_argument("--folder", type=Path, help="where to save: the disk that is measured")
    arguments = parser.parse_args()
    recipe = load_recipe(RECIPE, [f"rl.iterations={arguments.iterations}"])
    backends = build_backends(recipe)
    totals, saves = [], []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, GradingPool(recipe.rewards) as grader:
        master = Master(
            trainer=backends.trainer,
            workers=backends.workers,
            grader=grader,
            run=RunFolder.open(Path(folder)),
            sampler=ProblemSampler(load_problems(recipe.problems.train, "train"), recipe.rl.sampling, recipe.seed),
            render=backends.render,
            decode=backends.decode,
            seed=recipe.seed,
            on_segment=lambda done, total: None,
            on_step=lambda step: None,
        )
        start = time.perf_counter()
        for done in iterate(master, recipe.rl):
            totals.append(time.perf_counter() - start)
            saves.append(done.seconds["save"])
            phases = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in done.seconds.items())
            print(f"iteration {done.number + 1}: {totals[-1]:.1f} s ({phases}), {saves[-1] / totals[-1]:.1%} saving")
            start = time.perf_counter()
        master.run.buffer.close()
    print(f"ratio of saving to the iteration: {sum(saves[1:]) / sum(totals[1:]):.3f}")


if __name__ == "__main__":
    main()
