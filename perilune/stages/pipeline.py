"""A whole run: the stages of a recipe in order, the model measured before, between and after them."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from perilune.data.chat import drop_long_prompts
from perilune.recipe.recipe import APART, MODEL_AFTER, Recipe
from perilune.report.run_page import write_report
from perilune.report.terminal import Display
from perilune.rewards.pool import GradingPool
from perilune.rewards.router import check_rewards_work
from perilune.run.folder import RunFolder
from perilune.run.folders import write_folder
from perilune.run.jsonl import restore_lines
from perilune.run.metrics import METRICS_FILE, MetricsLog
from perilune.run.opening import changes_of, check_run, open_run, with_kept_rewards
from perilune.run.summary import write_summary
from perilune.run.timing import Clock, peak_memory_gb
from perilune.stages.backends import Build, Merge
from perilune.stages.curate import curate, with_curated
from perilune.stages.demonstrate import write_warmup_set
from perilune.stages.dpo import optimize_preferences
from perilune.stages.evaluate import measure
from perilune.stages.loading import Loaded, load_for
from perilune.stages.long2short import check_long2short, long2short, make_short_model
from perilune.stages.references import References, judgeable, keep_references
from perilune.stages.reward_check import fixed_rewards, try_rewards
from perilune.stages.rl import DRAWS_FILE, SAMPLES_FILE, reinforce
from perilune.stages.sample import draw_samples
from perilune.stages.session import Session
from perilune.stages.sft import warm_up
from perilune.stages.subruns import Subruns
from perilune.stages.watched import watched


@dataclass(frozen=True, slots=True)
class StageKind:
    """A stage that shares the session's model with the others."""

    take: Callable[[Session, Build], object]
    """Does what is still to come of it."""
    checkpointed: bool = False
    """It commits what it trains itself, the last time at its end."""


STAGES: Mapping[str, StageKind] = {
    "curate": StageKind(lambda session, _: curate(session)),
    "warmup": StageKind(lambda session, build: write_warmup_set(session, build, done="warmup")),
    "sample": StageKind(lambda session, _: draw_samples(session)),
    "sft": StageKind(lambda session, _: warm_up(session)),
    "dpo": StageKind(lambda session, _: optimize_preferences(session)),
    "rl": StageKind(lambda session, _: reinforce(session), checkpointed=True),
}
"""By their names in the recipe; those of :data:`perilune.recipe.recipe.APART` make models of their own."""


