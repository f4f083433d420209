"""report.html: a run as one page that needs nothing else; and the picture of a run for a README.

Everything a model wrote is untrusted: the template escapes it, and the page's content policy lets it load nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from perilune.report.bars import interval_bar
from perilune.report.curation_data import FOLDER, REPORT, read_curation
from perilune.report.figures import shown
from perilune.report.formats import duration, number, percent
from perilune.report.long2short_data import FOLDER as LONG2SHORT
from perilune.report.long2short_data import read_long2short
from perilune.report.page import write_page, write_whole
from perilune.report.picture import picture_of
from perilune.report.run_charts import (
    dpo_figures,
    heldout_chart,
    length_chart,
    reward_chart,
    rl_figures,
    sft_figures,
    thinning_note,
)
from perilune.report.run_data import STAGE_NAMES, Evaluation, RunData, read_run

_SAMPLED_ITERATIONS = 6
_TABLE_ROWS = 200


def write_report(run_folder: Path) -> Path:
    """Write ``report.html`` from what the run has measured so far; return its path.

    Raises:
        RunFolderError: the folder is none of a run.
    """
    run = read_run(run_folder)
    path = run_folder / "report.html"
    write_page(
        path, "run_page.html", _context(run) | {"prompt_set": _prompt_set(run_folder), "shorter": _shorter(run_folder)}
    )
    return path


def _prompt_set(run_folder: Path) -> str:
    """What curation kept, for people; "" for a run without it."""
    if not (run_folder / FOLDER / REPORT).exists():
        return ""
    found = read_curation(run_folder)
    return f"{found.kept:,} of {found.entered:,} problems stay"


def _shorter(run_folder: Path) -> str:
    """What long2short has come to, for people; "" for a run without it."""
    folder = run_folder / LONG2SHORT
    if not (folder / "report.html").exists():
        return ""
    found = read_long2short(folder)
    return f"{len(found.measured)} of {len(found.models)} models measured"


def summary_picture(run_folder: Path, path: Path) -> None:
    """Write an SVG of a run: reward, held-out accuracy and response length over RL iterations.

    Raises:
        RunFolderError: the folder is none of a run.
    """
    run = read_run(run_folder)
    panels = [
        ("Reward", reward_chart(run)),
        ("Held-out accuracy", heldout_chart(run.evaluations)),
        ("Response length (tokens)", length_chart(run)),
    ]
    write_whole(path, picture_of(panels, run.name))


def _context(run: RunData) -> dict[str, Any]:
    rl, sft, dpo = shown(rl_figures(run), sft_figures(run), dpo_figures(run))
    return {
        "run": run,
        "model": run.recipe.get("model", {}).get("name", ""),
        "state": _state(run),
        "stages": [_stage(name, found) for name, found in run.stages.items()],
        "facts": _facts(run),
        "rl": rl,
        "thinned": thinning_note(run),
        "sft": sft,
        "dpo": dpo,
        "evaluations": [_evaluation_row(found) for found in run.evaluations],
        "passes": sorted({int(k) for e in run.evaluations for k in e.summary.get("pass_at_k") or {}}),
        "breakdowns": [
            b for b in (_breakdown(run, "by_tag", "Tag"), _breakdown(run, "by_difficulty", "Difficulty")) if b
        ],
        "samples": _samples(run.samples),
        "columns": _COLUMNS,
        "rows": run.iterations[-_TABLE_ROWS:],
        "rows_left_out": max(0, len(run.iterations) - _TABLE_ROWS),
    }


def _state(run: RunData) -> str:
    if run.finished:
        return "finished"
    if run.iterations:
        return f"not finished: iteration {run.iterations[-1]['step'] + 1} of {run.planned_iterations}"
    if run.dpo_steps:
        return f"not finished: DPO step {run.dpo_steps[-1]['step']}"
    return f"not finished: SFT step {run.sft_steps[-1]['step']}" if run.sft_steps else "not finished"


def _stage(name: str, found: Evaluation) -> dict[str, Any]:
    summary = found.summary
    accuracy, pair = summary.get("accuracy"), summary.get("accuracy_interval")
    bar = interval_bar(accuracy, *pair) if accuracy is not None and pair else ""
    return {"name": STAGE_NAMES[name], "accuracy": accuracy, "interval": pair, "bar": Markup(bar), "summary": summary}


def _facts(run: RunData) -> list[tuple[str, str, str]]:
    """(name, figure, remark) of the run's headline figures beside accuracy."""
    facts = []
    if run.iterations:
        trained = sum(row.get("trajectories_trained") or 0 for row in run.iterations)
        multi = sum(
            (row.get("trajectories_trained") or 0)
            * ((row.get("versions_2") or 0) + (row.get("versions_3_or_more") or 0))
            for row in run.iterations
        )
        share = f"{percent(multi / trained)} of them by several policy versions" if trained else ""
        facts.append(("RL iterations", f"{len(run.iterations)} of {run.planned_iterations}", ""))
        facts.append(("Responses trained", f"{trained:.0f}", share))
        means = [row["mismatch_mean"] for row in run.iterations if row.get("mismatch_mean") is not None]
        worst = max(
            (row["mismatch_max"] for row in run.iterations if row.get("mismatch_max") is not None), default=None
        )
        if means and worst is not None:
            mean = sum(means) / len(means)
            facts.append(("Trainer − engine", number(mean), f"nats per token on average; at most {number(worst)}"))
    if run.sft_steps:
        facts.append(("SFT steps", f"{len(run.sft_steps)}", _sft_remark(run.sft_steps)))
    skipped = sum(row.get("steps_skipped") or 0 for row in (*run.sft_steps, *run.iterations))
    if skipped:
        facts.append(("Steps skipped", f"{skipped:.0f}", "loss or gradient was not finite; see skipped/"))
    grading = sum(row.get("grading_seconds") or 0 for row in run.iterations)
    if grading:
        hidden = sum((row.get("grading_seconds") or 0) * (row.get("grading_overlap") or 0) for row in run.iterations)
        remark = f"{percent(hidden / grading)} of it while responses were still being generated"
        facts.append(("Grading", duration(grading), remark))
    if run.seconds:
        phases = sorted(run.seconds.items(), key=lambda item: -item[1])
        remark = ", ".join(f"{phase.replace('_', ' ')} {duration(value)}" for phase, value in phases if value >= 0.05)
        facts.append(("Time", duration(sum(run.seconds.values())), remark))
    return facts


