"""Optimiser steps on samples that are known beforehand (SFT, DPO), with checkpoints and a word about each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from perilune.recipe.training import DPOConfig, SFTConfig
from perilune.run.interruptions import deferred
from perilune.run.jsonl import restore_lines
from perilune.run.metrics import METRICS_FILE
from perilune.run.skipped import saving_skipped
from perilune.stages.session import Session, warn_of_skipped
from perilune.types import Objective, OptimizerStep, Sample, StepMetrics

Kind = Literal["sft", "dpo"]
_LABELS: dict[Kind, str] = {"sft": "SFT", "dpo": "DPO"}


def take_steps(
    session: Session, kind: Kind, samples: Sequence[Sample], objective: Objective, steps: Sequence[OptimizerStep]
) -> None:
    """Take the steps that are still to come, as one update.

    An interrupted stage goes on from its last checkpoint; a signal makes one after the step that is under way.
    """
    trainer, run, every = session.backends.trainer, session.run, session.recipe.checkpoints.sft_steps
    event, start = f"{kind}_step", run.state.sft_steps
    if not start:
        trainer.begin_iteration()
    # What was told after the checkpoint is told again.
    run.journal.forget(event, since=start + 1)
    restore_lines(session.run.path / METRICS_FILE, run.journal.lines(METRICS_FILE))
    with session.display.task(_LABELS[kind], len(steps)) as progress, deferred() as stopping:

        def on_step(step: StepMetrics) -> None:
            progress(step.number, step.steps)
            session.tell(event, step.number, _values(kind, step))
            warn_of_skipped(session, step)
            due = every and step.number % every == 0
            if (due or stopping()) and step.number < step.steps:
                name, reached = f"{kind}-step-{step.number:05d}", replace(run.state, sft_steps=step.number)
                run.write_checkpoint(trainer, name, reached, optimizer=True)
                run.commit(name, reached)
            stopping.now()

        saving = saving_skipped(session.run.skipped, kind, samples, steps, on_step)
        trainer.update(
            samples,
            objective,
            steps[start:],
            lambda step: saving(replace(step, number=step.number + start, steps=len(steps))),
        )


def _values(kind: Kind, step: StepMetrics) -> dict[str, float]:
    values = {"loss": step.loss, "learning_rate": step.learning_rate, "gradient_norm": step.gradient_norm}
    pairs = {"margin": step.margin, "preferred": step.preferred} if kind == "dpo" else {}
    return {**values, **pairs, "tokens": step.tokens, "steps_skipped": int(step.skipped)}


def minibatch_steps(count: int, config: SFTConfig | DPOConfig, seed: int) -> list[OptimizerStep]:
    """Shuffled minibatches of every epoch, with a learning rate that rises, then falls linearly.

    Args:
        count: demonstrations or pairs.
        config: epochs, batch size and learning rates.
        seed: of the order.

    Returns:
        Steps whose indices count demonstrations, or pairs.
    """
    rng = np.random.default_rng(seed)
    batches: list[tuple[int, ...]] = []
    for _ in range(config.epochs):
        order = rng.permutation(count).tolist()
        batches += [tuple(order[start : start + config.batch_size]) for start in range(0, count, config.batch_size)]
    rising = round(config.warmup_share * len(batches))
    rates = [_rate(step, rising, len(batches), config) for step in range(len(batches))]
    return [OptimizerStep(batch, rate) for batch, rate in zip(batches, rates, strict=True)]


def _rate(step: int, rising: int, total: int, config: SFTConfig | DPOConfig) -> float:
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    share = (step - rising) / max(1, total - 1 - rising)
    return config.learning_rate + share * (config.final_learning_rate - config.learning_rate)
