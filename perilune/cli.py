"""The command line, and the composition root: the one place that knows which backend stands behind a seam.

Heavy packages are imported by the commands that need them, so that ``perilune --help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perilune import __version__
from perilune.errors import PeriluneError

if TYPE_CHECKING:
    from perilune.recipe.recipe import Recipe

_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    _hush()
    try:
        status: int = options.command(options)
        sys.stdout.flush()
    except PeriluneError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt as error:
        return _complain(_interrupted(options), getattr(error, "exit_code", _INTERRUPTED))
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception as error:
        from perilune.run.interruptions import told

        message = told(error)
        if message is None:
            raise
        return _complain(f"{message}. {_interrupted(options)}", PeriluneError.exit_code)
    return status


def _complain(message: str, status: int) -> int:
    sys.stderr.write(f"perilune: {message}\n")
    return status


def _hush() -> None:
    """Keep third parties' advice off the terminal, unless Python was told what to do with warnings."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _interrupted(options: argparse.Namespace) -> str:
    """What was kept of a run, and how it goes on."""
    folder: Path | None = getattr(options, "run_folder", None)
    if folder is None or not (folder / "recipe.toml").exists():
        return "stopped; nothing was written"
    return f"stopped; every finished iteration is kept in {folder}. Go on with: perilune resume {folder}"


def _run(options: argparse.Namespace) -> int:
    return _pipeline(options, _recipe(options))


def _one_stage(options: argparse.Namespace) -> int:
    recipe = _recipe(options)
    return _pipeline(options, recipe.model_copy(update={"stages": (options.stage,)}))


def _prepare(options: argparse.Namespace) -> int:
    """A run of one stage that trains nothing, so the model is not measured."""
    recipe = _recipe(options)
    evaluation = recipe.evaluation.model_copy(update={"base": False})
    return _pipeline(options, recipe.model_copy(update={"stages": (options.stage,), "evaluation": evaluation}))


def _long2short(options: argparse.Namespace) -> int:
    """Long2short alone; the recipe names the long model, and the short one or the SFT that makes it."""
    recipe = _recipe(options)
    makes_short = "short_sft" in recipe.stages and recipe.long2short.short_model is None
    stages = (*(("short_sft",) if makes_short else ()), "long2short")
    evaluation = recipe.evaluation.model_copy(update={"base": False})
    return _pipeline(options, recipe.model_copy(update={"stages": stages, "evaluation": evaluation}))


def _evaluate(options: argparse.Namespace) -> int:
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


def _resume(options: argparse.Namespace) -> int:
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


def _merge(options: argparse.Namespace) -> int:
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


def _report(options: argparse.Namespace) -> int:
    from perilune.report.run_page import write_report

    sys.stdout.write(f"{write_report(options.run)}\n")
    return 0


def _serve(options: argparse.Namespace) -> int:
    """Becomes vLLM's server: signals and the exit status are its own."""
    from perilune.backends.serving import serve_command

    arguments = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    command = serve_command(options.model, arguments, options.python)
    sys.stderr.write(f"perilune: {' '.join(command)}\n")
    sys.stderr.flush()
    os.execv(command[0], command)


def _doctor(options: argparse.Namespace) -> int:
    from rich.console import Console

    if options.run is not None:
        from perilune.run.checkup import examine_run, show_run

        return show_run(examine_run(options.run), options.run, Console())
    from perilune.doctor import examine, show

    report = examine(options.output)
    show(report, Console())
    return report.exit_code


def _show_recipe(options: argparse.Namespace) -> int:
    from perilune.recipe.recipe import describe_fields, recipe_toml

    if options.recipe is not None:
        sys.stdout.write(recipe_toml(_recipe(options)))
        return 0
    for name, default, meaning in describe_fields():
        sys.stdout.write(f"{name} = {default}\n    {meaning}\n")
    return 0


def _problems(options: argparse.Namespace) -> int:
    """One JSON object per problem, in the form that a source of kind jsonl reads."""
    import json

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
        }
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    return 0


