"""A whole run: the stages of a recipe in order, the model measured before, between and after them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from perilune.config import Recipe
from perilune.data.chat import drop_long_prompts
from perilune.data.problems import load_problems
from perilune.evaluation.metrics import MetricsLog
from perilune.evaluation.progress import Display
from perilune.evaluation.report import write_report
from perilune.rewards.pool import GradingPool
from perilune.rl.checkpoint import prune_checkpoints, write_checkpoint
from perilune.rl.timing import Clock, peak_memory_gb
from perilune.stages.components import Build
from perilune.stages.evaluate import measure
from perilune.stages.rl import reinforce
from perilune.stages.run_folder import open_run
from perilune.stages.session import Session
from perilune.stages.sft import warm_up
from perilune.stages.summary import write_summary
from perilune.stages.watched import watched

_MODEL_AFTER = {"sft": "warmup", "rl": "final"}
"""What the model is called after a stage: in models/, in evaluations/ and in the summary."""


def run_pipeline(
    recipe: Recipe, build: Build, *, resume: bool = False, overwrite: bool = False, quiet: bool = False
) -> Path:
    """Run the recipe's stages that are still to come; return the run's folder.

    Args:
        recipe: what to do.
        build: makes the components, called after the cheap checks.
        resume: continue an existing run.
        overwrite: replace an existing run.
        quiet: show no progress.

    Raises:
        PeriluneError: what a user can mend, with a message that says how.
    """
    train = tuple(load_problems(recipe.problems.train, "train"))
    heldout = tuple(load_problems(recipe.problems.heldout, "heldout"))
    run = open_run(recipe, resume=resume, overwrite=overwrite)
    clock = Clock()
    with ExitStack() as stack:
        stack.callback(run.buffer.close)
        display = stack.enter_context(Display(quiet=quiet))
        logging = recipe.logging
        log = stack.enter_context(MetricsLog(run.path, logging.tensorboard, logging.wandb, recipe.name))
        display.heading(f"Perilune: {recipe.name}, {len(train)} problems, {len(heldout)} held out")
        with clock.phase("setup"):
            grader = stack.enter_context(GradingPool(recipe.rewards, on_event=display.note))
            components = watched(build(recipe), recipe)
            stack.enter_context(components.watchdog.watching(run.path))
            checkpoint = run.buffer.get("checkpoint")
            if checkpoint is not None:
                components.trainer.load(run.checkpoints / checkpoint)
        display.note(components.description)
        train = drop_long_prompts(train, components.render, recipe.problems.train.max_prompt_tokens)
        heldout = drop_long_prompts(heldout, components.render, recipe.problems.heldout.max_prompt_tokens)
        session = Session(recipe, run, components, grader, log, display, train, heldout, clock)
        try:
            _run_steps(session)
        finally:
            log.write("seconds", 0, {"phases": clock.seconds, "peak_memory_gb": peak_memory_gb()})
        display.finish(write_summary(run.path), write_report(run.path))
    return run.path


def plan(recipe: Recipe) -> list[str]:
    """The steps of a run in order: stages, and evaluations as 'evaluate <name>'."""
    steps = ["evaluate base"] if recipe.evaluation.base else []
    for stage in recipe.stages:
        steps += [stage, f"evaluate {_MODEL_AFTER[stage]}"]
    return steps


def _run_steps(session: Session) -> None:
    """Take the steps that the buffer does not name as done; each is committed when it is done."""
    steps, buffer = plan(session.recipe), session.run.buffer
    done: list[str] = buffer.get("steps_done", [])
    if int(buffer.get("iteration", 0)) < session.recipe.rl.iterations:
        # Also where a finished run is resumed with more iterations.
        done = [step for step in done if step not in {"rl", "evaluate final"}]
    for number, step in enumerate(steps, 1):
        if step in done:
            continue
        session.display.heading(f"Step {number} of {len(steps)}: {step}")
        if step.startswith("evaluate "):
            measure(session, step.removeprefix("evaluate "), step=int(buffer.get("iteration", 0)))
        else:
            _run_stage(session, step)
        done = [*done, step]
        buffer.set("steps_done", done)


def _run_stage(session: Session, stage: str) -> None:
    if stage == "rl":
        reinforce(session)
    else:
        warm_up(session)
        write_checkpoint(session.components.trainer, session.run.checkpoints, stage)
        session.run.buffer.set("checkpoint", stage)
        prune_checkpoints(session.run.checkpoints, keep=stage)
    with session.clock.phase("save"):
        session.components.trainer.save_pretrained(session.run.model(_MODEL_AFTER[stage]))
