"""Entries of Reasoning Gym: read from JSON, given back what JSON loses, and tried before anything is judged by them."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from perilune.recipe.problems import UNJUDGED_TASKS
from perilune.rewards.nonsense import NONSENSE

_Scorer = Callable[[str, dict[str, Any]], float]
_NO_ENTRY = "the reference answer is no Reasoning Gym entry"


@dataclass(frozen=True, slots=True)
class GymEntry:
    """One problem of a task, as the task's scorer takes it."""

    task: str
    answer: str | None
    """The task's own; None where it gives none: then its scorer alone says what is right."""
    content: dict[str, Any]
    scorer: _Scorer

    def score(self, answer: str) -> float:
        """What the task's scorer gives for an answer, 1 for right; raises what the scorer raises."""
        with _silence():
            # A scorer may write into the entry.
            return float(self.scorer(answer, deepcopy(self.content)))


@lru_cache(maxsize=256)
def read_entry(text: str) -> GymEntry:
    """An entry that can be judged by: its own answer earns 1, and nonsense does not.

    JSON has neither tuples nor keys that are numbers; they are put back where the own answer earns 1 only with them.

    Args:
        text: JSON, an object with ``answer`` and ``metadata``, the latter with ``source_dataset``.

    Raises:
        ValueError: it is no such object, its own answer does not earn 1, or its scorer takes anything; says which.
    """
    task, content = _parsed(text)
    if task in UNJUDGED_TASKS:
        raise ValueError(f"reasoning-gym's task {task} cannot be learned from: {UNJUDGED_TASKS[task]}")
    entry = GymEntry(task, content["answer"], content, _scorer(task))
    if entry.answer is not None:
        entry = _restored(entry, entry.answer.strip())
    found = [_tried(entry, answer) for answer in NONSENSE if answer != entry.answer]
    if any(isinstance(score, float) and score >= 1.0 for score in found):
        raise ValueError(f"the scorer of reasoning-gym's task {task} takes any answer for right")
    errors = [score for score in found if isinstance(score, Exception)]
    if entry.answer is None and len(errors) == len(found):
        raise ValueError(f"the scorer of reasoning-gym's task {task} fails on every answer: {named(errors[0])}")
    return entry


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_NO_ENTRY}: it is not JSON: {error}") from None
    metadata = content.get("metadata") if isinstance(content, dict) else None
    task = metadata.get("source_dataset") if isinstance(metadata, dict) else None
    if not isinstance(task, str):
        raise ValueError(f"{_NO_ENTRY}: metadata.source_dataset is missing")
    if "answer" not in content:
        raise ValueError(f"{_NO_ENTRY}: its answer is missing")
    own = content["answer"]
    if own is not None and not isinstance(own, str):
        raise ValueError(f"{_NO_ENTRY}: its answer is {own!r} and must be text")
    if own is not None and not own.strip():
        raise ValueError("the answer of the Reasoning Gym entry is empty, and no response can state that")
    return task, content


def _restored(entry: GymEntry, own: str) -> GymEntry:
    """The entry with which the own answer earns 1."""
    found: list[float | Exception] = []
    for tuples, numbers in itertools.product((False, True), repeat=2):
        content = {**entry.content, "metadata": _with(entry.content["metadata"], tuples, numbers)}
        restored = replace(entry, content=content)
        score = _tried(restored, own)
        if isinstance(score, float) and score >= 1.0:
            return restored
        found.append(score)
    if isinstance(found[0], Exception):
        fault = f"fails on the entry's own answer: {named(found[0])}"
    else:
        fault = f"gives {found[0]:g} and not 1 for the entry's own answer, so the entry is damaged"
    raise ValueError(f"the scorer of reasoning-gym's task {entry.task} {fault}")


def _with(value: Any, tuples: bool, numbers: bool) -> Any:
    """The value with lists as tuples, and with those keys as numbers that spell one."""
    if isinstance(value, list):
        items = [_with(item, tuples, numbers) for item in value]
        return tuple(items) if tuples else items
    if isinstance(value, dict):
        return {_key(key) if numbers else key: _with(item, tuples, numbers) for key, item in value.items()}
    return value


def _key(key: str) -> str | int:
    return int(key) if key.isdecimal() and str(int(key)) == key else key


def _tried(entry: GymEntry, answer: str) -> float | Exception:
    try:
        return entry.score(answer)
    except Exception as error:
        return error


def named(error: Exception) -> str:
    """An error as one line."""
    return f"{type(error).__name__}: {error}"[:200]


@cache
def _scorer(task: str) -> _Scorer:
    # Asked for anew it would make the whole task each time.
    import reasoning_gym

    try:
        with _silence():
            scorer: _Scorer = reasoning_gym.get_score_answer_fn(task)
    except ValueError:
        raise ValueError(f"{_NO_ENTRY}: reasoning-gym has no task {task!r}") from None
    return scorer


def _silence() -> contextlib.AbstractContextManager[object]:
    """Some tasks print what they do."""
    return contextlib.redirect_stdout(io.StringIO())
