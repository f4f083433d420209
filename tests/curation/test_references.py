"""A reference that no response can be judged by is found before a model is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perilune.curation.references import find_unverifiable, reference_response
from perilune.data.demonstrations import generator_demonstrations
from perilune.recipe.problems import GeneratorConfig, SourceConfig
from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.pool import GradingPool
from perilune.sandbox.tasks import FunctionTask, task_json
from perilune.types import Message, Problem


def problem(answer: str, reward: str = "math", name: str = "p") -> Problem:
    return Problem(name, (Message("user", "?"),), answer, reward)


def quiet(done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("answer", ["18", "1,234.5", r"\frac{1}{2}", "x^2 - 4", "Paris", "3 apples", "(1, 2)", "50%"])
@pytest.mark.parametrize("form", ["boxed", "answer_line", "any"])
def test_what_can_be_judged_stays(grader: GradingPool, answer: str, form: str) -> None:
    assert find_unverifiable([problem(answer)], grader, form, quiet) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        ("", "no_answer", "no reference answer"),
        ("  ", "no_answer", "no reference answer"),
        ("???", "unverifiable", "the reference cannot be read: "),
        (r"\frac{", "unverifiable", "the reference cannot be read: "),
        ("x" * 300, "unverifiable", "300 characters"),
    ],
)
def test_what_cannot_be_judged_goes(grader: GradingPool, answer: str, reason: str, detail: str) -> None:
    (found,) = find_unverifiable([problem(answer)], grader, "any", quiet)
    assert found.reason == reason and detail in found.detail


def test_a_reward_that_takes_anything_judges_nothing(
    grader: GradingPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kind_reward.py").write_text(
        "from perilune.types import Grade, Verdict\n"
        "def kind(problem, response, stop):\n    return Grade(Verdict.RIGHT, 1.0, 'fine')\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with GradingPool(grader._config) as pool:
        (found,) = find_unverifiable([problem("1", "kind_reward:kind")], pool, "any", quiet)
    assert "takes any answer for right" in found.detail


LENIENT = """
import re
from perilune.types import Grade, Verdict

def told(response):
    return response.rpartition("Answer: ")[2].strip()

def grade(right):
    return Grade(Verdict.RIGHT if right else Verdict.WRONG, float(right), "fine")

def any_word(problem, response, stop):
    return grade(told(response)[:1].isalpha())

def any_list(problem, response, stop):
    return grade(told(response).startswith("["))

def any_24(problem, response, stop):
    return grade(re.fullmatch(r"[-+*()0-9 ]+", told(response)) is not None and eval(told(response)) == 24)

def yes_or_no(problem, response, stop):
    return grade(told(response) in ("yes", "no"))

def exact(problem, response, stop):
    return grade(told(response) == problem.answer)
"""


def test_rewards_that_take_anything_of_a_kind_are_told_from_those_that_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lenient_rewards.py").write_text(LENIENT, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    pile = [
        problem(answer, f"lenient_rewards:{reward}", name)
        for name, reward, answer in (
            ("word", "any_word", "Paris"),
            ("list", "any_list", "[1, 2]"),
            ("24", "any_24", "4 * 6"),
            ("verdict", "yes_or_no", "yes"),
            ("yes", "exact", "yes"),
            ("one way to 24", "exact", "(1 + 7) * (4 - 1)"),
        )
    ]
    with GradingPool(RewardsConfig()) as pool:
        found = {fate.problem.id: fate.detail for fate in find_unverifiable(pile, pool, "answer_line", quiet)}
    assert found.keys() == {"word", "list", "24", "verdict"}
    assert "takes any answer" in found["word"] and "takes any answer" in found["list"]
    assert "takes both '(1 + 7)" in found["24"] and "takes both 'yes' and 'no'" in found["verdict"]


def test_an_unknown_reward_is_told_of(grader: GradingPool) -> None:
    (found,) = find_unverifiable([problem("1", "maths")], grader, "any", quiet)
    assert "unknown reward 'maths'" in found.detail


def test_order_and_ids_survive_and_progress_is_told(grader: GradingPool) -> None:
    told: list[tuple[int, int]] = []
    pile = [problem("???", name="a\nb"), problem("2", name="c"), problem("", name="d"), problem("((", name="e")]
    found = find_unverifiable(pile, grader, "any", lambda *p: told.append(p))
    assert [fate.problem.id for fate in found] == ["a\nb", "d", "e"]
    assert told[-1] == (9, 9)


def test_references_of_other_rewards() -> None:
    assert reference_response(problem(json.dumps({"numbers": [1, 2], "target": 3}), "countdown"), "any") is None
    assert reference_response(problem(json.dumps({"answer": "7"}), "reasoning_gym"), "boxed") == r"\boxed{7}"
    assert reference_response(problem(json.dumps({"answer": None}), "reasoning_gym"), "any") is None
    unbalanced = problem(json.dumps({"answer": "1 {\n2"}), "reasoning_gym")
    assert reference_response(unbalanced, "any") == "<answer>1 {\n2</answer>"
    assert reference_response(problem("x", "format"), "any") is None
    assert reference_response(problem("(9 - 3) * 2", "countdown"), "any") is None
    for broken in ("[]", "no json", json.dumps({"numbers": [1]})):
        with pytest.raises(ValueError, match=r".+"):
            reference_response(problem(broken, "countdown"), "any")


def test_the_built_in_generators_references_stay(grader: GradingPool) -> None:
    source = SourceConfig(kind="generator", generators=(GeneratorConfig(name="arithmetic"),))
    shown = generator_demonstrations(source, 30, seed=0)
    assert find_unverifiable([d.problem for d in shown], grader, "any", quiet) == []


@pytest.mark.parametrize("form", ["boxed", "answer_line", "any"])
@pytest.mark.parametrize(
    "solution",
    ["Half of it is $x = 1/2$, so the answer is\n$$\\boxed{\\frac{1}{2}}.$$", "4 + 8 = <<4+8=12>>12\n#### 12"],
)
def test_a_worked_solution_as_the_reference_is_judged_by_its_answer(
    grader: GradingPool, solution: str, form: str
) -> None:
    assert find_unverifiable([problem(solution)], grader, form, quiet) == []


def test_a_task_that_refuses_its_own_solution_goes_and_one_without_stays() -> None:
    check = "def check(candidate):\n    assert candidate(2) == 4\n"
    right, wrong = (
        problem(task_json(FunctionTask("twice", check, "def twice(x):\n", f"    return {n} * x\n")), "code", str(n))
        for n in (2, 3)
    )
    unsolved = problem(task_json(FunctionTask("twice", check, "def twice(x):\n")), "code", "unsolved")
    with GradingPool(RewardsConfig(timeout_seconds=200)) as pool:
        (found,) = find_unverifiable([right, wrong, unsolved], pool, "any", quiet)
    assert found.problem is wrong and "own solution" in found.detail


def test_a_pattern_that_no_text_can_be_made_from_drops_nothing_that_can_be_read() -> None:
    form = "pattern: (?:x|y)z{2} is (.+)"
    with GradingPool(RewardsConfig(answer_form=form)) as pool:
        found = find_unverifiable([problem("18"), problem("???", name="q")], pool, form, quiet)
    assert [fate.problem.id for fate in found] == ["q"]
