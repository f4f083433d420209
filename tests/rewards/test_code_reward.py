import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from perilune.data.generators import generate
from perilune.data.problems import load_problems
from perilune.errors import PeriluneError, ProblemsError, RecipeError, RewardError, SandboxError, SandboxUnavailable
from perilune.recipe.problems import SourceConfig
from perilune.recipe.recipe import parse_recipe
from perilune.recipe.rewards import CodeRewardConfig, RewardsConfig
from perilune.rewards.code import CodeReward, build_judge, check_code_reward, judge_settings
from perilune.rewards.pool import GradingPool
from perilune.rewards.router import build_reward, check_rewards_work
from perilune.sandbox.judge import Judge, JudgeSettings
from perilune.sandbox.programs import Limits, Program
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import Case, Checker, FunctionTask, StdioTask, Task, task_json
from perilune.sandbox.verdicts import Outcome
from perilune.types import Demonstration, GradeRequest, Message, Problem, Stop, Verdict

DOUBLE = StdioTask((Case("2", "4"), Case("-3", "-6")))
TWICE = FunctionTask("twice", "def check(candidate):\n    assert candidate(2) == 4\n", "def twice(x):\n")
GRADED = RewardsConfig(timeout_seconds=280, code=CodeRewardConfig(cpu_seconds=2, wall_seconds=60, total_seconds=40))


@pytest.fixture(scope="module")
def reward() -> Iterator[CodeReward]:
    try:
        box = Sandbox(workers=1)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with box as sandbox:
        yield CodeReward(Judge(sandbox, JudgeSettings(Limits(cpu_seconds=2, wall_seconds=60), 60)), format_weight=0.25)


def problem(task: Task | str) -> Problem:
    return Problem("p", (Message("user", "?"),), task if isinstance(task, str) else task_json(task), "code")


@pytest.mark.parametrize(
    ("task", "response", "verdict", "score", "detail"),
    [
        (DOUBLE, "So:\n```python\nprint(2 * int(input()))\n```", Verdict.RIGHT, 1.0, "accepted: 2 cases passed"),
        (DOUBLE, "```python\nprint(4)\n```", Verdict.WRONG, 0.25, "wrong answer: case 2 of 2"),
        (DOUBLE, "print(2 * int(input()))", Verdict.WRONG, 0.0, "no fenced block with a python program"),
        (DOUBLE, "```python\nprint('\ud800')\n```", Verdict.WRONG, 0.25, "wrong answer"),
        (DOUBLE, "```python\nx\x00y\n```", Verdict.WRONG, 0.25, "runtime error"),
        (TWICE, "```python\n    return 2 * x\n```", Verdict.RIGHT, 1.0, "accepted"),
        (TWICE, "```python\ndef twice(x):\n    return x + x\n```", Verdict.RIGHT, 1.0, "accepted"),
        (TWICE, "```python\ndef twice(x):\n    return x\n```", Verdict.WRONG, 0.25, "wrong answer"),
        ("18", "```python\nprint(18)\n```", Verdict.ERROR, 0.0, "the problem's task"),
        (FunctionTask("f", "oh no"), "```python\nf = abs\n```", Verdict.ERROR, 0.0, "infrastructure error"),
    ],
)
def test_grades(
    reward: CodeReward, task: Task | str, response: str, verdict: Verdict, score: float, detail: str
) -> None:
    grade = reward(problem(task), response, Stop.ENDED)
    assert (grade.verdict, grade.score) == (verdict, score), grade
    assert detail in grade.detail


def test_the_task_says_the_language(reward: CodeReward) -> None:
    cpp = StdioTask((Case("", "7"),), language="cpp")
    response = '```python\nprint(7)\n```\n```cpp\n#include <cstdio>\nint main() { puts("7"); }\n```'
    assert reward(problem(cpp), response, Stop.ENDED).verdict is Verdict.RIGHT


@pytest.mark.parametrize("difficulty", [1, 2, 3, 4])
def test_the_generators_own_solutions_are_right(reward: CodeReward, difficulty: int) -> None:
    stream = generate("programs", difficulty, 11, "train", style="direct")
    shown: list[Demonstration] = [next(stream) for _ in range(12)]
    for demonstration in shown:
        grade = reward(demonstration.problem, demonstration.response, Stop.ENDED)
        assert grade.verdict is Verdict.RIGHT, (demonstration, grade)
    # Each problem's tests tell its solution from another problem's of the same form.
    for one, other in pairwise(shown):
        if one.problem.tags == other.problem.tags:
            assert reward(one.problem, other.response, Stop.ENDED).verdict is Verdict.WRONG


def test_in_the_pool_an_endless_program_holds_up_nothing_and_is_wrong() -> None:
    responses = {
        "right": "```python\nprint(2 * int(input()))\n```",
        "endless": "```python\nwhile True: pass\n```",
        "exit": "```python\nimport os\nos._exit(0)\n```",
        "kill": "```python\nimport os\nos.kill(os.getppid(), 9)\nos.kill(-1, 9)\n```",
    }
    with GradingPool(GRADED) as pool:
        for name, response in responses.items():
            pool.submit(GradeRequest(name, problem(DOUBLE), response))
        grades = dict(pool.drain())
        stats = pool.stats
    assert {name: grade.verdict for name, grade in grades.items()} == {
        "right": Verdict.RIGHT,
        "endless": Verdict.WRONG,
        "exit": Verdict.WRONG,
        "kill": Verdict.WRONG,
    }
    assert grades["endless"].detail.startswith("time limit")
    assert (stats.errors, stats.restarts) == (0, 0)


