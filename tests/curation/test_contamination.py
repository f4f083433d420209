from __future__ import annotations

import pytest
from planted import evaluation_set, planted, precision_recall

from perilune.curation.contamination import find_contaminated
from perilune.curation.fates import Reason
from perilune.recipe.curation import ContaminationConfig
from perilune.types import Message, Problem

STORY = (
    "Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes of babysitting for the family next "
    "door, and Weng was paid at once. How much did she earn?"
)


def problem(name: str, question: str, answer: str = "10", images: tuple[str, ...] = ()) -> Problem:
    return Problem(name, (Message("user", question, images),), answer)


def matches(question: str, *held: str, answer: str = "10") -> list[tuple[str, str]]:
    sets = {"exam": [problem(f"e{place}", text) for place, text in enumerate(held)]}
    found = find_contaminated([problem("p", question, answer)], sets, ContaminationConfig())
    assert all(entry.reason is Reason.CONTAMINATED for entry in found)
    return [(entry.match, entry.detail) for entry in found]


def test_the_same_text_in_other_typography_is_exact() -> None:
    assert matches(f"Question 3: {STORY.upper()}", "Something else altogether?", STORY) == [("exam: e1", "exact")]


@pytest.mark.parametrize(
    "edited",
    [
        STORY.replace("babysitting", "babysiting", 1),
        STORY.replace("just", "only"),
        STORY.replace("Weng", "Lena"),
        f"{STORY} Explain your steps and round to whole dollars.",
        f"Here is a riddle from my notebook of riddles. {STORY}",
    ],
)
def test_light_edits_are_found(edited: str) -> None:
    ((match, detail),) = matches(edited, STORY)
    assert match == "exam: e0"
    assert "of the n-grams: '" in detail


@pytest.mark.parametrize(
    ("question", "held"),
    [
        (STORY.replace("50", "45"), STORY),
        ("What is 34 + 27?", "What is 34 + 28?"),
        ("Compute the value of 12 - 5 now.", "Compute the value of 12 + 5 now."),
        ("What is it?", "What is it worth?"),
    ],
)
def test_twins_of_one_template_stay(question: str, held: str) -> None:
    assert matches(question, held) == []


def test_swapped_numbers_with_another_answer_are_a_twin() -> None:
    held = (
        "Stall A sells 48 pies and stall B sells 41 pies, and stall C sells twice what stall A sells. How many in all?"
    )
    swapped = held.replace("48", "x").replace("41", "48").replace("x", "41")
    assert matches(swapped, held, answer="12") == []


def test_a_wording_that_all_evaluation_problems_share_counts_for_nothing() -> None:
    instruction = "Read the task with care, think about it step by step, and then put the final result into a box."
    held = [f"{instruction} Which colour has the {thing}?" for thing in ("sea", "sun", "sky", "moss", "snow") * 4]
    assert matches(f"{instruction} How is the weather?", *held) == []


def test_pictures_tell_questions_apart() -> None:
    sets = {"exam": [problem("e", "What is shown here?", "1", ("1.png",))]}
    same, other = (problem(name, "What is shown here?", "1", (f"{name}.png",)) for name in ("1", "2"))
    found = find_contaminated([same, other], sets, ContaminationConfig())
    assert [entry.problem.id for entry in found] == ["1"]


def test_without_evaluation_sets_nothing_is_contaminated() -> None:
    assert find_contaminated([problem("p", STORY), problem("q", "")], {}, ContaminationConfig()) == []


def test_planted_contamination_is_found() -> None:
    mixture = planted(1000, 7)
    truth = {item.problem.id: item.kind for item in mixture}
    problems = [item.problem for item in mixture]
    entries = find_contaminated(problems, {"exam": evaluation_set(7)}, ContaminationConfig())
    found = {entry.problem.id: "contaminated" for entry in entries}
    precision, recall, count = precision_recall(truth, found)["contaminated"]
    print(f"contaminated: precision {precision:.3f}, recall {recall:.3f} of {count}")  # noqa: T201
    assert precision >= 0.95
    assert recall >= 0.95
