"""Which charts a run is shown by, and what each of them says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from perilune.report.chart import Chart
from perilune.report.figures import Figure
from perilune.report.formats import Format, duration, number, percent
from perilune.report.palette import COLOURS
from perilune.report.run_data import Evaluation, RunData
from perilune.report.series import Series, line_chart, stacked_bars

_MOST_POINTS = 200
_MOST_BARS = 60
_MOST_DOTS = 30
_REWARD = "reward/"
"""What the names of rewards stand behind, in an iteration's metrics."""
_PHASES = ("rollout", "train", "grade_wait", "evaluate", "save")
"""Phases that keep their colours; others come after them."""


def rl_figures(run: RunData) -> list[Figure]:
    """The curves over RL iterations; charts without data are left out, all of them before the first iteration."""
    if not run.iterations:
        return []
    found = [
        Figure(
            "Reward",
            "Mean reward of the responses in groups that became complete.",
            _curve(run, "reward_mean", "reward"),
        ),
        *_rewards_figure(run),
        Figure(
            "Solve rate",
            "Share of right answers among graded training responses, at temperature.",
            _curve(run, "solve_rate", "solve rate", form=percent),
        ),
        Figure(
            "Held-out accuracy",
            "Greedy answers to held-out problems; bars are 95 % intervals.",
            heldout_chart(run.evaluations),
        ),
        Figure("Response length", "Mean tokens of finished responses.", _curve(run, "response_tokens_mean", "tokens")),
        Figure(
            "Entropy", "Estimated from the sampled tokens: mean −log π, in nats.", _curve(run, "entropy", "entropy")
        ),
        Figure(
            "Trainer and engine",
            "|log π of trainer − log π of engine| per token, in nats, on a log scale: how far rollouts are from the "
            "policy that is trained.",
            _curves(run, {"mean": "mismatch_mean", "max": "mismatch_max"}, log=True),
        ),
        *_mismatch_figure(run),
        Figure(
            "KL to the reference",
            "How far an iteration moves the policy on its own responses, in nats.",
            _curve(run, "kl_to_reference", "KL", zero=False),
        ),
        Figure("Loss", "Mean over the iteration's optimiser steps.", _curve(run, "loss", "loss", zero=False)),
        Figure("Gradient norm", "Mean over the steps, before clipping.", _curve(run, "gradient_norm", "gradient norm")),
        *_bar_figures(run),
        Figure(
            "Groups",
            "Trained in the iteration, waiting for their last segments, discarded as too stale.",
            _curves(run, {"trained": "groups_trained", "waiting": "groups_waiting", "discarded": "discarded_stale"}),
        ),
        _errors_figure(run),
        *_drawn_figure(run),
        *_grading_figure(run),
        Figure("Rollout speed", "Generated tokens per second.", _curve(run, "tokens_per_second_rollout", "tokens/s")),
    ]
    return [figure for figure in found if figure.chart]


def _rewards_figure(run: RunData) -> list[Figure]:
    """One curve for each reward, where there are several: summed, or of different problems."""
    keys = dict.fromkeys(key for row in run.iterations for key in row if key.startswith(_REWARD))
    if len(keys) < 2:
        return []
    note = "Mean of what each reward gave, before it is weighted."
    curves = {key.removeprefix(_REWARD): key for key in list(keys)[:COLOURS]}
    return [Figure("Rewards", note, _curves(run, curves))]


def _errors_figure(run: RunData) -> Figure:
    keys = {"errors": "grade_errors", "over a limit": "grades_over_limit"}
    present = {name: key for name, key in keys.items() if any(row.get(key) is not None for row in run.iterations)}
    return Figure(
        "Grading errors",
        "Responses that could not be graded, which are never trained on as wrong; and those that are wrong because "
        "their grading took more processor time or memory than it may.",
        _curves(run, present),
    )


def _drawn_figure(run: RunData) -> list[Figure]:
    """What the iterations drew: by band where the recipe tells bands, else how hard on average."""
    title = "Problems drawn"
    if not any("drawn_easy" in row for row in run.iterations):
        note = "Mean difficulty of the fresh problems of each iteration, on the scale of their source."
        return [Figure(title, note, _curve(run, "drawn_difficulty", "difficulty", zero=False))]
    rows = _thinned(run.iterations, _MOST_BARS)
    names = {"easy": "drawn_easy", "medium": "drawn_medium", "hard": "drawn_hard", "no difficulty": "drawn_unknown"}
    present = {name: key for name, key in names.items() if any(_value(row, key) for row in rows)}
    layers = [Series(name, hue, _points(rows, key)) for hue, (name, key) in enumerate(present.items())]
    note = "Fresh problems of each iteration, by band of difficulty; draws.jsonl says of each why it was drawn."
    return [Figure(title, note, stacked_bars(title, layers))]


