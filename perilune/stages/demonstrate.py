"""The stage that writes the warm-up set: a model's own verified long-CoT demonstrations (k1.5, section 2.2)."""

from __future__ import annotations

import gc
import json
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

from perilune.curation.demonstrations import build_demonstrations
from perilune.curation.spread import evenly
from perilune.curation.warmup_files import summarize_warmup, write_messages, write_rejected, write_summary
from perilune.curation.warmup_prompts import WarmupPrompts, load_examples
from perilune.curation.warmup_set import WarmupSet
from perilune.data.generators import form_to_write
from perilune.errors import ProblemsError
from perilune.recipe.recipe import ModelConfig, Recipe
from perilune.stages.backends import Backends, Build
from perilune.stages.session import Session
from perilune.stages.watched import watched
from perilune.types import Problem

FOLDER = "warmup"
DEMONSTRATIONS_FILE = "demonstrations.jsonl"
_EVENT = "warmup_set"


def write_warmup_set(session: Session, build: Build, *, done: str | None = None) -> Path:
    """Ask the model, or the teacher, for demonstrations; verify, choose and write them.

    Responses are kept as they finish: a run that was killed generates the others alone.

    Args:
        session: the run; its backends write, unless ``warmup.teacher`` names another model.
        build: makes the teacher's backends.
        done: the step of the run that is over with it.

    Returns:
        The demonstrations, in the form that ``sft.demonstrations`` reads. Beside them lie ``rejected.jsonl`` with
        the reasons, and ``summary.json``.

    Raises:
        ProblemsError: there are too few worked examples, or not one response became a demonstration.
        EngineError: the engine cannot serve a request, or leaves one out.
    """
    recipe = session.recipe
    prompts = prompts_for(recipe)
    problems = evenly(session.train, _kind, recipe.warmup.problems)
    with session.clock.phase("warmup_set"):
        built = _built(session, build, problems, prompts)
    folder, summary = session.run.path / FOLDER, summarize_warmup(built)
    write_rejected(folder / "rejected.jsonl", built.rejected)
    write_summary(folder / "summary.json", summary)
    if not built.kept:
        most = max(built.counts.dropped.items(), key=lambda item: item[1])
        raise ProblemsError(
            f"not one of {built.counts.asked} responses became a demonstration (most were dropped as {most[0].value}: "
            f"{most[1]}); see {folder / 'rejected.jsonl'}. Name a stronger model in warmup.teacher, lower "
            "warmup.temperature, raise warmup.samples, or give examples nearer to your problems in warmup.examples"
        )
    write_messages(folder / DEMONSTRATIONS_FILE, built.kept)
    session.tell_answered(_EVENT, 0, summary, done=done)
    session.display.note(_line(summary))
    return folder / DEMONSTRATIONS_FILE


def prompts_for(recipe: Recipe) -> WarmupPrompts:
    """The prompts that the recipe's [warmup] describes.

    Raises:
        ProblemsError: its examples cannot be read, or are fewer than its shots.
    """
    config = recipe.warmup
    examples = load_examples(Path(config.examples) if config.examples is not None else None)
    return WarmupPrompts(examples, config.variants, config.shots, form_to_write(recipe.rewards.answer_form))


def _kind(problem: Problem) -> tuple[tuple[str, ...], float | None]:
    return problem.tags, problem.difficulty


def _built(session: Session, build: Build, problems: list[Problem], prompts: WarmupPrompts) -> WarmupSet:
    """By the model of the run, or by the teacher, whose memory is free again afterwards."""
    if session.recipe.warmup.teacher is None:
        return _asked(session, session.backends, problems, prompts)
    built = _taught(session, build, problems, prompts)
    # Models and caches hang together in circles, so that nothing goes before they are looked for.
    gc.collect()
    return built


def _taught(session: Session, build: Build, problems: list[Problem], prompts: WarmupPrompts) -> WarmupSet:
    recipe = session.recipe
    # It brings its own tokenizer and chat template; the system prompt belongs to the task.
    model = ModelConfig(name=str(recipe.warmup.teacher), system_prompt=recipe.model.system_prompt)
    teacher = watched(build(recipe.model_copy(update={"model": model})), recipe)
    session.display.note(f"teacher: {teacher.description}")
    with closing(teacher.workers), teacher.watchdog.watching(session.run.path):
        return _asked(session, teacher, problems, prompts)


def _asked(session: Session, backends: Backends, problems: list[Problem], prompts: WarmupPrompts) -> WarmupSet:
    config, answers, key = session.recipe.warmup, session.run.answers, _key(session, backends)
    total = len(problems) * len(set(config.variants)) * config.samples
    with (
        session.display.task("demonstrations", total) as progress,
        backends.workers.serving(backends.trainer) as engine,
    ):
        return build_demonstrations(
            engine,
            session.grader,
            problems,
            prompts,
            backends.render,
            backends.decode,
            config,
            answer_form=form_to_write(session.recipe.rewards.answer_form),
            seed=session.recipe.seed,
            progress=progress,
            known=answers.of(key),
            keep=lambda name, segment: answers.keep(key, name, segment),
        )


def _key(session: Session, backends: Backends) -> str:
    """What the responses depend on, beside problem, variant and sample: the weights, and how they are asked."""
    config = session.recipe.warmup
    settings = [
        config.teacher or "", backends.trainer.version, session.recipe.seed, config.shots, config.examples,
        config.max_response_tokens, config.temperature,
    ]  # fmt: skip
    return f"warmup/{blake2b(json.dumps(settings).encode(), digest_size=8).hexdigest()}"


def _line(summary: dict[str, Any]) -> str:
    dropped = ", ".join(f"{reason} {count}" for reason, count in summary["dropped"].items() if count)
    shown = ", ".join(f"{name} {count}" for name, count in summary["behaviours"]["kept"].items())
    return (
        f"{summary['kept']} demonstrations of {summary['problems_shown']} problems kept of {summary['asked']} "
        f"responses ({shown}); dropped: {dropped or 'none'}"
    )
