"""What no response can be judged by is told before a run and left out, the same on resume."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from perilune.build import build_backends
from perilune.curation.references import find_unverifiable
from perilune.errors import ProblemsError
from perilune.recipe.recipe import Recipe, load_recipe
from perilune.recipe.rewards import RewardsConfig
from perilune.report.terminal import Display
from perilune.rewards.pool import GradingPool
from perilune.rewards.references import Unreadable
from perilune.run.jsonl import read_objects
from perilune.stages.pipeline import run_pipeline
from perilune.stages.references import REFERENCES_FILE, Judgeable, judgeable, keep_references
from perilune.types import Message, Problem


@pytest.fixture(scope="module")
def grader() -> Iterator[GradingPool]:
    with GradingPool(RewardsConfig()) as pool:
        yield pool


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    source = {"kind": "generator", "generators": [{"name": "arithmetic"}]}
    table = {
        "name": "told",
        "output": str(tmp_path),
        "model": {"name": "no-such-model"},
        "problems": {"train": source, "heldout": source},
    }
    return Recipe.model_validate(table)


def asked(*answers: str, question: str = "say") -> list[Problem]:
    return [Problem(f"p{n}", (Message("user", question),), answer) for n, answer in enumerate(answers)]


def changed(recipe: Recipe, **rewards: Any) -> Recipe:
    return recipe.model_copy(update={"rewards": recipe.rewards.model_copy(update=rewards)})


def judged(
    recipe: Recipe, train: Sequence[Problem], heldout: Sequence[Problem], grader: GradingPool, **how: bool
) -> tuple[Judgeable, str]:
    """What stays, and what was told in quiet mode."""
    told = StringIO()
    with Display(quiet=True, stream=told) as display:
        return judgeable(recipe, train, heldout, grader, display, **how), told.getvalue()


def test_each_is_told_by_name_and_left_out(recipe: Recipe, grader: GradingPool) -> None:
    train, heldout = asked("1", "???", "3"), asked("4", "5")
    stay, told = judged(recipe, train, heldout, grader)
    assert [p.answer for p in stay.train] == ["1", "3"] and list(stay.heldout) == heldout
    assert "train: 1 of 3 reference answers cannot be read:\n  p1: " in told and "???" in told
    assert "left out" in told and str(recipe.run_folder / REFERENCES_FILE) in told
    assert "heldout" not in told
    assert stay.references["heldout"].unreadable == ()


def test_many_are_counted_and_the_first_named(recipe: Recipe, grader: GradingPool) -> None:
    _, told = judged(recipe, asked("1", *(["???"] * 25)), asked("1"), grader)
    assert "train: 25 of 26 reference" in told and "  p20: " in told and "  p21: " not in told and "and 5 more" in told


def test_nothing_is_told_where_all_can_be_read(recipe: Recipe, grader: GradingPool) -> None:
    assert judged(recipe, asked("1"), asked("2"), grader)[1] == ""


def test_a_run_is_refused_where_the_setting_says_so_or_nothing_is_left(recipe: Recipe, grader: GradingPool) -> None:
    with pytest.raises(ProblemsError, match=r"(?s)heldout: 1 of 2 .*p1: .*unreadable_references to 'leave_out'"):
        judged(changed(recipe, unreadable_references="refuse"), asked("1"), asked("1", "???"), grader)
    with pytest.raises(ProblemsError, match=r"(?s)train: 2 of 2 .*nothing is left of problems\.train"):
        judged(recipe, asked("???", "(("), asked("1"), grader)


def test_a_resumed_run_goes_by_what_its_folder_knows(recipe: Recipe, grader: GradingPool) -> None:
    train, heldout = asked("1", "???", "3\ud800"), asked("1")
    first, _ = judged(recipe, train, heldout, grader)
    # Told otherwise than it is, so that the second time shows where it comes from.
    kept = {**first.references, "train": replace(first.references["train"], unreadable=(Unreadable("p0", "said so"),))}
    keep_references(recipe.run_folder, kept)
    resumed, told = judged(recipe, train, heldout, grader, resume=True)
    assert [p.id for p in resumed.train] == ["p1", "p2"] and "p0: said so" in told
    # Other problems, another start, or a damaged file: asked anew.
    assert [p.id for p in judged(recipe, asked("1", "???", "4"), heldout, grader, resume=True)[0].train] == ["p0", "p2"]
    again, _ = judged(recipe, train, heldout, grader)
    assert again == first
    (recipe.run_folder / REFERENCES_FILE).write_text('{"train": [', encoding="utf-8")
    assert judged(recipe, train, heldout, grader, resume=True)[0] == first


def test_what_was_judged_before_or_curation_verifies_is_not_asked_about(recipe: Recipe, grader: GradingPool) -> None:
    train, heldout = asked("1", "???"), asked("1")
    stay, told = judged(recipe, train, heldout, grader, train_is_judgeable=True)
    assert list(stay.train) == train and told == "" and set(stay.references) == {"heldout"}
    curated = recipe.model_copy(update={"stages": ("curate", "rl")})
    assert list(judged(curated, train, heldout, grader)[0].train) == train
    steps = recipe.curation.model_copy(update={"steps": ("forms", "duplicates")})
    unverified = curated.model_copy(update={"curation": steps})
    assert [p.id for p in judged(unverified, train, heldout, grader)[0].train] == ["p0"]


def test_curation_drops_what_a_run_without_it_leaves_out(recipe: Recipe, grader: GradingPool) -> None:
    answers = [
        "1",
        "???",
        r"\frac{",
        "Paris",
        "x" * 300,
        r"\frac{1}{2}",
        "(1, 2)",
        "$",
        "1 +",
        "}{",
        r"\boxed{}",
        "NaN",
    ]
    problems = asked(*answers)
    stay, _ = judged(recipe, problems, asked("1"), grader)
    dropped = {fate.problem.id for fate in find_unverifiable(problems, grader, "any", lambda done, total: None)}
    unreadable = {fault.id for fault in stay.references["train"].unreadable}
    assert unreadable and unreadable <= dropped
    assert {p.id for p in stay.train} == {p.id for p in problems} - unreadable


def test_a_prompt_that_asks_for_another_form_is_told(recipe: Recipe, grader: GradingPool) -> None:
    boxed = asked("1", question=r"Put the final answer in \boxed{}.")
    _, told = judged(changed(recipe, answer_form="hashes"), boxed, asked("1"), grader)
    assert r"train: 1 of 1 prompts ask for \boxed{…}" in told and "'boxed' or 'any'" in told
    assert judged(recipe, boxed, asked("1"), grader)[1] == ""
    # A pile has its template still to come.
    source = recipe.problems.train.model_copy(update={"prompt": "{question} End with '#### <answer>'."})
    problems = recipe.problems.model_copy(update={"train": source})
    curated = changed(recipe, answer_form="boxed").model_copy(update={"stages": ("curate",), "problems": problems})
    assert "ask for '#### …'" in judged(curated, asked("1"), asked("1"), grader)[1]


def test_a_run_trains_on_the_others_and_its_folder_says_so(
    tiny_recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": f"r{n}", "question": f"{n} + 1 = ?", "answer": str(n + 1) if n % 2 else "???"} for n in range(6)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "reading_reward.py").write_text(READING, encoding="utf-8")
    source = {"kind": "jsonl", "path": str(path), "fields": {"id": "id"}, "reward": "reading_reward:reward"}
    overrides = ("problems.train", source), ("stages", ["rl"])
    recipe = load_recipe(tiny_recipe, [f"{key}={_toml(value)}" for key, value in overrides])
    folder = run_pipeline(recipe, build_backends, quiet=True)
    assert "train: 3 of 6 reference answers cannot be read" in capsys.readouterr().err
    found = json.loads((folder / REFERENCES_FILE).read_text(encoding="utf-8"))
    assert [fault["id"] for fault in found["train"]["unreadable"]] == ["r0", "r2", "r4"]
    drawn = read_objects(folder / "draws.jsonl")
    assert drawn and {draw["problem"] for draw in drawn} <= {"r1", "r3", "r5"}
    longer = recipe.model_copy(update={"rl": recipe.rl.model_copy(update={"iterations": 3})})
    run_pipeline(longer, build_backends, resume=True, quiet=True)
    assert "train: 3 of 6 reference answers cannot be read" in capsys.readouterr().err


READING = """
from perilune.types import Grade, Verdict

class Reading:
    def __call__(self, problem, response, stop):
        right = sum(map(ord, response)) % 2 == 0
        return Grade(Verdict.RIGHT if right else Verdict.WRONG, float(right))

    def check_reference(self, problem):
        if problem.answer == "???":
            raise ValueError("nobody knows")

reward = Reading()
"""


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)
