"""HumanEval, all of it: the canonical solutions are accepted, and none of them whose return values are broken.

The data is not part of this project: take HumanEval.jsonl(.gz) from openai/human-eval (MIT licence), and name it in the
environment variable PERILUNE_HUMANEVAL.
"""

import ast
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from perilune.data.problems import load_problems
from perilune.recipe.problems import SourceConfig
from perilune.sandbox.judge import Judge, JudgeSettings
from perilune.sandbox.programs import Limits, Program
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import FunctionTask, complete_program, read_task
from perilune.sandbox.verdicts import Outcome

PATH = os.environ.get("PERILUNE_HUMANEVAL")
pytestmark = pytest.mark.skipif(not PATH, reason="set PERILUNE_HUMANEVAL to the path of HumanEval.jsonl")

BREAK = """
def _broken(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1000
    if isinstance(value, str):
        return value + "!"
    if isinstance(value, (list, tuple)):
        return value + type(value)([None])
    return "broken" if value is None else None
"""


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Sandbox(workers=2) as sandbox:
        yield Judge(sandbox, JudgeSettings(Limits(cpu_seconds=10, wall_seconds=120)))


@pytest.fixture(scope="module")
def tasks() -> dict[str, FunctionTask]:
    found = {}
    for problem in load_problems(SourceConfig(kind="humaneval", path=PATH), "heldout"):
        task = read_task(problem.answer)
        assert isinstance(task, FunctionTask)
        found[problem.id] = task
    assert len(found) == 164
    return found


def broken(task: FunctionTask) -> str:
    """The canonical solution with every value that the entry point returns put through ``_broken``."""
    tree = ast.parse(complete_program(task, task.solution))
    (function,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == task.entry_point)
    inner = [n for n in ast.walk(function) if isinstance(n, ast.FunctionDef | ast.Lambda) and n is not function]
    nested = {id(child) for n in inner for child in ast.walk(n)}
    count = 0
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None and id(node) not in nested:
            node.value = ast.Call(ast.Name("_broken", ast.Load()), [node.value], [])
            count += 1
    assert count
    return BREAK + ast.unparse(ast.fix_missing_locations(tree))


def outcomes(judge: Judge, programs: dict[str, tuple[FunctionTask, str]]) -> dict[str, Outcome]:
    with ThreadPoolExecutor(2) as threads:
        found = threads.map(lambda pair: judge.judge(pair[0], Program("python", pair[1])).outcome, programs.values())
        return dict(zip(programs, found, strict=True))


def test_all_canonical_solutions_are_accepted(judge: Judge, tasks: dict[str, FunctionTask]) -> None:
    found = outcomes(judge, {name: (task, complete_program(task, task.solution)) for name, task in tasks.items()})
    assert {name: outcome for name, outcome in found.items() if outcome is not Outcome.ACCEPTED} == {}


def test_no_solution_with_broken_return_values_is_accepted(judge: Judge, tasks: dict[str, FunctionTask]) -> None:
    found = outcomes(judge, {name: (task, broken(task)) for name, task in tasks.items()})
    assert {name for name, outcome in found.items() if outcome is Outcome.ACCEPTED} == set()
    # Broken values are the program's fault, never ours.
    assert {name for name, outcome in found.items() if outcome is Outcome.INFRASTRUCTURE_ERROR} == set()
