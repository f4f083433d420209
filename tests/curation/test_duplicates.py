from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from plain_duplicates import plain_duplicates
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


TEMPLATES = (
    "{name} sold clips to {a} of her friends in {month}, and then she sold {b} more in June. How many {thing}?",
    "{name} has {a} {thing} and gives {b} of them away in {month}. What is {a} - {b}?",
    "Which {thing} does {name} like best in {month}?",
    "Please solve: what is {a} + {b}?",
    "问题：{name}有{a}个苹果，又买了{b}个。一共有多少个{thing}？",
)


def templated(count: int, rng: Random) -> list[Problem]:
    """Problems of a few templates: names, numbers and things from small sets, some answers and pictures missing."""
    largest = rng.choice((2, 4, 12))
    return [
        problem(
            str(number),
            rng.choice(TEMPLATES[: rng.choice((1, 3, 5))]).format(
                name=rng.choice(("Natalia", "Tom", "Elizabeth", "Wei")),
                month=rng.choice(("April", "the first week of September", "May")),
                thing=rng.choice(("clips", "pencils", "very small wooden boxes")),
                a=rng.randint(1, largest),
                b=rng.choice((rng.randint(1, largest), "two", "½")),
            ),
            rng.choice(("", "5", "5.0", "yes", str(rng.randint(1, largest)))),
            rng.choice(((), (), (), ("1.png",))),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("same_numbers", [True, False])
@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.8])
def test_what_goes_is_what_goes_where_each_is_compared_with_all(threshold: float, same_numbers: bool) -> None:
    rng, lengths = Random(f"{threshold}/{same_numbers}"), list[int]()
    for count in (1, 2, 5, 20, 20, 60, 60, 150, 300):
        pile = templated(count, rng)
        config = DuplicatesConfig(threshold=threshold, same_numbers=same_numbers, permutations=rng.choice((16, 128)))
        found = find_duplicates(pile, config)
        got = [(e.problem.id, e.detail.split(",")[0], e.match) for e in found]
        assert got == plain_duplicates(pile, config)
        lengths.append(len(got))
    assert sum(lengths) > 100


def test_it_says_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    pile = [problem(str(number), f"What is {number} + 1?", "") for number in range(600)]
    find_duplicates(pile, DuplicatesConfig(), lambda done, total: told.append((done, total)))
    assert told == sorted(told) and {total for _, total in told} == {1200} and len(told) == 4


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
