"""How problems are drawn: prioritised and curriculum sampling against uniform (k1.5, section 2.3.4), three seeds each.

All runs begin with one warm-up model (the quickstart's, made once), and differ in ``rl.sampling`` and the seed alone.
Runs that have ended are not run again, one that was stopped goes on. Writes a picture, and prints a Markdown table.
Usage:

    python benchmarks/sampling.py [--folder runs/sampling] [--iterations 4] [--seeds 0 1 2] [--threads 1]
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean, variance
from typing import Any

from perilune.report.chart import Chart
from perilune.report.formats import Format, number, percent
from perilune.report.picture import picture_of
from perilune.report.run_data import RunData, read_run
from perilune.report.series import Series, line_chart

ROOT = Path(__file__).parents[1]
BANDS = ("rl.sampling.medium_difficulty=2.0", "rl.sampling.hard_difficulty=3.0")
ARMS = {
    "uniform": ("rl.sampling.strategy=uniform",),
    "prioritized": ("rl.sampling.strategy=prioritized",),
    "staged": ("rl.sampling.strategy=uniform", "rl.sampling.curriculum=staged"),
    "gradual": ("rl.sampling.strategy=uniform", "rl.sampling.curriculum=gradual"),
}
"""Settings of each; the first is what the others are compared with."""
SMALL = (
    *("logging.tensorboard=false", "problems.heldout.count=120", "evaluation.max_response_tokens=128"),
    *("rl.max_response_tokens=128", "rl.segment_tokens=128", "rl.problems_per_iteration=6", "rl.group_size=6"),
    *("rl.learning_rate=3e-6", "problems.train.count=30"),
)
"""The quickstart with a pool so small that problems come again, without which prioritised is uniform; with responses
whole in their iteration, so that no problem is busy; and a learning rate at which learning takes several iterations."""


@dataclass(frozen=True, slots=True)
class Arm:
    """The runs of one way to draw, by seed."""

    name: str
    runs: dict[int, RunData]

    def finals(self) -> list[float]:
        """Accuracy at each run's end."""
        return [found.stages["final"].summary["accuracy"] for found in self.runs.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "sampling", help="where the runs are")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "sampling.svg", help="where the picture goes")
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    run(arguments, "warmup", ['stages=["sft"]', "evaluation.base=false"])
    # Seed by seed, so that what there is can be compared if there is no time for all.
    for seed in arguments.seeds:
        for name, settings in ARMS.items():
            run(arguments, f"{name}-{seed}", [*rl_settings(arguments), *BANDS, *settings, f"seed={seed}"])
    arms = [
        Arm(name, {seed: read_run(arguments.folder / f"{name}-{seed}") for seed in arguments.seeds}) for name in ARMS
    ]
    start = read_run(arguments.folder / "warmup").stages["warmup"].summary["accuracy"]
    arguments.picture.write_text(picture(arms, start), encoding="utf-8")
    print("\n".join(table(arms, start)))


def rl_settings(arguments: argparse.Namespace) -> list[str]:
    """RL alone, from the warm-up's model, with evaluations under way."""
    return [
        'stages=["rl"]',
        "evaluation.base=false",
        f"model.name={arguments.folder / 'warmup' / 'models' / 'warmup'}",
        f"rl.iterations={arguments.iterations}",
        f"rl.sampling.curriculum_iteration={arguments.iterations // 2}",
        "evaluation.every=2",
    ]


