"""The built-in model's run, killed from outside in every phase, against the same run left alone: what differs.

Both are the quickstart made small. Usage:

    python benchmarks/kill_anywhere.py [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from test_kill_anywhere import CYCLE, differences, finished, kill_and_go_on, started  # noqa: E402

from perilune.recipe.recipe import load_recipe  # noqa: E402

PLAN = (
    *("setup", "evaluate", "after evaluate", "sft", "sft", "after sft", "evaluate"),
    *CYCLE * 3,
    *("evaluate",),
)
DURATIONS = {"evaluate": 5.0, "sft": 12.0, "rollout": 6.0, "grading": 0.2, "train": 5.0, "save": 1.0, "setup": 3.0}
SMALL = (
    *("problems.heldout.count=24", "sft.count=64", "checkpoints.sft_steps=2", "rl.iterations=4"),
    *("rl.problems_per_iteration=4", "rl.group_size=4", "logging.tensorboard=false"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the two runs are kept; by default nowhere")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        settings = [*SMALL, f"output={folder / 'runs'}"]
        recipe = load_recipe(ROOT / "recipes" / "quickstart.toml", [*settings, "name=whole"])
        killed = recipe.model_copy(update={"name": "killed"})
        with started(folder, DURATIONS) as runner:
            start = time.perf_counter()
            kill_and_go_on(runner, recipe, (), 0)
            print(f"left alone: {time.perf_counter() - start:.0f} s", flush=True)
            start = time.perf_counter()
            kills, repeated = kill_and_go_on(runner, killed, PLAN, 1)
            print(f"killed {kills.total()} times: {time.perf_counter() - start:.0f} s", flush=True)
        for phase, count in sorted(kills.items()):
            print(f"  {phase}: {count}")
        print(f"finished responses kept: {len(finished(killed.run_folder, killed))}, generated again: {repeated}")
        found = differences(killed.run_folder, recipe.run_folder)
        print(f"differences in weights, metrics, segments, grades and texts: {', '.join(found) or 'none'}")


if __name__ == "__main__":
    main()
