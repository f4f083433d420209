"""Where a response puts its answer: the last ``\\boxed{…}``, or the last ``Answer: …``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

AnswerForm = Literal["boxed", "answer_line", "any"]

MAX_ANSWER_CHARACTERS = 200
"""A longer answer is no answer but a list of guesses or a text, and would cost the grader time."""

# "Answer:", "**Answer:**", "__Final answer__ :", with the rest of its line.
_ANSWER_LINE = re.compile(r"\banswer[*_ \t]*:[*_ \t]*", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\s*\{")


@dataclass(frozen=True, slots=True)
class FoundAnswer:
    """An answer and its place in the response, the marks around it included."""

    text: str
    start: int
    end: int


def find_answers(response: str, form: AnswerForm) -> list[FoundAnswer]:
    """Every answer in the given form, in the order of the response; empty ones and unbalanced boxes are none.

    With ``any``, a box on an answer line is that line's answer.
    """
    boxes = _boxed_answers(response) if form in ("boxed", "any") else []
    lines = _answer_lines(response) if form in ("answer_line", "any") else []
    covered = [line for line in lines if any(line.start <= box.start < line.end for box in boxes)]
    return sorted((a for a in [*boxes, *lines] if a not in covered), key=lambda answer: answer.start)


def last_answer(response: str, form: AnswerForm) -> str | None:
    """The answer that counts: the last one; None if there is none."""
    answers = find_answers(response, form)
    return answers[-1].text if answers else None


def sole_box(text: str) -> str:
    """What is inside if the whole text is one box, else the text itself."""
    boxes = _boxed_answers(text)
    return boxes[0].text if len(boxes) == 1 and (boxes[0].start, boxes[0].end) == (0, len(text)) else text


def _answer_lines(response: str) -> list[FoundAnswer]:
    found = []
    for match in _ANSWER_LINE.finditer(response):
        line = response[match.end() :].split("\n", 1)[0]
        # A second "Answer:" on the same line ends the first.
        following = _ANSWER_LINE.search(line)
        line = line[: following.start()] if following else line
        text = line.strip().rstrip("*_").strip()
        if text:
            found.append(FoundAnswer(text, match.start(), match.end() + len(line)))
    return found


def _boxed_answers(response: str) -> list[FoundAnswer]:
    found: list[FoundAnswer] = []
    position = 0
    while match := _BOXED.search(response, position):
        end = _closing_brace(response, match.end())
        if end is None:
            position = match.end()
            continue
        position = end + 1
        text = response[match.end() : end].strip()
        if text:
            found.append(FoundAnswer(text, match.start(), position))
    return found


def _closing_brace(text: str, start: int) -> int | None:
    """Index of the brace that closes the one opened just before ``start``; escaped braces do not count."""
    depth, position = 1, start
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 2
            continue
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return position
        position += 1
    return None