def _sft_remark(steps: Sequence[Mapping[str, Any]]) -> str:
    first, last = steps[0].get("loss"), steps[-1].get("loss")
    return f"loss from {number(first)} to {number(last)}" if first is not None and last is not None else ""


def _evaluation_row(found: Evaluation) -> dict[str, Any]:
    passes = {int(k): value for k, value in (found.summary.get("pass_at_k") or {}).items()}
    return {"name": STAGE_NAMES.get(found.name, found.name), "summary": found.summary, "passes": passes}


def _breakdown(run: RunData, key: str, heading: str) -> dict[str, Any] | None:
    """Accuracy by tag or difficulty, one column per stage; None if there is nothing to tell apart."""
    stages = {name: found.summary.get(key) or {} for name, found in run.stages.items()}
    labels = list(dict.fromkeys(label for parts in stages.values() for label in parts))
    if not labels:
        return None
    rows = [(label, [parts.get(label) for parts in stages.values()]) for label in labels]
    return {"heading": heading, "stages": [STAGE_NAMES[name] for name in stages], "rows": rows}


def _samples(samples: Sequence[Mapping[str, Any]]) -> list[tuple[int, list[Mapping[str, Any]]]]:
    """(iteration from 1, its sample responses), the newest first; of a long run a few iterations from all over it."""
    numbers = sorted({sample["iteration"] for sample in samples}, reverse=True)
    if len(numbers) > _SAMPLED_ITERATIONS:
        last = len(numbers) - 1
        numbers = [numbers[place * last // (_SAMPLED_ITERATIONS - 1)] for place in range(_SAMPLED_ITERATIONS)]
    return [(n + 1, [sample for sample in samples if sample["iteration"] == n]) for n in numbers]


_COLUMNS = (
    ("reward", "reward_mean", "number"),
    ("solved", "solve_rate", "percent"),
    ("tokens", "response_tokens_mean", "number"),
    ("entropy", "entropy", "number"),
    ("KL", "kl_to_reference", "number"),
    ("mismatch", "mismatch_mean", "number"),
    ("loss", "loss", "number"),
    ("gradient", "gradient_norm", "number"),
    ("trained", "groups_trained", "number"),
    ("waiting", "groups_waiting", "number"),
    ("stale", "discarded_stale", "number"),
    ("errors", "grade_errors", "number"),
    ("skipped", "steps_skipped", "number"),
    ("rollout", "seconds_rollout", "duration"),
    ("train", "seconds_train", "duration"),
)
"""(heading, metric, format) of the table of iterations."""
