"""What each command does: it takes the options that were parsed and returns the exit status."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perilune.recipe.recipe import Recipe


def run(options: argparse.Namespace) -> int:
    """A run of every stage of the recipe."""
    return _pipeline(options, _recipe(options))


def one_stage(options: argparse.Namespace) -> int:
    """A run of one stage that trains, the model measured before and after it."""
    recipe = _recipe(options)
    return _pipeline(options, recipe.model_copy(update={"stages": (options.stage,)}))


def prepare(options: argparse.Namespace) -> int:
    """A run of one stage that trains nothing, so the model is not measured."""
    recipe = _recipe(options)
    evaluation = recipe.evaluation.model_copy(update={"base": False})
    return _pipeline(options, recipe.model_copy(update={"stages": (options.stage,), "evaluation": evaluation}))


def long2short(options: argparse.Namespace) -> int:
    """Long2short alone; the recipe names the long model, and the short one or the SFT that makes it."""
    recipe = _recipe(options)
    makes_short = "short_sft" in recipe.stages and recipe.long2short.short_model is None
    stages = (*(("short_sft",) if makes_short else ()), "long2short")
    evaluation = recipe.evaluation.model_copy(update={"base": False})
    return _pipeline(options, recipe.model_copy(update={"stages": stages, "evaluation": evaluation}))


def evaluate(options: argparse.Namespace) -> int:
    """A run without stages: the model is measured and reported, that is all."""
    recipe = _recipe(options)
    evaluation = recipe.evaluation.model_copy(update={"base": True})
    if options.samples is not None:
        evaluation = evaluation.model_copy(update={"samples": options.samples})
    model = recipe.model
    if options.model is not None:
        model = model.model_copy(update={"name": options.model, "revision": None})
    name = options.name or f"{recipe.name}-evaluation"
    changes = {"name": name, "stages": (), "evaluation": evaluation, "model": model}
    return _pipeline(options, recipe.model_copy(update=changes))


def resume(options: argparse.Namespace) -> int:
    """A run that was stopped goes on with its own recipe."""
    from perilune.run.opening import stored_recipe

    options.resume, options.overwrite = True, False
    return _pipeline(options, stored_recipe(options.run, options.set))


def _pipeline(options: argparse.Namespace, recipe: Recipe) -> int:
    options.run_folder = recipe.run_folder
    from perilune.run.interruptions import stopping_on_signals

    with stopping_on_signals():
        from perilune.backends.merging import merge_models
        from perilune.build import build_backends
        from perilune.stages.pipeline import run_pipeline

        run_pipeline(
            recipe,
            build_backends,
            merge=merge_models,
            resume=options.resume,
            overwrite=options.overwrite,
            quiet=options.quiet,
        )
    return 0


def merge(options: argparse.Namespace) -> int:
    """Models become one, in a folder."""
    from perilune.errors import ModelError
    from perilune.run.interruptions import stopping_on_signals

    with stopping_on_signals():
        from perilune.backends.mergekit_rules import NEEDS_BASE
        from perilune.backends.merging import MergePlan, write_merge
        from perilune.report.terminal import Display

        if options.density is not None and options.method not in NEEDS_BASE:
            raise ModelError(f"{options.method} takes no density; {', '.join(NEEDS_BASE)} do")
        weights = options.weights or [1.0] * len(options.models)
        density = 0.5 if options.density is None else options.density
        plan = MergePlan(tuple(weights), options.method, density, options.base)
        with Display(options.quiet) as display:
            with display.task("merging", 1) as progress:
                write_merge(options.models, options.output, plan, progress, overwrite=options.overwrite)
            display.show([f"merged model: {options.output}"])
    return 0


def report(options: argparse.Namespace) -> int:
    """The report of a run, and where it is."""
    from perilune.report.run_page import write_report

    sys.stdout.write(f"{write_report(options.run)}\n")
    return 0


def serve(options: argparse.Namespace) -> int:
    """Becomes vLLM's server: signals and the exit status are its own."""
    from perilune.backends.serving import serve_command

    arguments = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    command = serve_command(options.model, arguments, options.python)
    sys.stderr.write(f"perilune: {' '.join(command)}\n")
    sys.stderr.flush()
    os.execv(command[0], command)


