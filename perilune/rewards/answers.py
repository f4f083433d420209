"""Where a response puts its answer: a box, ``####``, ``<answer>``, an answer line, or a sentence.

What stands inside the thinking (``<think>…</think>``) is no answer, unless a setting says so. With the form ``any``,
marks come before sentences: among marks the last one counts, a sentence only where there is no mark. docs/rewards.md
has the table. Everything here takes time linear in the length of the response.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from perilune.recipe.rewards import PATTERN_FORM, AnswerForm
from perilune.rewards import answer_lines
from perilune.rewards.answer_lines import FoundAnswer

__all__ = ["AnswerForm", "FoundAnswer", "answer_in", "find_answers", "last_answer", "outside_thinking", "sole_box"]

MAX_ANSWER_CHARACTERS = 200
"""A longer answer is no answer but a list of guesses or a text, and would cost the grader time."""

# A box whose backslash was taken for an escape ("\b") is a box too.
_BOX = re.compile(r"(?:\\[bB]oxed|\\f(?:rame)?box|\x08oxed)(?![A-Za-z])[ \t]*")
_BARE = re.compile(r"[^\s${}\\.,;:!?。，][^\s${}]*")
_HASHES = re.compile(r"^[ \t]*#### *+(?!#)([^\n]++)", re.MULTILINE)
_LAST_HASHES = re.compile(r"^[ \t]*####[ \t]*(?!#)([^\n]+)\s*\Z", re.MULTILINE)
_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_THINKING = re.compile(r"<(/?)(?:think|thinking|thought)>|◁(/?)think▷|\[(/?)THINK\]", re.IGNORECASE)


def find_answers(response: str, form: AnswerForm, *, in_thinking: bool = False) -> list[FoundAnswer]:
    """Every answer in the given form, in the order of the response; empty ones and unbalanced boxes are none.

    With ``any``, a box on an answer line or in an ``<answer>`` tag is that mark's answer, and sentences are looked at
    only where there is no mark.

    Args:
        response: what the model wrote.
        form: where the answer must be.
        in_thinking: whether what stands in the thinking may be an answer.
    """
    text = _THINKING.sub(_blank, response) if in_thinking else outside_thinking(response)
    if form.startswith(PATTERN_FORM):
        return _of_pattern(text, form.removeprefix(PATTERN_FORM).strip())
    if form != "any":
        return _FINDERS[form](text)
    tags = _tags(text)
    boxes = _outside(_boxes(text), tags)
    lines = _outside(answer_lines.find_lines(text), [*tags, *boxes])
    hashes = _outside(_hashes(text), [*tags, *boxes])
    marks = sorted([*tags, *boxes, *_values(lines), *_values(hashes)], key=lambda found: found.start)
    return marks or sorted([*answer_lines.find_sentences(text), *_valueless(lines)], key=lambda found: found.start)


def last_answer(response: str, form: AnswerForm, *, in_thinking: bool = False) -> str | None:
    """The answer that counts: the last one; None if there is none."""
    answers = find_answers(response, form, in_thinking=in_thinking)
    return answers[-1].text if answers else None


def answer_in(reference: str) -> str:
    """The answer in a reference: of a worked solution what its last box holds (MATH), or its last line after ``####``.

    What has neither is an answer as it is.
    """
    text = reference.strip()
    if "box" in text and (boxes := find_answers(text, "boxed", in_thinking=True)):
        return boxes[-1].text
    hashes = _LAST_HASHES.search(text)
    return hashes[1].strip() if hashes else text


def sole_box(text: str) -> str:
    """What is inside if the whole text is one box, else the text itself."""
    boxes = _boxes(text)
    return boxes[0].text if len(boxes) == 1 and (boxes[0].start, boxes[0].end) == (0, len(text)) else text


def outside_thinking(response: str) -> str:
    """The response with its thinking blanked out, so that places stay what they are.

    A closing tag without an opening one ends a thinking that began in the prompt; one that is never closed goes on to
    the end.
    """
    pieces: list[str] = []
    start, thinking = 0, False
    for tag in _THINKING.finditer(response):
        closing = any(tag.groups())
        if closing:
            if not thinking:
                pieces.clear()
                start = 0
            pieces.append(" " * (tag.end() - (start if thinking else 0)))
            start, thinking = tag.end(), False
        elif not thinking:
            pieces.append(response[start : tag.start()])
            start, thinking = tag.start(), True
    rest = response[start:]
    return "".join(pieces) + (" " * len(rest) if thinking else rest)


def _blank(tag: re.Match[str]) -> str:
    """A line's end in place of a tag, so that no answer takes it along."""
    return "\n" * len(tag.group())


