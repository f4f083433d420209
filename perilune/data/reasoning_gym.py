"""The source of kind reasoning_gym: one of that package's tasks."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
from collections.abc import Iterable
from typing import Any

from perilune.data.generators import Split
from perilune.data.mapping import content_id, dressed
from perilune.errors import BackendUnavailable, ProblemsError
from perilune.recipe.problems import SourceConfig
from perilune.types import Message, Problem


def reasoning_gym_problems(source: SourceConfig, split: Split, count: int) -> list[Problem]:
    """``count`` problems of one task, or all that its first entries hold; equal questions count once.

    An entry whose answer is empty is left out, for no response can state that. One without any has ``null``: then the
    task's scorer alone says what is right.

    Raises:
        BackendUnavailable: the package is not installed.
        ProblemsError: it has no such task.
    """
    try:
        import reasoning_gym
    except ImportError:
        raise BackendUnavailable(
            "problems of kind 'reasoning_gym' need its package: pip install 'perilune[reasoning-gym]'"
        ) from None
    # Entries are made when they are asked for; one in five is held out.
    tries = 20 * count
    # Some tasks print what they do.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            data = reasoning_gym.create_dataset(source.path, size=tries, seed=source.seed)
        except ValueError as error:
            raise ProblemsError(f"reasoning_gym has no task {source.path!r}: {error}") from error
        return _problems(itertools.islice(data, tries), source, split, count)


def _problems(entries: Iterable[dict[str, Any]], source: SourceConfig, split: Split, count: int) -> list[Problem]:
    found: dict[str, Problem] = {}
    for entry in entries:
        if len(found) == count:
            break
        if entry["answer"] is not None and not str(entry["answer"]).strip():
            continue
        messages = (Message("user", str(entry["question"])),)
        # A question's split is decided by its content, as with the built-in generators.
        held_out = int(content_id(messages), 16) % 5 == 0
        if held_out == (split == "heldout"):
            tags = ("reasoning_gym", str(source.path))
            problem = Problem(content_id(messages), messages, json.dumps(entry, default=_plain), "reasoning_gym", tags)
            found.setdefault(problem.id, dressed(problem, source))
    return list(found.values())


def _plain(value: Any) -> Any:
    """What JSON has no form for, in one that says the same to a reader: arrays as lists, fractions as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