def doctor(options: argparse.Namespace) -> int:
    """What this machine can run; or what of a run is whole."""
    from rich.console import Console

    if options.run is not None:
        from perilune.run.checkup import examine_run, show_run

        return show_run(examine_run(options.run), options.run, Console())
    from perilune.doctor import examine, show

    report = examine(options.output)
    show(report, Console())
    return report.exit_code


def show_recipe(options: argparse.Namespace) -> int:
    """A recipe with every default, or all fields."""
    from perilune.recipe.recipe import describe_fields, recipe_toml

    if options.recipe is not None:
        sys.stdout.write(recipe_toml(_recipe(options)))
        return 0
    for name, default, meaning in describe_fields():
        sys.stdout.write(f"{name} = {default}\n    {meaning}\n")
    return 0


def problems(options: argparse.Namespace) -> int:
    """One JSON object per problem, in the form that a source of kind jsonl reads."""
    import json

    from perilune.data.mapping import ROW
    from perilune.data.problems import load_problems

    sources = _recipe(options).problems
    source = sources.train if options.split == "train" else sources.heldout
    for problem in load_problems(source, options.split)[: options.count]:
        record = {
            "id": problem.id,
            "question": [{"role": message.role, "content": message.content} for message in problem.messages],
            "answer": problem.answer,
            "reward": problem.reward,
            "tags": problem.tags,
            "difficulty": problem.difficulty,
            **({ROW: problem.row} if problem.row else {}),
        }
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    return 0


def reward_test(options: argparse.Namespace) -> int:
    """What the rewards of a recipe make of its problems; 1 if something is not as it should be."""
    from perilune.report.terminal import Display
    from perilune.stages.reward_trial import Asked, run_trial

    recipe = _recipe(options)
    response = sys.stdin.read() if options.response == "-" else options.response
    asked = Asked(options.source, options.problem, options.count, response, every=options.all)
    with Display(quiet=options.quiet) as display:
        trial = run_trial(recipe, asked, display)
        display.show(trial.lines)
    return trial.exit_code


def sandbox_serve(options: argparse.Namespace) -> int:
    """The sandbox as a service."""
    from importlib.util import find_spec

    from perilune.errors import BackendUnavailable

    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise BackendUnavailable(f"the sandbox service needs {', '.join(missing)}: pip install 'perilune[service]'")
    from perilune.errors import SandboxError
    from perilune.sandbox.client import TOKEN_VARIABLE
    from perilune.sandbox.packages import DEFAULT_PACKAGES, find_packages
    from perilune.sandbox.service import ServiceSettings, serve

    settings = ServiceSettings(workers=options.workers, queue=options.queue)
    packages = find_packages(options.packages, options.environment)
    if packages.missing and tuple(options.packages) != DEFAULT_PACKAGES:
        raise SandboxError(f"these packages are not there, or lack what they need: {', '.join(packages.missing)}")
    token = os.environ.get(TOKEN_VARIABLE)
    serve(options.host, options.port, settings, token, options.isolation, packages, options.cpp_standard)
    return 0


def sandbox_cases(options: argparse.Namespace) -> int:
    """Tests for problems that have none, and how many were kept."""
    from perilune.build import build_backends
    from perilune.stages.cases import make_cases

    counts = make_cases(_recipe(options), options.problems, options.output, build_backends, quiet=options.quiet)
    for name, count in counts.items():
        sys.stdout.write(f"{count:6d}  {name}\n")
    return 0


def _recipe(options: argparse.Namespace) -> Recipe:
    from perilune.recipe.recipe import load_recipe

    return load_recipe(options.recipe, options.set)