def _outside(marks: list[FoundAnswer], others: list[FoundAnswer]) -> list[FoundAnswer]:
    """The marks that touch none of the others: a box on an answer line says what the line says."""
    ordered = sorted(others, key=lambda found: found.start)
    kept: list[FoundAnswer] = []
    place = 0
    for mark in sorted(marks, key=lambda found: found.start):
        while place < len(ordered) and ordered[place].end <= mark.start:
            place += 1
        if place == len(ordered) or ordered[place].start >= mark.end:
            kept.append(mark)
    return kept


def _values(found: Iterable[FoundAnswer]) -> list[FoundAnswer]:
    return [answer for answer in found if answer.value]


def _valueless(found: Iterable[FoundAnswer]) -> list[FoundAnswer]:
    return [answer for answer in found if not answer.value]


def _hashes(text: str) -> list[FoundAnswer]:
    found = []
    for match in _HASHES.finditer(text):
        said = match.group(1).strip().strip("*").strip()
        if said and not answer_lines.is_heading(said):
            value = answer_lines.is_value(said)
            found.append(FoundAnswer(said, match.start(1), match.end(1), "####", value))
    return found


def _tags(text: str) -> list[FoundAnswer]:
    found: list[FoundAnswer] = []
    opened: re.Match[str] | None = None
    for tag in _TAG.finditer(text):
        if not tag.group(1):
            opened = tag
        elif opened is not None:
            inside = text[opened.end() : tag.start()]
            marks = _boxes(inside) or _values(answer_lines.find_lines(inside))
            said = marks[-1].text if marks else inside.strip()
            if said:
                found.append(FoundAnswer(said, opened.start(), tag.end(), "<answer>"))
            opened = None
    return found


def _of_pattern(text: str, pattern: str) -> list[FoundAnswer]:
    return [
        FoundAnswer(said, match.start(), match.end(), "your pattern")
        for match in re.finditer(pattern, text)
        if (said := (match.group(1) or "").strip())
    ]


def _boxes(text: str) -> list[FoundAnswer]:
    ends = _closing_braces(text) if "box" in text or "oxed" in text else {}
    found: list[FoundAnswer] = []
    position = 0
    while match := _BOX.search(text, position):
        position = match.end()
        if text[position : position + 1] == "{":
            end = ends.get(position)
            if end is None:
                continue
            said, position = text[position + 1 : end].strip(), end + 1
        elif bare := _BARE.match(text, position):
            said, position = bare.group().rstrip(".,;:!?。*)"), bare.end()
            position -= len(bare.group()) - len(said)
        else:
            continue
        if "\\text" in said and len(said) <= MAX_ANSWER_CHARACTERS:
            said = answer_lines.without_story(said) or said
        if said:
            found.append(FoundAnswer(said, match.start(), position, "\\boxed{…}"))
    return found


def _closing_braces(text: str) -> dict[int, int]:
    """Where each opening brace closes, in one pass; escaped braces do not count."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for mark in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if mark.group() == "{":
            opened.append(mark.start())
        elif mark.group() == "}" and opened:
            ends[opened.pop()] = mark.start()
    return ends


def _any_hashes(text: str) -> list[FoundAnswer]:
    return [replace(answer, value=True) for answer in _hashes(text)]


_FINDERS: dict[str, Callable[[str], list[FoundAnswer]]] = {
    "boxed": _boxes,
    "answer_line": answer_lines.find_lines,
    "hashes": _any_hashes,
    "answer_tag": _tags,
    "sentence": answer_lines.find_sentences,
}
