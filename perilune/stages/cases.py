"""Test-case generation as a stage: a model writes generators, the sandbox does the rest (k1.5, section 2.3.5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

from perilune.algorithm.streams import trajectory_seed
from perilune.data.solved import load_solved
from perilune.recipe.recipe import Recipe
from perilune.report.terminal import Display
from perilune.sandbox.cases import CaseMaker, Hurdle, Made, SolvedProblem, funnel
from perilune.sandbox.cyaron import GENERATOR, generator_language, generator_prompt
from perilune.sandbox.extraction import extract_program
from perilune.sandbox.languages import LANGUAGES
from perilune.sandbox.programs import Limits
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import task_json
from perilune.stages.backends import Backends, Build
from perilune.types import Message, Problem, Request

_BEYOND_A_GENERATOR = frozenset({Hurdle.PLAIN, Hurdle.SOLVED})
"""Hurdles at which another generator would not help."""


def make_cases(recipe: Recipe, path: Path, output: Path, build: Build, *, quiet: bool = False) -> dict[str, int]:
    """Make tests for the problems of a file, and write those that are kept as a source of kind jsonl.

    Args:
        recipe: [model] and [engine] write the generators, [cases] and [rewards.code] say how they are used.
        path: problems with submissions, see :mod:`perilune.data.solved`.
        output: the kept problems go here, and the funnel with every problem's fate into ``<output>.funnel.json``.
        build: makes the backends, if a problem lacks a generator.
        quiet: show no progress.

    Returns:
        The funnel: how many problems passed each hurdle.

    Raises:
        PeriluneError: what a user can mend.
    """
    problems = load_solved(path)
    config = recipe.cases
    limits = Limits(config.cpu_seconds, 2 * config.cpu_seconds, config.memory_mb)
    made: list[Made] = []
    with Display(quiet=quiet) as display, generator_language() as language:
        display.heading(f"Test cases for {len(problems)} problems")
        isolation, languages = recipe.rewards.code.isolation, {**LANGUAGES, GENERATOR: language}
        with Sandbox(workers=config.workers, mode=isolation, languages=languages) as sandbox:
            written = _written(recipe, problems, build, display)
            maker = CaseMaker(sandbox, config, limits, config.workers, recipe.seed)
            output.parent.mkdir(parents=True, exist_ok=True)
            with output.open("w", encoding="utf-8") as file, display.task("test cases", len(problems)) as progress:
                for problem in problems:
                    made.append(_first_kept(maker, problem, written[problem.id]))
                    _keep(made[-1], file)
                    progress(len(made), len(problems))
        counts = funnel(made)
        _write_funnel(output.with_name(output.name + ".funnel.json"), counts, made)
    return counts


def _written(
    recipe: Recipe, problems: Sequence[SolvedProblem], build: Build, display: Display
) -> dict[str, list[str | None]]:
    """The generators of each problem: its own, or what the model writes, None for a response without a program."""
    found: dict[str, list[str | None]] = {p.id: [p.generator] for p in problems}
    unwritten = [p for p in problems if p.generator is None and not p.special_judge]
    if unwritten:
        backends = build(recipe)
        display.note(backends.description)
        with (
            closing(backends.workers),
            display.task("generators", len(unwritten) * recipe.cases.attempts) as progress,
        ):
            found |= write_generators(backends, unwritten, recipe, progress)
    return found


def write_generators(
    backends: Backends, problems: Sequence[SolvedProblem], recipe: Recipe, progress: Callable[[int, int], None]
) -> dict[str, list[str | None]]:
    """What the model writes when it is given CYaRon's usage and each statement, ``cases.attempts`` times.

    Returns:
        By problem id: the programs in the responses, in the order of the attempts; None where there is none.
    """
    config = recipe.cases
    requests = []
    for problem in problems:
        message = Message("user", generator_prompt(problem.statement, config.cases))
        prompt = backends.render(Problem(problem.id, (message,), ""))
        requests += [
            Request(
                id=f"{problem.id}\n{attempt}",
                prompt_tokens=prompt,
                response_tokens=(),
                segment_tokens=config.max_response_tokens,
                max_response_tokens=config.max_response_tokens,
                seed=trajectory_seed(recipe.seed, problem.id, "generator", attempt),
                temperature=config.temperature,
            )
            for attempt in range(config.attempts)
        ]
    found: dict[str, list[str | None]] = {problem.id: [None] * config.attempts for problem in problems}
    with backends.workers.serving(backends.trainer) as engine:
        for done, completion in enumerate(engine.generate(requests), 1):
            name, _, attempt = completion.request_id.rpartition("\n")
            response = backends.decode(completion.segment.tokens)
            found[name][int(attempt)] = extract_program(response.encode(errors="replace").decode(), "python")
            progress(done, len(requests))
    return found


def _first_kept(maker: CaseMaker, problem: SolvedProblem, generators: Sequence[str | None]) -> Made:
    """The first generator that makes it; else the fate of the one that came furthest."""
    fates: list[Made] = []
    for generator in generators:
        made = maker.make(problem, generator)
        if made.task is not None or made.failed in _BEYOND_A_GENERATOR:
            return made
        fates.append(made)
    return max(fates, key=lambda fate: -1 if fate.failed is None else list(Hurdle).index(fate.failed))


def _keep(made: Made, file: TextIO) -> None:
    if made.task is None:
        return
    problem = made.problem
    record: dict[str, Any] = {
        "id": problem.id,
        "question": problem.statement,
        "answer": json.loads(task_json(made.task)),
        "tags": list(problem.tags),
    }
    if problem.difficulty is not None:
        record["difficulty"] = problem.difficulty
    file.write(json.dumps(record, ensure_ascii=False) + "\n")
    file.flush()


def _write_funnel(path: Path, counts: dict[str, int], made: Sequence[Made]) -> None:
    fates = [
        {
            "id": fate.problem.id,
            "kept": fate.task is not None,
            "stopped_at": fate.failed,
            "error": fate.error or None,
            "detail": fate.detail,
            "inputs": fate.inputs,
            "valid_cases": fate.valid_cases,
            "right_submissions": fate.right_submissions,
        }
        for fate in made
    ]
    path.write_text(json.dumps({"funnel": counts, "problems": fates}, indent=2) + "\n", encoding="utf-8")
