"""What a run folder says about its run, finished or not: the report's material."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perilune.errors import RunFolderError
from perilune.recipe.recipe import MODEL_AFTER
from perilune.run.jsonl import read_objects
from perilune.run.metrics import read_metrics

STAGE_NAMES = {"base": "Base model", "warmup": "After SFT", "dpo": "After DPO", "final": "After RL"}
"""The evaluations that mark a stage's end, and what people call them."""

_TOLD_AFTER = {"curate": "curation", "warmup": "warmup_set", "sample": "samples"}
_TOLD_AFTER |= {"short_sft": "short_sft", "long2short": "long2short"}
"""The event that ends a stage which trains nothing."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation event."""

    name: str
    step: int
    """RL iterations behind the model."""
    summary: dict[str, Any]
    """:meth:`perilune.evaluation.scoring.EvaluationSummary.to_dict`."""


@dataclass(frozen=True, slots=True)
class RunData:
    """A run's records. What was written twice, because the run was interrupted, is here once: as last written."""

    name: str
    recipe: dict[str, Any]
    recipe_text: str
    iterations: tuple[dict[str, Any], ...]
    """Iteration events by step, which counts from 0."""
    sft_steps: tuple[dict[str, Any], ...]
    """SFT events by step, which counts from 1."""
    dpo_steps: tuple[dict[str, Any], ...]
    """DPO events by step, which counts from 1."""
    evaluations: tuple[Evaluation, ...]
    samples: tuple[dict[str, Any], ...]
    """Sample responses by iteration."""
    seconds: dict[str, float]
    """Per phase, all sessions of the run together."""
    told: frozenset[str] = frozenset()
    """Kinds of event that there are."""

    @property
    def stages(self) -> dict[str, Evaluation]:
        """The evaluations of base, warmup and final, as far as there are any, in this order."""
        found = {evaluation.name: evaluation for evaluation in self.evaluations}
        return {name: found[name] for name in STAGE_NAMES if name in found}

    @property
    def planned_iterations(self) -> int:
        """RL iterations that the recipe asks for; 0 if it has no RL."""
        planned = "rl" in self.recipe.get("stages", ("sft", "rl"))
        return int(self.recipe.get("rl", {}).get("iterations", len(self.iterations))) if planned else 0

    @property
    def finished(self) -> bool:
        """True if the recipe's last stage is over, and the model evaluated after it if the stage trains it."""
        stages = self.recipe.get("stages", ("sft", "rl"))
        if stages and stages[-1] in _TOLD_AFTER:
            return _TOLD_AFTER[stages[-1]] in self.told
        last = MODEL_AFTER.get(stages[-1], "final") if stages else "base"
        return last in self.stages


def read_run(folder: Path) -> RunData:
    """Read a run folder; what is not there yet is empty.

    Raises:
        RunFolderError: the folder is none of a run: it has neither a recipe nor metrics.
    """
    recipe_path = folder / "recipe.toml"
    if not recipe_path.is_file() and not (folder / "metrics.jsonl").is_file():
        raise RunFolderError(
            f"{folder} is no run folder: it has neither recipe.toml nor metrics.jsonl; name a folder that "
            "'perilune run' has made, such as runs/quickstart"
        )
    text = recipe_path.read_text(encoding="utf-8", errors="replace") if recipe_path.is_file() else ""
    events = read_metrics(folder)
    return RunData(
        name=folder.resolve().name,
        recipe=_parsed(text),
        recipe_text=text,
        iterations=_last_by_step(events, "iteration"),
        sft_steps=_last_by_step(events, "sft_step"),
        dpo_steps=_last_by_step(events, "dpo_step"),
        evaluations=_evaluations(events),
        samples=_samples(folder / "samples.jsonl"),
        seconds=_seconds(events),
        told=frozenset(event["event"] for event in events) | _apart(folder),
    )


def _apart(folder: Path) -> frozenset[str]:
    """The stages with runs of their own that are over."""
    over = set()
    if (folder / "models" / "short" / "config.json").is_file():
        over.add("short_sft")
    try:
        if json.loads((folder / "long2short" / "results.json").read_text(encoding="utf-8"))["finished"]:
            over.add("long2short")
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return frozenset(over)


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _last_by_step(events: list[dict[str, Any]], kind: str) -> tuple[dict[str, Any], ...]:
    last = {event["step"]: event for event in events if event["event"] == kind}
    return tuple(last[step] for step in sorted(last))


def _evaluations(events: list[dict[str, Any]]) -> tuple[Evaluation, ...]:
    last = {
        event["name"]: Evaluation(event["name"], event["step"], event["summary"])
        for event in events
        if event["event"] == "evaluation" and isinstance(event.get("summary"), dict) and "name" in event
    }
    order = {"base": 0, "warmup": 1}
    return tuple(sorted(last.values(), key=lambda found: (found.step, order.get(found.name, 2))))


def _samples(path: Path) -> tuple[dict[str, Any], ...]:
    last: dict[int, dict[str, dict[str, Any]]] = {}
    for sample in read_objects(path):
        if isinstance(sample.get("iteration"), int) and isinstance(sample.get("segments"), list):
            text = "".join(str(segment.get("text", "")) for segment in sample["segments"])
            last.setdefault(sample["iteration"], {})[f"{sample.get('problem')} {text}"] = sample
    return tuple(sample for iteration in sorted(last) for sample in last[iteration].values())


def _seconds(events: list[dict[str, Any]]) -> dict[str, float]:
    """From the events 'seconds' that each session writes at its end; from the iterations until there is one."""
    total: dict[str, float] = {}
    for event in events:
        if event["event"] == "seconds":
            for phase, value in event.get("phases", {}).items():
                total[phase] = total.get(phase, 0.0) + (value or 0.0)
    if total:
        return total
    for event in _last_by_step(events, "iteration"):
        for name, value in event.items():
            if name.startswith("seconds_"):
                phase = name.removeprefix("seconds_")
                total[phase] = total.get(phase, 0.0) + (value or 0.0)
    return total
