"""From a row, as a source has it, to a problem: the recipe's mapping of fields, prompt template, tags and reward."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from sys import intern
from typing import Any

from perilune.data.forms.reading import in_form
from perilune.data.records import Record
from perilune.errors import ProblemsError
from perilune.recipe.problems import FieldMapping, SourceConfig
from perilune.recipe.reward_names import is_own, reward_names
from perilune.sandbox.tasks import read_task
from perilune.types import Message, Problem

ROW = "source_row"
"""The column of our own files that holds the row, as JSON, that a problem was made from at first."""


def map_record(record: Record, source: SourceConfig, *, lenient: bool = False) -> Problem:
    """One row as a problem.

    Args:
        record: the row and its place.
        source: its mapping.
        lenient: leave the answer empty where there is none, and an answer unchecked.

    Raises:
        ProblemsError: a field is missing, or the answer pattern does not match.
    """
    (where, row), source = in_form(record, source)
    fields = source.fields
    question = field_of(row, fields.question, where)
    messages = messages_of(question, where) if isinstance(question, list) else (Message("user", str(question)),)
    images = _strings(field_of(row, fields.images, where)) if fields.images else ()
    if images:
        messages = (*messages[:-1], Message(messages[-1].role, messages[-1].content, images))
    tags = _strings(field_of(row, fields.tags, where)) if fields.tags else ()
    problem = Problem(
        id=str(field_of(row, fields.id, where)) if fields.id else content_id(messages),
        messages=messages,
        answer=_lenient_answer(row, fields, where) if lenient else _answer(row, fields, where),
        reward=source.judged_by or "math",
        tags=_one((*source.tags, *tags)),
        difficulty=_number(field_of(row, fields.difficulty, where), where) if fields.difficulty else None,
        pass_rate=_number(field_of(row, fields.pass_rate, where), where) if fields.pass_rate else None,
    )
    if "code" in reward_names(problem.reward) and not lenient:
        check_code(problem.answer, where)
    if is_own(problem.reward):
        problem = replace(problem, row=str(record[1].get(ROW) or json.dumps(dict(record[1]), default=str)))
    return dressed(problem, source)


def dressed(problem: Problem, source: SourceConfig) -> Problem:
    """The source's prompt template, tags and reward; other braces in the template stay as they are.

    Raises:
        ProblemsError: the template has no {question}.
    """
    if "{question}" not in source.prompt:
        raise ProblemsError(f"prompt = {source.prompt!r} has no {{question}}, so the question would not be asked")
    *earlier, last = problem.messages
    asked = Message(last.role, source.prompt.replace("{question}", last.content), last.images)
    tags = _one(tuple(dict.fromkeys((*source.tags, *problem.tags))))
    reward = source.judged_by or problem.reward
    return replace(problem, messages=(*earlier, asked), reward=reward, tags=tags)


def check_code(answer: str, where: str) -> None:
    """Look whether the reward code can judge by an answer.

    Raises:
        ProblemsError: it is no task.
    """
    try:
        read_task(answer)
    except ValueError as error:
        raise ProblemsError(f"{where}: the reward 'code' cannot judge by this answer: {error}") from None


def _answer(row: Mapping[str, Any], fields: FieldMapping, where: str) -> str:
    value = field_of(row, fields.answer, where)
    # A structured answer, such as a code problem's tests, is handed on as JSON.
    answer = (json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)).strip()
    if fields.answer_pattern is not None:
        match = compiled(fields.answer_pattern, "answer_pattern").search(answer)
        if match is None or not match.groups():
            raise ProblemsError(
                f"{where}: answer_pattern {fields.answer_pattern!r} finds no group in the field {fields.answer!r}"
            )
        answer = match.group(1).strip()
    if not answer:
        raise ProblemsError(f"{where}: the answer is empty")
    return answer


def _lenient_answer(row: Mapping[str, Any], fields: FieldMapping, where: str) -> str:
    """The answer, or nothing where there is none."""
    try:
        return _answer(row, fields, where)
    except ProblemsError:
        return ""


def compiled(text: str, name: str) -> re.Pattern[str]:
    """A regular expression of the mapping.

    Raises:
        ProblemsError: it is none; ``name`` is its field's.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise ProblemsError(f"problems.*.fields.{name} {text!r} is no regular expression: {error}") from None


def field_of(row: Mapping[str, Any], name: str, where: str) -> Any:
    """A field by its name; dots lead into nested objects.

    Raises:
        ProblemsError: there is none, or it is null; the nearest name is told.
    """
    value: Any = row
    for part in [name] if name in row else name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = list(value) if isinstance(value, Mapping) else []
            near = difflib.get_close_matches(part, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(map(str, known)) or 'none'}."
            raise ProblemsError(f"{where}: no field {name!r}{hint} Set the name under problems.*.fields")
        value = value[part]
    if value is None:
        raise ProblemsError(f"{where}: the field {name!r} is null")
    return value


def messages_of(value: Any, where: str) -> tuple[Message, ...]:
    """Chat messages as rows have them.

    Raises:
        ProblemsError: they are no list of objects with role and content.
    """
    try:
        return tuple(Message(intern(str(turn["role"])), str(turn["content"])) for turn in value)
    except (TypeError, KeyError):
        raise ProblemsError(f"{where}: chat messages need a list of objects with role and content") from None


@lru_cache(1024)
def _one(tags: tuple[str, ...]) -> tuple[str, ...]:
    """The same tags, one object for the many problems that have them."""
    return tags


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _number(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ProblemsError(f"{where}: the difficulty {value!r} is not a number") from None


def content_id(messages: Sequence[Message]) -> str:
    """A name for messages that says what is in them."""
    text = "\x00".join(f"{m.role}\x00{m.content}\x00{' '.join(m.images)}" for m in messages)
    return blake2b(text.encode(), digest_size=8).hexdigest()
