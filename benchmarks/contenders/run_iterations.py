"""Contender: the project's own loop, one iteration a line: engine, trainer, grading pool, buffer and checkpoint."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from answering import serve, settings, torch_description
from iteration_recipe import make_recipe

from perilune.build import build_backends
from perilune.data.problems import load_problems
from perilune.rewards.pool import GradingPool
from perilune.rl.loop import Master, iterate
from perilune.rl.sampler import ProblemSampler
from perilune.run.folder import RunFolder


def main() -> None:
    recipe = make_recipe(settings())
    problems = load_problems(recipe.problems.train, "train")
    backends = build_backends(recipe)
    with tempfile.TemporaryDirectory() as folder, GradingPool(recipe.rewards) as grader:
        master = Master(
            trainer=backends.trainer,
            workers=backends.workers,
            grader=grader,
            run=RunFolder.open(Path(folder)),
            sampler=ProblemSampler(problems, recipe.rl.sampling, recipe.seed),
            render=backends.render,
            decode=backends.decode,
            seed=recipe.seed,
            on_segment=lambda done, total: None,
            on_step=lambda step: None,
        )
        iterations = iterate(master, recipe.rl)

        def run(_: Any) -> dict[str, Any]:
            done = next(iterations)
            assert done.waiting == 0 and done.update is not None and done.update.steps == 1
            return {"counts": {"generated": done.rollout.tokens}, "phases": done.seconds}

        serve(torch_description(backends=backends.description), run)
        master.run.buffer.close()


if __name__ == "__main__":
    main()
