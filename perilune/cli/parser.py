"""The words of the command line: every command with its options."""

from __future__ import annotations

import argparse
from pathlib import Path

from perilune import __version__
from perilune.cli import commands


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command; what it parses has the function that does it as ``command``."""
    parser = argparse.ArgumentParser(
        prog="perilune",
        description="Train language models to reason, as Kimi k1.5 was trained: one recipe file, one run folder.",
        epilog="Start with: perilune run recipes/quickstart.toml",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"perilune {__version__}")
    parsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_running(parsers)
    _add_merge(parsers)
    _add_looking(parsers)
    _add_serve(parsers)
    _add_reward(parsers)
    _add_sandbox(parsers)
    return parser


def _add_running(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = parsers.add_parser("run", help="run every stage of a recipe, measuring the model before and after each")
    run.set_defaults(command=commands.run)
    stages = (
        ("curate", commands.prepare, "a pile of problems becomes a prompt set: coverage, difficulty, evaluability"),
        ("warmup", commands.prepare, "the model writes and verifies its own warm-up set"),
        (
            "sample",
            commands.prepare,
            "several responses per problem: the shortest right ones for SFT, preference pairs for DPO",
        ),
        ("sft", commands.one_stage, "supervised fine-tuning, such as the long-CoT warm-up"),
        ("dpo", commands.one_stage, "direct preference optimisation on your pairs"),
        ("rl", commands.one_stage, "reinforcement learning"),
    )
    for stage, command, meaning in stages:
        one = parsers.add_parser(stage, help=f"run one stage of a recipe: {meaning}")
        one.set_defaults(command=command, stage=stage)
        _add_run_options(one)
    shorter = parsers.add_parser("long2short", help="from a long-CoT model to short answers, by several methods")
    shorter.set_defaults(command=commands.long2short)
    _add_run_options(shorter)
    evaluate = parsers.add_parser("evaluate", help="measure a model on the held-out problems of a recipe")
    evaluate.add_argument("--model", metavar="NAME_OR_FOLDER", help="another model than the recipe's")
    evaluate.add_argument("--samples", type=_natural, metavar="N", help="sampled responses beside the greedy one")
    evaluate.add_argument("--name", help="of the run that is made; by default the recipe's with -evaluation after it")
    evaluate.set_defaults(command=commands.evaluate)
    for parser in (run, evaluate):
        _add_run_options(parser)
    resume = parsers.add_parser("resume", help="continue a run that was stopped")
    resume.add_argument("run", type=Path, metavar="RUN", help="its folder, e.g. runs/quickstart")
    _add_set(resume)
    resume.add_argument("--quiet", action="store_true", help="show warnings and the outcome alone")
    resume.set_defaults(command=commands.resume)


def _add_merge(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    merge = parsers.add_parser("merge", help="average the weights of models, such as a long-CoT and a short-CoT one")
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
    merge.set_defaults(command=commands.merge)


def _add_looking(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    report = parsers.add_parser("report", help="write the report of a run, finished or not")
    report.add_argument("run", type=Path, metavar="RUN", help="its folder")
    report.set_defaults(command=commands.report)
    doctor = parsers.add_parser("doctor", help="say what this machine can run, or what of a run is whole")
    doctor.add_argument(
        "run", type=Path, nargs="?", metavar="RUN", help="a run folder to check in place of the machine"
    )
    doctor.add_argument(
        "--output", type=Path, default=Path("runs"), metavar="FOLDER", help="where runs would be written"
    )
    doctor.set_defaults(command=commands.doctor)
    recipe = parsers.add_parser("recipe", help="check a recipe and print it with every default; or list all fields")
    what = recipe.add_mutually_exclusive_group(required=True)
    what.add_argument("recipe", type=Path, nargs="?", metavar="RECIPE")
    what.add_argument("--fields", action="store_true", help="list every field with its default and its meaning")
    _add_set(recipe)
    recipe.set_defaults(command=commands.show_recipe)
    problems = parsers.add_parser("problems", help="print the problems of a recipe, one JSON object a line")
    problems.add_argument("recipe", type=Path, metavar="RECIPE")
    problems.add_argument("--split", choices=("train", "heldout"), default="train")
    problems.add_argument("--count", type=_natural, metavar="N", help="no more than so many")
    _add_set(problems)
    problems.set_defaults(command=commands.problems)


def _add_serve(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = parsers.add_parser(
        "serve",
        help="serve a model with vLLM's own OpenAI-compatible server",
        usage="perilune serve [--python PYTHON] MODEL [-- ARGUMENTS OF vllm serve]",
    )
    serve.add_argument("model", metavar="MODEL", help="a folder, such as runs/quickstart/models/final, or a name")
    serve.add_argument("--python", metavar="PYTHON", help="the Python that has vLLM, e.g. .venv-vllm/bin/python")
    serve.add_argument("arguments", nargs="*", help="after --: for vllm serve, e.g. --port 8000")
    serve.set_defaults(command=commands.serve)


def _add_reward(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    reward = parsers.add_parser("reward", help="try the rewards of a recipe, without a model")
    actions = reward.add_subparsers(title="actions", metavar="ACTION", required=True)
    test = actions.add_parser(
        "test",
        help="show how references and responses are read, and name the references that cannot be",
        description="Reads every reference of a recipe, and shows for some problems how reference and response are "
        "read, which rule decides, and the verdict. The exit status is 1 if a reference cannot be read, or a verdict "
        "is not as it should be.",
    )
    test.add_argument("recipe", type=Path, metavar="RECIPE", help="its model need not be there")
    test.add_argument(
        "--response",
        metavar="TEXT",
        help="grade this text, or standard input if it is -; by default the reference stated as a response, the worked "
        "solution where there is one, and a wrong answer",
    )
    which = test.add_mutually_exclusive_group()
    which.add_argument("--problem", metavar="ID", help="show this problem; perilune problems lists the ids")
    which.add_argument("--count", type=_natural, metavar="N", help="show so many problems; 3, or 1 with --response")
    test.add_argument("--source", choices=("train", "heldout"), help="look at this source alone; by default at both")
    test.add_argument("--all", action="store_true", help="name every reference that cannot be read, not the first 20")
    test.add_argument("--quiet", action="store_true", help="show no progress")
    _add_set(test)
    test.set_defaults(command=commands.reward_test)


def _add_sandbox(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sandbox = parsers.add_parser("sandbox", help="judge programs for other machines, or make test cases")
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
    serve.add_argument(
        "--packages",
        nargs="*",
        default=("numpy", "sortedcontainers"),
        metavar="NAME",
        help="what programs in Python may import besides its library; numpy and sortedcontainers where they are there",
    )
    serve.add_argument("--environment", metavar="FOLDER", help="where these packages lie, if not beside Perilune")
    serve.add_argument("--cpp-standard", default="gnu++20", metavar="STANDARD", help="as after g++'s -std=")
    serve.set_defaults(command=commands.sandbox_serve)
    cases = actions.add_parser("cases", help="make tests for problems that have right submissions and no tests")
    cases.add_argument("recipe", type=Path, metavar="RECIPE", help="whose model writes the generators")
    cases.add_argument("problems", type=Path, metavar="PROBLEMS", help="JSONL of statements and submissions")
    cases.add_argument("output", type=Path, metavar="OUTPUT", help="JSONL of the problems that are kept, with tests")
    cases.add_argument("--quiet", action="store_true", help="show warnings and the outcome alone")
    _add_set(cases)
    cases.set_defaults(command=commands.sandbox_cases)


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
