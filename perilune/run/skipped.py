"""Minibatches whose loss or gradient was not finite, kept as files for people to look at.

``RUN/skipped/iteration-00007-step-2.jsonl`` is the second optimiser step of the seventh iteration,
``sft-step-12.jsonl`` the twelfth of the warm-up. Its first line says what came out; each further line is a sample:

    {"step": 2, "steps": 4, "loss": "NaN", "gradient_norm": "Infinity", "learning_rate": 1e-05, "samples": 8}
    {"tokens": [...], "prompt_length": 31, "loss_mask": [false, ...], "advantage": 0.5,
     "behaviour_logprobs": [-0.7, ...], "versions": [6, ...], "group": 0}

The keys of a sample are the fields of :class:`perilune.types.Sample`. JSON has no word for a number that is not finite;
it is written as the text "NaN", "Infinity" or "-Infinity", which ``float`` reads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from perilune.types import OptimizerStep, Sample, StepMetrics

_MOST_FILES = 20
"""The first ones tell most; a run that goes wrong for long shall not fill the disk."""

OnStep = Callable[[StepMetrics], None]


def saving_skipped(
    folder: Path, name: str, samples: Sequence[Sample], steps: Sequence[OptimizerStep], on_step: OnStep
) -> OnStep:
    """``on_step`` for an update, which also keeps the minibatch of each skipped step.

    Args:
        folder: is made when the first is kept.
        name: of the update; the files are ``name-step-N.jsonl``.
        samples: of the update.
        steps: of the update.
        on_step: called after that.
    """

    def save_and_go_on(step: StepMetrics) -> None:
        if step.skipped:
            minibatch = [samples[index] for index in steps[step.number - 1].indices]
            _save(folder / f"{name}-step-{step.number}.jsonl", step, minibatch)
        on_step(step)

    return save_and_go_on


def _save(path: Path, step: StepMetrics, minibatch: Sequence[Sample]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() and len(list(path.parent.glob("*.jsonl"))) >= _MOST_FILES:
        return
    head = {
        "step": step.number,
        "steps": step.steps,
        "loss": step.loss,
        "gradient_norm": step.gradient_norm,
        "learning_rate": step.learning_rate,
        "samples": len(minibatch),
    }
    aside = path.with_suffix(".part")
    with aside.open("w", encoding="utf-8") as file:
        for record in (head, *map(asdict, minibatch)):
            file.write(json.dumps(_in_words(record), allow_nan=False) + "\n")
    aside.replace(path)


def _in_words(value: Any) -> Any:
    """The value with what is not finite as text."""
    if isinstance(value, dict):
        return {key: _in_words(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_in_words(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