def _sandbox_serve(options: argparse.Namespace) -> int:
    from importlib.util import find_spec

    from perilune.errors import BackendUnavailable

    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise BackendUnavailable(f"the sandbox service needs {', '.join(missing)}: pip install 'perilune[service]'")
    from perilune.sandbox.client import TOKEN_VARIABLE
    from perilune.sandbox.service import ServiceSettings, serve

    settings = ServiceSettings(workers=options.workers, queue=options.queue)
    serve(options.host, options.port, settings, os.environ.get(TOKEN_VARIABLE), options.isolation)
    return 0


def _sandbox_cases(options: argparse.Namespace) -> int:
    from perilune.build import build_backends
    from perilune.stages.cases import make_cases

    counts = make_cases(_recipe(options), options.problems, options.output, build_backends, quiet=options.quiet)
    for name, count in counts.items():
        sys.stdout.write(f"{count:6d}  {name}\n")
    return 0


def _recipe(options: argparse.Namespace) -> Recipe:
    from perilune.recipe.recipe import load_recipe

    return load_recipe(options.recipe, options.set)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perilune",
        description="Train language models to reason, as Kimi k1.5 was trained: one recipe file, one run folder.",
        epilog="Start with: perilune run recipes/quickstart.toml",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"perilune {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_running(commands)
    _add_merge(commands)
    _add_looking(commands)
    _add_serve(commands)
    _add_sandbox(commands)
    return parser