def run(arguments: argparse.Namespace, name: str, settings: Sequence[str]) -> None:
    """One run in a process of its own, unless it has ended."""
    folder = arguments.folder / name
    if (folder / "summary.json").exists():
        return
    told = [*SMALL, f"threads={arguments.threads}", f"output={arguments.folder}", f"name={name}", *settings]
    words = [word for setting in told for word in ("--set", setting)]
    command = [sys.executable, "-m", "perilune.cli", "run", str(ROOT / "recipes" / "quickstart.toml"), "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    resume = ["--resume"] if folder.exists() else []
    subprocess.run([*command, *resume, *words], cwd=ROOT, env=environment, check=True)


def picture(arms: Sequence[Arm], start: float) -> str:
    """Accuracy, what was drawn and response length over iterations: means over seeds, with the seeds' range."""
    panels = [
        ("Held-out accuracy", line_chart("Held-out accuracy", accuracies(arms, start), form=percent)),
        ("Difficulty drawn (mean)", metric_chart(arms, "drawn_difficulty", number, zero=False)),
        ("Response length (tokens)", metric_chart(arms, "response_tokens_mean", number)),
    ]
    return picture_of(panels)


def accuracies(arms: Sequence[Arm], start: float) -> list[Series]:
    """A line per arm, from the warm-up's accuracy.

    The arms stand a little beside each other, so that their ranges can be told apart.
    """
    found = []
    for hue, arm in enumerate(arms):
        by_step: dict[int, list[float]] = {0: [start]}
        for data in arm.runs.values():
            for evaluation in (found for found in data.evaluations if found.step):
                by_step.setdefault(evaluation.step, []).append(evaluation.summary["accuracy"])
        aside = 0.06 * (hue - (len(arms) - 1) / 2)
        points = tuple((step + aside, fmean(values)) for step, values in sorted(by_step.items()))
        ranges = tuple((min(values), max(values)) for _, values in sorted(by_step.items()))
        found.append(Series(arm.name, hue, points, ranges, dots=True))
    return found


def metric_chart(arms: Sequence[Arm], key: str, form: Format, zero: bool = True) -> Chart | None:
    """A metric of the iterations, means over seeds."""
    series = []
    for hue, arm in enumerate(arms):
        columns = zip(*(data.iterations for data in arm.runs.values()), strict=True)
        points = tuple((rows[0]["step"] + 1, mean_of(rows, key)) for rows in columns)
        series.append(Series(arm.name, hue, points))
    return line_chart(key, series, form=form, zero=zero)


def mean_of(rows: Sequence[dict[str, Any]], key: str) -> float | None:
    values = [row[key] for row in rows if row.get(key) is not None]
    return fmean(values) if values else None


def table(arms: Sequence[Arm], start: float) -> list[str]:
    """Markdown: each run's start and end, then each arm's mean, difficulty by difficulty, and the differences."""
    lines = ["| sampling | seed | start | final | 95 % interval | tokens at the end |", "|---|---|---|---|---|---|"]
    for arm in arms:
        for seed, data in arm.runs.items():
            end = data.stages["final"].summary
            low, high = end["accuracy_interval"]
            lines.append(
                f"| {arm.name} | {seed} | {start:.1%} | {end['accuracy']:.1%} | "
                f"{low:.0%} to {high:.0%} | {end['mean_tokens']:.0f} |"
            )
    difficulties = list(arms[0].runs[min(arms[0].runs)].stages["final"].summary["by_difficulty"])
    lines += ["", f"| sampling | mean | {' | '.join(f'difficulty {d}' for d in difficulties)} | mean over iterations |"]
    lines.append("|---|---|---|" + "---|" * len(difficulties))
    for arm in arms:
        cells = " | ".join(f"{by_difficulty(arm, name):.1%}" for name in difficulties)
        lines.append(f"| {arm.name} | {fmean(arm.finals()):.1%} | {cells} | {over_iterations(arm):.1%} |")
    lines += [
        "",
        "| against uniform | difference | standard error over seeds | pooled z | p |",
        "|---|---|---|---|---|",
    ]
    return lines + [difference(arms[0], arm) for arm in arms[1:]]


def by_difficulty(arm: Arm, name: str) -> float:
    slices = [data.stages["final"].summary["by_difficulty"][name] for data in arm.runs.values()]
    return fmean(found["accuracy"] for found in slices)


def over_iterations(arm: Arm) -> float:
    """Mean accuracy of all evaluations but the start, and of all seeds: less noisy than the end alone."""
    return fmean(e.summary["accuracy"] for data in arm.runs.values() for e in data.evaluations if e.step)


def difference(base: Arm, arm: Arm) -> str:
    """How an arm's end differs: by the seeds' spread, and by a two-proportion test on all answers pooled."""
    one, two = base.finals(), arm.finals()
    gap = fmean(two) - fmean(one)
    error = math.sqrt(variance_of_mean(one) + variance_of_mean(two))
    answers = [sum(d.stages["final"].summary["problems"] for d in found.runs.values()) for found in (base, arm)]
    pooled = (fmean(one) * answers[0] + fmean(two) * answers[1]) / sum(answers)
    z = gap / math.sqrt(pooled * (1 - pooled) * (1 / answers[0] + 1 / answers[1]))
    p = 2 * (1 - NormalDist().cdf(abs(z)))
    return f"| {arm.name} | {100 * gap:+.1f} points | {100 * error:.1f} points | {z:+.2f} | {p:.2g} |"


def variance_of_mean(values: Sequence[float]) -> float:
    """NaN for a single seed."""
    return variance(values) / len(values) if len(values) > 1 else math.nan


if __name__ == "__main__":
    main()
