from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from planted import planted, precision_recall

from perilune.curation.duplicates import find_duplicates
from perilune.curation.fates import Reason
from perilune.recipe.curation import DuplicatesConfig
from perilune.types import Message, Problem

STORY = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips?"


def problem(name: str, question: str, answer: str = "72", images: tuple[str, ...] = ()) -> Problem:
    return Problem(name, (Message("user", question, images),), answer)


def dropped(*problems: Problem, config: DuplicatesConfig | None = None) -> dict[str, str]:
    return {entry.problem.id: entry.match for entry in find_duplicates(problems, config or DuplicatesConfig())}


@pytest.mark.parametrize(
    "edited",
    [
        STORY.upper(),
        STORY.replace(",", " ").replace(". ", ".\n\n"),
        f"Please solve: {STORY}",
        STORY.replace("friends", "freinds"),
        STORY.replace("48", "48 good"),
        STORY.replace("Natalia", "Elizabeth"),
        STORY.replace("48", "$48$"),
        STORY.replace("48", "forty-eight"),
    ],
)
def test_small_edits_are_found(edited: str) -> None:
    assert dropped(problem("a", STORY), problem("b", edited)) == {"b": "a"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 34 + 27?", "What is 34 + 28?"),
        ("Work out the value of 12 + 5 for me.", "Work out the value of 12 - 5 for me."),
        (STORY, STORY.replace("48", "46")),
        (STORY, STORY.replace("half", "twice")),
    ],
)
def test_twins_of_one_template_stay(one: str, other: str) -> None:
    assert dropped(problem("a", one, "1"), problem("b", other, "2")) == {}


def test_twins_go_where_numbers_do_not_matter() -> None:
    twin = problem("b", STORY.replace("48", "46"), "69")
    assert dropped(problem("a", STORY), twin, config=DuplicatesConfig(same_numbers=False)) == {"b": "a"}


def test_answers_are_compared_as_values() -> None:
    edited = STORY.replace("Natalia", "Lena")
    assert dropped(problem("a", STORY, "0.5"), problem("b", edited, r"\frac{1}{2}")) == {"b": "a"}


def test_the_same_text_is_a_duplicate_whatever_the_answers() -> None:
    (entry,) = find_duplicates([problem("a", STORY, "72"), problem("b", STORY + " ", "96")], DuplicatesConfig())
    assert entry.reason is Reason.DUPLICATE
    assert entry.detail == "same text, but the answers conflict: '72' and '96'"


def test_the_first_with_an_answer_is_kept() -> None:
    edited = STORY.replace("Natalia", "Lena")
    assert dropped(problem("a", STORY, ""), problem("b", edited), problem("c", STORY)) == {"a": "b", "c": "b"}
    assert dropped(problem("a", STORY, ""), problem("b", edited, "")) == {"b": "a"}


def test_pictures_tell_questions_apart() -> None:
    one, other = (
        problem("a", "What is shown here?", "1", ("1.png",)),
        problem("b", "What is shown here?", "1", ("2.png",)),
    )
    assert dropped(one, other) == {}
    assert dropped(one, replace(one, id="c")) == {"c": "a"}


def test_short_empty_and_odd_texts_are_compared_too() -> None:
    texts = ["", "?", "5", "a", "\ud800"]
    assert dropped(*(problem(str(place), text, "") for place, text in enumerate(texts))) == {"1": "0"}


def test_planted_duplicates_are_found() -> None:
    mixture = [item for item in planted(1000, 7) if item.kind != "contaminated"]
    truth = {item.problem.id: item.kind for item in mixture}
    found = dict.fromkeys(dropped(*(item.problem for item in mixture)), "duplicate")
    precision, recall, count = precision_recall(truth, found)["duplicate"]
    print(f"duplicates: precision {precision:.3f}, recall {recall:.3f} of {count}")  # noqa: T201
    assert precision >= 0.95
    assert recall >= 0.95


def test_real_questions_are_compared_quickly_and_hardly_any_is_a_duplicate() -> None:
    folder = os.environ.get("PERILUNE_DATA")
    if folder is None:
        pytest.skip("set PERILUNE_DATA to the folder of gsm8k_train.jsonl")
    lines = (Path(folder) / "gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines()[:-500]
    rows = [json.loads(line) for line in lines]
    problems = [problem(str(n), row["question"], row["answer"].split("####")[1]) for n, row in enumerate(rows)]
    started = time.perf_counter()
    found = find_duplicates(problems, DuplicatesConfig())
    print(f"{len(problems)} questions in {time.perf_counter() - started:.1f} s, {len(found)} duplicates")  # noqa: T201
    assert len(found) < 10