def _add_running(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run every stage of a recipe, measuring the model before and after each")
    run.set_defaults(command=_run)
    preparing = (
        ("curate", "a pile of problems becomes a prompt set: coverage, difficulty, evaluability"),
        ("warmup", "the model writes and verifies its own warm-up set"),
        ("sample", "several responses per problem: the shortest right ones for SFT, preference pairs for DPO"),
    )
    for stage, meaning in preparing:
        one = commands.add_parser(stage, help=f"run one stage of a recipe: {meaning}")
        one.set_defaults(command=_prepare, stage=stage)
        _add_run_options(one)
    training = (
        ("sft", "supervised fine-tuning, such as the long-CoT warm-up"),
        ("dpo", "direct preference optimisation on your pairs"),
        ("rl", "reinforcement learning"),
    )
    for stage, meaning in training:
        one = commands.add_parser(stage, help=f"run one stage of a recipe: {meaning}")
        one.set_defaults(command=_one_stage, stage=stage)
        _add_run_options(one)
    shorter = commands.add_parser("long2short", help="from a long-CoT model to short answers, by several methods")
    shorter.set_defaults(command=_long2short)
    _add_run_options(shorter)
    evaluate = commands.add_parser("evaluate", help="measure a model on the held-out problems of a recipe")
    evaluate.add_argument("--model", metavar="NAME_OR_FOLDER", help="another model than the recipe's")
    evaluate.add_argument("--samples", type=_natural, metavar="N", help="sampled responses beside the greedy one")
    evaluate.add_argument("--name", help="of the run that is made; by default the recipe's with -evaluation after it")
    evaluate.set_defaults(command=_evaluate)
    for parser in (run, evaluate):
        _add_run_options(parser)
    resume = commands.add_parser("resume", help="continue a run that was stopped")
    resume.add_argument("run", type=Path, metavar="RUN", help="its folder, e.g. runs/quickstart")
    _add_set(resume)
    resume.add_argument("--quiet", action="store_true", help="show warnings and the outcome alone")
    resume.set_defaults(command=_resume)


def _add_merge(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    merge = commands.add_parser("merge", help="average the weights of models, such as a long-CoT and a short-CoT one")
    merge.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="two or more: folders, built-in names or hub ids; config, tokenizer and types are those of the first",
    )
    merge.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the merged model goes")
    merge.add_argument(
        "--weights",
        type=float,
        nargs="+",
        metavar="W",
        help="one per model, of which the ratios count; by default all are equal",
    )
    merge.add_argument(
        "--method",
        choices=("linear", "slerp", "ties", "dare_linear", "dare_ties"),
        default="linear",
        help="linear, the weighted average, is built in; the others need the extra 'merge' (mergekit)",
    )
    merge.add_argument("--base", metavar="MODEL", help="ties and dare: the model that the others were trained from")
    merge.add_argument(
        "--density", type=float, metavar="D", help="ties and dare: share of each model's changes that is kept; 0.5"
    )
    merge.add_argument("--overwrite", action="store_true", help="replace the merged model if its folder exists")
    merge.add_argument("--quiet", action="store_true", help="show the outcome alone")
    merge.set_defaults(command=_merge)


def _add_looking(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    report = commands.add_parser("report", help="write the report of a run, finished or not")
    report.add_argument("run", type=Path, metavar="RUN", help="its folder")
    report.set_defaults(command=_report)
    doctor = commands.add_parser("doctor", help="say what this machine can run, or what of a run is whole")
    doctor.add_argument(
        "run", type=Path, nargs="?", metavar="RUN", help="a run folder to check in place of the machine"
    )
    doctor.add_argument(
        "--output", type=Path, default=Path("runs"), metavar="FOLDER", help="where runs would be written"
    )
    doctor.set_defaults(command=_doctor)
    recipe = commands.add_parser("recipe", help="check a recipe and print it with every default; or list all fields")
    what = recipe.add_mutually_exclusive_group(required=True)
    what.add_argument("recipe", type=Path, nargs="?", metavar="RECIPE")
    what.add_argument("--fields", action="store_true", help="list every field with its default and its meaning")
    _add_set(recipe)
    recipe.set_defaults(command=_show_recipe)
    problems = commands.add_parser("problems", help="print the problems of a recipe, one JSON object a line")
    problems.add_argument("recipe", type=Path, metavar="RECIPE")
    problems.add_argument("--split", choices=("train", "heldout"), default="train")
    problems.add_argument("--count", type=_natural, metavar="N", help="no more than so many")
    _add_set(problems)
    problems.set_defaults(command=_problems)


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="serve a model with vLLM's own OpenAI-compatible server",
        usage="perilune serve [--python PYTHON] MODEL [-- ARGUMENTS OF vllm serve]",
    )
    serve.add_argument("model", metavar="MODEL", help="a folder, such as runs/quickstart/models/final, or a name")
    serve.add_argument("--python", metavar="PYTHON", help="the Python that has vLLM, e.g. .venv-vllm/bin/python")
    serve.add_argument("arguments", nargs="*", help="after --: for vllm serve, e.g. --port 8000")
    serve.set_defaults(command=_serve)


def _add_sandbox(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sandbox = commands.add_parser("sandbox", help="judge programs for other machines, or make test cases")
    actions = sandbox.add_subparsers(title="actions", metavar="ACTION", required=True)
    serve = actions.add_parser(
        "serve",
        help="run and judge programs over HTTP",
        description="The environment variable PERILUNE_SANDBOX_TOKEN sets the token that requests must carry.",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on; others than loopback need a token")
    serve.add_argument("--port", type=_natural, default=8777)
    serve.add_argument("--workers", type=_natural, default=2, metavar="N", help="programs judged at once")
    serve.add_argument("--queue", type=_natural, default=64, metavar="N", help="judgements that may wait")
    serve.add_argument("--isolation", choices=("auto", "namespaces", "landlock"), default="auto")
    serve.set_defaults(command=_sandbox_serve)
    cases = actions.add_parser("cases", help="make tests for problems that have right submissions and no tests")
    cases.add_argument("recipe", type=Path, metavar="RECIPE", help="whose model writes the generators")
    cases.add_argument("problems", type=Path, metavar="PROBLEMS", help="JSONL of statements and submissions")
    cases.add_argument("output", type=Path, metavar="OUTPUT", help="JSONL of the problems that are kept, with tests")
    cases.add_argument("--quiet", action="store_true", help="show warnings and the outcome alone")
    _add_set(cases)
    cases.set_defaults(command=_sandbox_cases)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a TOML file, e.g. recipes/quickstart.toml")
    _add_set(parser)
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="continue the run if its folder exists")
    existing.add_argument("--overwrite", action="store_true", help="replace the run if its folder exists")
    parser.add_argument("--quiet", action="store_true", help="show warnings and the outcome alone")


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of the recipe, e.g. --set rl.iterations=20; may be given more than once",
    )


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