def _grading_figure(run: RunData) -> list[Figure]:
    if not any("grading_seconds" in row for row in run.iterations):
        return []
    note = (
        "Seconds of work in the grading processes, and the seconds that an iteration waited for the last grades: the "
        "rest passed while responses were still being generated."
    )
    return [Figure("Grading", note, _curves(run, {"work": "grading_seconds", "waited for": "seconds_grade_wait"}))]


def sft_figures(run: RunData) -> list[Figure]:
    """The curves of supervised fine-tuning."""
    rows = _thinned(run.sft_steps, _MOST_POINTS)

    def curve(key: str, name: str) -> Chart | None:
        points = tuple((row["step"], _value(row, key)) for row in rows)
        return line_chart(name, [Series(name, 0, points)], x_name="step")

    found = [
        Figure("SFT loss", "Negative log-likelihood per response token, in nats.", curve("loss", "loss")),
        Figure("Learning rate", "", curve("learning_rate", "learning rate")),
    ]
    return [figure for figure in found if figure.chart]


def dpo_figures(run: RunData) -> list[Figure]:
    """The curves of direct preference optimisation."""
    rows = _thinned(run.dpo_steps, _MOST_POINTS)

    def curve(key: str, name: str, form: Format = number) -> Chart | None:
        points = tuple((row["step"], _value(row, key)) for row in rows)
        return line_chart(name, [Series(name, 0, points)], x_name="step", form=form)

    found = [
        Figure(
            "Loss", "Mean over the pairs of a step; log 2 = 0.69 where nothing is learnt yet.", curve("loss", "loss")
        ),
        Figure(
            "Margin",
            "How much more the chosen response has gained than the rejected one, in nats.",
            curve("margin", "margin"),
        ),
        Figure(
            "Preferred",
            "Share of the pairs whose chosen response has gained more.",
            curve("preferred", "preferred", percent),
        ),
    ]
    return [figure for figure in found if figure.chart]


def thinning_note(run: RunData) -> str:
    """How many iterations a point and a bar stand for; "" if each stands for one."""
    point, bar = (_stretch(len(run.iterations), most) for most in (_MOST_POINTS, _MOST_BARS))
    if bar == 1:
        return ""
    points = f"Each point of a line is the mean of {point} iterations, each" if point > 1 else "Each"
    return f"{points} bar the mean of {bar} iterations."


def heldout_chart(evaluations: Sequence[Evaluation]) -> Chart | None:
    """Held-out accuracy by RL iterations done, with its intervals; the base model apart if there was a warm-up."""
    warmed_up = any(found.name == "warmup" for found in evaluations)
    base = [found for found in evaluations if warmed_up and found.name == "base"]
    policy = [found for found in evaluations if found not in base]
    series = [_accuracy_series("policy", 0, policy), _accuracy_series("base model", 1, base)]
    return line_chart("Held-out accuracy", [s for s in series if s.points], x_name="iteration", form=percent)


def reward_chart(run: RunData) -> Chart | None:
    """Mean reward by iteration."""
    return _curve(run, "reward_mean", "reward")


def length_chart(run: RunData) -> Chart | None:
    """Mean response length by iteration."""
    return _curve(run, "response_tokens_mean", "tokens")


def _accuracy_series(name: str, hue: int, found: Sequence[Evaluation]) -> Series:
    points = tuple((float(one.step), _value(one.summary, "accuracy")) for one in found)
    intervals = tuple(_interval(one.summary) for one in found)
    return Series(name, hue, points, intervals, dots=len(points) <= _MOST_DOTS)


def _interval(summary: Mapping[str, Any]) -> tuple[float, float] | None:
    pair = summary.get("accuracy_interval")
    return (float(pair[0]), float(pair[1])) if pair else None


def _curve(run: RunData, key: str, name: str, form: Format = number, zero: bool = True) -> Chart | None:
    return _curves(run, {name: key}, form=form, zero=zero)


