"""The warm-up stage: a light SFT on verified long-CoT demonstrations (k1.5, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from perilune.config import Recipe
from perilune.data.generators import Style, form_to_write
from perilune.data.problems import generator_demonstrations, load_demonstrations, load_solutions
from perilune.errors import ProblemsError
from perilune.evaluation.jsonl import restore_lines
from perilune.evaluation.metrics import METRICS_FILE
from perilune.rewards.pool import GradingPool
from perilune.rl.skipped import saving_skipped
from perilune.stages.demonstrate import DEMONSTRATIONS_FILE, FOLDER
from perilune.stages.interruptions import deferred
from perilune.stages.session import Session, warn_of_skipped
from perilune.training_config import SFTConfig
from perilune.types import (
    Demonstration,
    GradeRequest,
    Objective,
    OptimizerStep,
    Sample,
    StepMetrics,
    Verdict,
)


def demonstrations_for(recipe: Recipe, grader: GradingPool, written: Path | None = None) -> list[Demonstration]:
    """The warm-up set, each response verified by its problem's reward.

    Args:
        recipe: names the demonstrations, or the problems that they are made for.
        grader: verifies them.
        written: demonstrations that a model wrote in this run, if it did; a file that the recipe names goes before.

    Raises:
        ProblemsError: none is left after verification.
    """
    config, source = recipe.sft, recipe.problems.train
    chosen = Path(config.demonstrations) if config.demonstrations is not None else written
    if chosen is not None:
        candidates = load_demonstrations(chosen, count=config.count)
    elif source.kind == "generator":
        form = form_to_write(recipe.rewards.answer_form)
        direct = round(config.count * config.direct_share)
        styles: list[tuple[Style, int]] = [("long", config.count - direct), ("direct", direct)]
        candidates = [
            shown
            for style, count in styles
            for shown in generator_demonstrations(source, count, recipe.seed, answer_form=form, style=style)
        ]
    else:
        candidates = load_solutions(source, config.response, count=config.count)
    return verified(candidates, grader)


def verified(candidates: Sequence[Demonstration], grader: GradingPool) -> list[Demonstration]:
    """Those whose response its reward finds right; demonstrations without a reference answer are kept as they are."""
    checkable = [(str(i), d) for i, d in enumerate(candidates) if d.problem.answer]
    for name, demonstration in checkable:
        grader.submit(GradeRequest(name, demonstration.problem, demonstration.response))
    grades = dict(grader.drain())
    wrong = {name for name, _ in checkable if grades[name].verdict is not Verdict.RIGHT}
    kept = [d for i, d in enumerate(candidates) if str(i) not in wrong]
    if not kept:
        detail = grades[min(wrong)].detail if wrong else "there were none"
        raise ProblemsError(
            f"none of {len(candidates)} demonstrations is right by its own reward (the first: {detail}); check that "
            "their responses end in the form that rewards.answer_form asks for"
        )
    return kept


def warm_up(session: Session) -> None:
    """Fine-tune on the verified demonstrations, on the responses alone; one update is the whole stage.

    An interrupted warm-up goes on from its last checkpoint; a signal makes one after the step that is under way.
    """
    recipe, components = session.recipe, session.components
    with session.clock.phase("sft"):
        before = session.grader.stats.errors
        written = session.run.path / FOLDER / DEMONSTRATIONS_FILE if "warmup" in recipe.stages else None
        demonstrations = demonstrations_for(recipe, session.grader, written)
        errors = session.grader.stats.errors - before
        if errors:
            session.display.warn(f"{errors} demonstrations are left out because their grading ended in an error")
        samples = [_sample(*components.render_demonstration(d)) for d in demonstrations]
        steps = sft_steps(len(samples), recipe.sft, recipe.seed)
        session.display.note(f"{len(samples)} verified demonstrations, {len(steps)} optimiser steps")
        _train(session, samples, steps)


def _train(session: Session, samples: Sequence[Sample], steps: Sequence[OptimizerStep]) -> None:
    """Take the steps that are still to come, with a checkpoint now and then."""
    trainer, ledger, every = session.components.trainer, session.run.ledger, session.recipe.checkpoints.sft_steps
    start = ledger.progress.sft_steps
    if not start:
        trainer.begin_iteration()
    # What was told after the checkpoint is told again.
    ledger.journal.forget("sft_step", since=start + 1)
    restore_lines(session.run.path / METRICS_FILE, ledger.journal.lines(METRICS_FILE))
    with session.display.task("warm-up", len(steps)) as progress, deferred() as stopping:

        def on_step(step: StepMetrics) -> None:
            progress(step.number, step.steps)
            values = {"loss": step.loss, "learning_rate": step.learning_rate, "gradient_norm": step.gradient_norm}
            counts = {"tokens": step.tokens, "steps_skipped": int(step.skipped)}
            session.tell("sft_step", step.number, values | counts)
            warn_of_skipped(session, step)
            due = every and step.number % every == 0
            if (due or stopping()) and step.number < step.steps:
                name, reached = f"sft-step-{step.number:05d}", replace(ledger.progress, sft_steps=step.number)
                ledger.write(trainer, name, reached, optimizer=True)
                ledger.commit(name, reached)
            stopping.now()

        saving = saving_skipped(session.run.skipped, "sft", samples, steps, on_step)
        trainer.update(
            samples,
            Objective("sft"),
            steps[start:],
            lambda step: saving(replace(step, number=step.number + start, steps=len(steps))),
        )


def _sample(prompt: tuple[int, ...], response: tuple[int, ...]) -> Sample:
    return Sample(prompt + response, len(prompt), (False,) * len(prompt) + (True,) * len(response), advantage=1.0)


def sft_steps(count: int, config: SFTConfig, seed: int) -> list[OptimizerStep]:
    """Shuffled minibatches of every epoch, with a learning rate that rises, then falls linearly."""
    rng = np.random.default_rng(seed)
    batches: list[tuple[int, ...]] = []
    for _ in range(config.epochs):
        order = rng.permutation(count).tolist()
        batches += [tuple(order[start : start + config.batch_size]) for start in range(0, count, config.batch_size)]
    rising = round(config.warmup_share * len(batches))
    rates = [_rate(step, rising, len(batches), config) for step in range(len(batches))]
    return [OptimizerStep(batch, rate) for batch, rate in zip(batches, rates, strict=True)]


def _rate(step: int, rising: int, total: int, config: SFTConfig) -> float:
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    share = (step - rising) / max(1, total - 1 - rising)
    return config.learning_rate + share * (config.final_learning_rate - config.learning_rate)