def test_the_pool_s_limit_must_leave_room_for_a_judgement() -> None:
    with pytest.raises(RewardError, match="raise it"):
        build_reward("code", RewardsConfig())
    source = {"kind": "generator", "generators": [{"name": "programs"}]}
    table = {"name": "x", "model": {"name": "m"}, "problems": {"train": source, "heldout": source}}
    with pytest.raises(RecipeError, match="Set it to 144 or more"):
        parse_recipe(table)
    assert parse_recipe({**table, "rewards": {"timeout_seconds": 144}}).rewards.code.longest_seconds == 144


def test_what_cannot_work_is_said_before_a_run() -> None:
    check_rewards_work({"code", "math"}, GRADED)
    nowhere = CodeRewardConfig(service="http://127.0.0.1:9")
    with pytest.raises(RewardError, match="perilune sandbox serve"):
        check_code_reward(nowhere)
    check_rewards_work({"math"}, RewardsConfig(code=nowhere))
    with pytest.raises(RewardError, match="no address"):
        build_judge(CodeRewardConfig(service="127.0.0.1:8777"))


def test_problems_with_tests_come_from_jsonl(tmp_path: Path, reward: CodeReward) -> None:
    path = tmp_path / "p.jsonl"
    answer = json.loads(task_json(StdioTask((Case("1", "0.5"),), Checker("floats"))))
    path.write_text(json.dumps({"question": "Halve.", "answer": answer}) + "\n", encoding="utf-8")
    (loaded,) = load_problems(SourceConfig(kind="jsonl", path=str(path), reward="code"), "train")
    response = "```python\nprint(int(input()) / 2.0000001)\n```"
    assert reward(loaded, response, Stop.ENDED).verdict is Verdict.RIGHT
    path.write_text(json.dumps({"question": "Halve.", "answer": "0.5"}) + "\n", encoding="utf-8")
    with pytest.raises(ProblemsError, match=r"line 1: the reward 'code' cannot judge by this answer"):
        load_problems(SourceConfig(kind="jsonl", path=str(path), reward="code"), "train")


@pytest.mark.parametrize(
    ("solution", "fault"),
    [
        ("", None),
        ("    return 2 * x\n", None),
        ("    return 3 * x\n", "own solution"),
        ("    return 2 * x +\n", "own solution cannot be run: SyntaxError"),
    ],
)
def test_a_task_that_refuses_its_own_solution_is_no_reference(
    reward: CodeReward, solution: str, fault: str | None
) -> None:
    asked = problem(replace(TWICE, solution=solution))
    if fault is None:
        reward.check_reference(asked)
        return
    with pytest.raises((ValueError, SandboxError), match=fault):
        reward.check_reference(asked)


def test_a_text_that_is_no_task_is_no_reference(reward: CodeReward) -> None:
    with pytest.raises(ValueError, match="at least one case"):
        reward.check_reference(problem('{"cases": []}'))


def test_an_explanation_shows_the_program_and_how_far_it_came(reward: CodeReward) -> None:
    asked = problem(StdioTask(tuple(Case(str(n), str(2 * n)) for n in (0, 1, 2))))
    told = reward.explain(asked, "So:\n```python\nprint(0)\n```", Stop.ENDED)
    assert told.found == "print(0)" and "fenced block" in told.where
    assert told.reference.startswith("3 case(s)") and told.answer == "1 of 2 case(s) passed, 1 not run"
    assert told.grade == reward(asked, "So:\n```python\nprint(0)\n```", Stop.ENDED)
    none = reward.explain(asked, "no program", Stop.ENDED)
    assert none.found == "" and "fenced block" in none.grade.detail


def test_what_a_task_needs_is_looked_for_before_a_run(reward: CodeReward) -> None:
    needs = FunctionTask("f", "import no_such_module\ndef check(candidate):\n    assert candidate(2) == 4\n")
    with pytest.raises(ValueError, match="the task's check imports no_such_module, and"):
        reward.check_reference(problem(needs))
    special = StdioTask((Case("", ""),), Checker("special", program="from no_such_module import x"))
    with pytest.raises(ValueError, match="the task's special judge imports no_such_module, and"):
        reward.check_reference(problem(special))
    with pytest.raises(ValueError, match="the task's check cannot be run: SyntaxError"):
        reward.check_reference(problem(FunctionTask("f", "oh no")))
    reward.check_reference(problem(StdioTask((Case("", ""),))))


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"packages": ("numpy", "no-such-package")}, "packages names no-such-package, which cannot be imported beside"),
        ({"environment": "/no/such/folder"}, "is no folder; make one with"),
        ({"cpp_standard": "gnu++99"}, r"cpp_standard = 'gnu\+\+99': .*-std=gnu\+\+99"),
    ],
)
def test_settings_that_cannot_be_had_are_refused(reward: CodeReward, setting: dict[str, Any], reason: str) -> None:
    if "cpp_standard" in setting and shutil.which("g++") is None:
        pytest.skip("no g++")
    with pytest.raises(PeriluneError, match=reason):
        check_code_reward(CodeRewardConfig.model_validate(setting))


def test_the_output_s_limit_is_a_setting() -> None:
    flood = Program("python", "print('x' * 3000)")
    task = StdioTask((Case("", "x" * 3000),))
    with Sandbox(workers=1) as sandbox:
        for size, outcome in ((2, Outcome.OUTPUT_LIMIT), (4, Outcome.ACCEPTED)):
            judge = Judge(sandbox, judge_settings(CodeRewardConfig(output_kb=size)))
            assert judge.judge(task, flood).outcome is outcome