def _curves(
    run: RunData, keys: Mapping[str, str], form: Format = number, log: bool = False, zero: bool = True
) -> Chart | None:
    rows = _thinned(run.iterations, _MOST_POINTS)
    series = [Series(name, hue, _points(rows, key)) for hue, (name, key) in enumerate(keys.items())]
    return line_chart(" and ".join(keys), series, form=form, log=log, zero=zero)


def _bar_figures(run: RunData) -> list[Figure]:
    rows = _thinned(run.iterations, _MOST_BARS)
    measured = dict.fromkeys(key.removeprefix("seconds_") for row in rows for key in row if key.startswith("seconds_"))
    phases = [phase for phase in _PHASES if phase in measured] + [p for p in measured if p not in _PHASES]
    stops = {"ended": "stop_ended", "at the limit": "stop_limit", "repeated": "stop_repeated"}
    versions = {"1 version": "versions_1", "2": "versions_2", "3 or more": "versions_3_or_more"}
    seconds = {phase.replace("_", " "): f"seconds_{phase}" for phase in phases}

    def bars(title: str, keys: Mapping[str, str], form: Format, top: float | None) -> Chart | None:
        layers = [Series(name, i % COLOURS, _points(rows, key)) for i, (name, key) in enumerate(keys.items())]
        return stacked_bars(title, layers, form=form, top=top)

    return [
        Figure("Why responses stopped", "Share of finished responses.", bars("Stops", stops, percent, 1.0)),
        Figure(
            "Segments cut",
            "Share of segments that met their budget and went on in a later iteration: partial rollouts at work.",
            _curve(run, "stop_cut", "cut", form=percent),
        ),
        Figure(
            "Policy versions per response",
            "Share of trained responses that this many versions of the policy wrote.",
            bars("Policy versions", versions, percent, 1.0),
        ),
        Figure("Time per phase", "", bars("Time per phase", seconds, duration, None)),
        *_memory_figures(run),
    ]


def _mismatch_figure(run: RunData) -> list[Figure]:
    """Where there is something to see: with the local engine there is mostly none."""
    if not any(_value(row, "mismatch_beyond") or _value(row, "corrected") for row in run.iterations):
        return []
    note = (
        "Share of the present weights' tokens whose probability by trainer and engine is further apart than "
        "rl.correction_cap; and what the correction touched, if one is on."
    )
    keys = {"beyond the cap": "mismatch_beyond", "corrected": "corrected"}
    present = {name: key for name, key in keys.items() if any(_value(row, key) is not None for row in run.iterations)}
    return [Figure("Tokens too far apart", note, _curves(run, present, form=percent))]


def _memory_figures(run: RunData) -> list[Figure]:
    """Memory as trainer and engine take turns; nothing where they share it all the time."""
    moments = {
        "trainer gave way": "offload",
        "engine started": "start",
        "weights there": "transfer",
        "rolled out": "rollout",
        "engine gone": "stop",
        "trainer back": "onload",
    }
    places = {
        "memory_gb": ("Memory as trainer and engine take turns", "Of the run's processes in GB, after each phase."),
        "device_gb": ("GPU memory as they take turns", "In use in GB, by whomever, after each phase."),
    }
    found = []
    for prefix, (title, note) in places.items():
        keys = {name: f"{prefix}_{phase}" for name, phase in moments.items()}
        present = {name: key for name, key in keys.items() if any(key in row for row in run.iterations)}
        found.append(Figure(title, note, _curves(run, present)))
    return found


def _points(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[tuple[float, float | None], ...]:
    """Iterations count from 0 in the file and from 1 here: a point lies where the evaluation after it does."""
    return tuple((row["step"] + 1, _value(row, key)) for row in rows)


def _value(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _thinned(rows: Sequence[Mapping[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most this many rows: means over equal stretches, standing at each stretch's last step."""
    size = _stretch(len(rows), most)
    if size == 1:
        return [dict(row) for row in rows]
    thinned = []
    for start in range(0, len(rows), size):
        stretch = rows[start : start + size]
        mean: dict[str, Any] = {"step": stretch[-1]["step"]}
        for key in dict.fromkeys(key for row in stretch for key in row if key != "step"):
            values = [value for value in (_value(row, key) for row in stretch) if value is not None]
            mean[key] = math.fsum(values) / len(values) if values else None
        thinned.append(mean)
    return thinned


def _stretch(rows: int, most: int) -> int:
    return max(1, math.ceil(rows / most))