def run_pipeline(
    recipe: Recipe,
    build: Build,
    *,
    merge: Merge | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> Path:
    """Run the recipe's stages that are still to come; return the run's folder.

    Args:
        recipe: what to do.
        build: makes the backends, called after the cheap checks.
        merge: merges models, for long2short.
        resume: continue an existing run.
        overwrite: replace an existing run.
        quiet: show no progress.

    Raises:
        PeriluneError: what a user can mend, with a message that says how.
    """
    if "long2short" in recipe.stages:
        check_long2short(recipe, merge)
    found, loaded = run_session(recipe, build, resume=resume, overwrite=overwrite, quiet=quiet)
    # The session's models are gone by now; each of these stages has its own.
    gc.collect()
    with Display(quiet=quiet) as display:
        subruns = Subruns(found, loaded, build, display, quiet, run_session)
        if "short_sft" in recipe.stages:
            make_short_model(subruns)
        if "long2short" in recipe.stages:
            long2short(subruns, merge)
        if any(stage in APART for stage in recipe.stages):
            write_report(recipe.run_folder)
    return recipe.run_folder


def run_session(
    recipe: Recipe,
    build: Build,
    *,
    loaded: Loaded | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    nested: bool = False,
) -> tuple[Recipe, Loaded]:
    """Run the stages that share one model, those that are still to come.

    Args:
        recipe: what to do.
        build: makes the backends, called after the cheap checks; not at all if there is no step.
        loaded: the problems, in place of the recipe's; those to train on are judgeable.
        resume: continue an existing run.
        overwrite: replace an existing run.
        quiet: show no progress.
        nested: the run is a part of another, whose outcome is told.

    Returns:
        What the stages after it go on from: the recipe with what curation has found, the problems that stay.

    Raises:
        PeriluneError: what a user can mend, with a message that says how.
    """
    given = loaded is not None
    loaded = loaded or load_for(recipe)
    train, heldout = loaded.train, loaded.heldout
    check_run(recipe, resume=resume, overwrite=overwrite)
    with ExitStack() as stack:
        display = stack.enter_context(Display(quiet=quiet))
        display.heading(f"Perilune: {recipe.name}, {len(train)} problems, {len(heldout)} held out")
        recipe = stack.enter_context(fixed_rewards(recipe, display, resume=resume))
        check_rewards_work({problem.reward for problem in (*train, *heldout)}, recipe.rewards)
        grader = stack.enter_context(GradingPool(recipe.rewards, on_event=display.note))
        if not given:
            try_rewards(recipe, (*train, *heldout), grader, display)
        judged = judgeable(recipe, train, heldout, grader, display, train_is_judgeable=given, resume=resume)
        if not plan(recipe):
            run = open_run(recipe, resume=resume, overwrite=overwrite)
            stack.callback(run.buffer.close)
            keep_references(run.path, judged.references)
            return with_kept_rewards(recipe)[0], Loaded(judged.train, heldout)
        loaded = replace(loaded, train=judged.train, heldout=judged.heldout)
        session = _open_session(
            stack, recipe, build, display, grader, loaded, judged.references, resume=resume, overwrite=overwrite
        )
        try:
            session = _run_steps(session, build)
        except BaseException:
            with suppress(Exception):
                _tell_seconds(session)
            raise
        _tell_seconds(session)
        summary, report = write_summary(session.run.path), write_report(session.run.path)
        if not nested:
            display.finish(summary, report)
    return session.recipe, Loaded(session.train, heldout)


def _open_session(
    stack: ExitStack,
    recipe: Recipe,
    build: Build,
    display: Display,
    grader: GradingPool,
    loaded: Loaded,
    references: References,
    *,
    resume: bool,
    overwrite: bool,
) -> Session:
    """Model and engine, then the run folder; all are closed with the stack."""
    clock, train, heldout = Clock(), loaded.train, loaded.heldout
    with clock.phase("setup"):
        backends = watched(build(recipe), recipe)
        stack.enter_context(closing(backends.workers))
        if "curate" not in recipe.stages:
            train = drop_long_prompts(train, backends.render, recipe.problems.train.max_prompt_tokens)
        heldout = drop_long_prompts(heldout, backends.render, recipe.problems.heldout.max_prompt_tokens)
        # Only now: a start that fails on the recipe leaves nothing behind, and what was there untouched.
        changes = changes_of(recipe) if resume and recipe.run_folder.exists() else []
        run = open_run(recipe, resume=resume, overwrite=overwrite)
        stack.callback(run.buffer.close)
        recipe, _ = with_kept_rewards(recipe)
        keep_references(run.path, references)
        stack.enter_context(backends.watchdog.watching(run.path))
        checkpoint = run.newest_checkpoint(display.warn)
        if checkpoint is not None:
            backends.trainer.load(checkpoint)
    display.note(backends.description)
    for change in changes:
        display.note(f"changed: {change}")
    log = stack.enter_context(_open_log(run, recipe))
    return Session(recipe, run, backends, grader, log, display, train, heldout, clock, loaded.sets, loaded.worked)


def _open_log(run: RunFolder, recipe: Recipe) -> MetricsLog:
    """The run's text files, as its journal has them, open for more."""
    journal, logging = run.journal, recipe.logging
    missing = restore_lines(run.path / METRICS_FILE, journal.lines(METRICS_FILE))
    for file in (SAMPLES_FILE, DRAWS_FILE):
        restore_lines(run.path / file, journal.lines(file))
    log = MetricsLog(run.path, logging.tensorboard, logging.wandb, recipe.name)
    for event in map(json.loads, missing):
        log.mirror(event["event"], event["step"], event)
    return log


def _tell_seconds(session: Session) -> None:
    session.tell("seconds", 0, {"phases": session.clock.seconds, "peak_memory_gb": peak_memory_gb()})


def plan(recipe: Recipe) -> list[str]:
    """The steps of a session in order: stages, and evaluations as 'evaluate <name>'."""
    steps = ["evaluate base"] if recipe.evaluation.base else []
    for stage in recipe.stages:
        if stage in APART:
            continue
        steps.append(stage)
        if (model := MODEL_AFTER.get(stage)) is not None:
            steps.append(f"evaluate {model}")
    return steps


def _run_steps(session: Session, build: Build) -> Session:
    """Take the steps that are not done; each is committed when it is done. Return the session after curation."""
    run, display = session.run, session.display
    _reopen_rl(session)
    steps = plan(session.recipe)
    for number, step in enumerate(steps, 1):
        if step not in run.state.steps_done:
            display.heading(f"Step {number} of {len(steps)}: {step}")
            if step.startswith("evaluate "):
                measure(session, step.removeprefix("evaluate "), step=run.state.iteration, done=step)
            else:
                _run_stage(session, step, build)
        if step == "curate":
            session = with_curated(session)
    return session


def _reopen_rl(session: Session) -> None:
    """A finished run that is resumed with more iterations has RL before it again."""
    run = session.run
    state = run.state
    if state.iteration < session.recipe.rl.iterations:
        done = tuple(step for step in state.steps_done if step not in {"rl", "evaluate final"})
        if done != state.steps_done:
            run.set_state(replace(state, steps_done=done))


def _run_stage(session: Session, stage: str, build: Build) -> None:
    """A stage, its model if it trains one, and the commit that says that it is done."""
    kind = STAGES[stage]
    kind.take(session, build)
    run, trainer = session.run, session.backends.trainer
    if stage in run.state.steps_done:
        return  # Committed with what it tells: its responses are gone then, and may not be asked for again.
    model = MODEL_AFTER.get(stage)
    if model is not None:
        with session.clock.phase("save"):
            write_folder(run.model(model), trainer.save_pretrained)
    state = run.state.with_done(stage)
    if model is not None and not kind.checkpointed:
        with session.clock.phase("save"):
            state = replace(state, sft_steps=0)
            run.write_checkpoint(trainer, stage, state)
            run.commit(stage, state)
    else:
        # The model is as it was before, or the last iteration has a checkpoint of it.
        run.set_state(state)
