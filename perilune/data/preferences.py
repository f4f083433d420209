"""Preference pairs and chosen responses as JSONL, in the forms that TRL's DPOTrainer and SFTTrainer read as they are.

    {"prompt": [{"role": "user", "content": "…"}], "chosen": [{"role": "assistant", "content": "…"}],
     "rejected": [{"role": "assistant", "content": "…"}], "answer": "…", "reward": "math", "problem": "…", …}
    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}], "answer": "…", …}

Other keys are for people, and for verification; readers may ignore them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perilune.data.mapping import ROW, content_id, messages_of
from perilune.data.records import read_records
from perilune.errors import ProblemsError
from perilune.recipe.problems import SourceConfig
from perilune.types import Message, Preference, Problem


def preference_record(preference: Preference) -> dict[str, Any]:
    """A pair for its file."""
    problem = preference.problem
    return {
        "prompt": _turns(problem),
        "chosen": [{"role": "assistant", "content": preference.chosen}],
        "rejected": [{"role": "assistant", "content": preference.rejected}],
        "answer": problem.answer,
        "reward": problem.reward,
        "problem": problem.id,
        "rejected_ended": preference.rejected_ended,
    }


def messages_record(problem: Problem, response: str) -> dict[str, Any]:
    """A problem with a response for its file, as ``sft.demonstrations`` reads it."""
    return {
        "messages": [*_turns(problem), {"role": "assistant", "content": response}],
        "answer": problem.answer,
        "reward": problem.reward,
        **({ROW: problem.row} if problem.row else {}),
        "problem": problem.id,
    }


def load_preferences(path: Path, count: int | None = None) -> list[Preference]:
    """The pairs of a file, the first ``count`` of them.

    Prompt and responses are chat messages; plain text counts as one turn.

    Raises:
        ProblemsError: the file cannot be read or holds no pair, or a row is none; names file, line and reason.
    """
    pairs = [_preference(row, where) for where, row in read_records(SourceConfig(kind="jsonl", path=str(path)))]
    return pairs[:count]


def _preference(row: Mapping[str, Any], where: str) -> Preference:
    missing = [name for name in ("prompt", "chosen", "rejected") if not row.get(name)]
    if missing:
        raise ProblemsError(
            f"{where}: a preference needs prompt, chosen and rejected, and {' and '.join(missing)} is missing or empty"
        )
    prompt = _messages(row["prompt"], "user", where)
    chosen, rejected = (_answer(row[name], where, name) for name in ("chosen", "rejected"))
    if chosen == rejected:
        raise ProblemsError(f"{where}: chosen and rejected are the same, so there is nothing to prefer; remove the row")
    problem = Problem(
        id=str(row.get("problem") or content_id(prompt)),
        messages=prompt,
        answer=str(row.get("answer", "")),
        reward=str(row.get("reward", "math")),
    )
    return Preference(problem, chosen, rejected, bool(row.get("rejected_ended", True)))


def _answer(value: Any, where: str, name: str) -> str:
    messages = _messages(value, "assistant", where)
    if len(messages) != 1 or messages[0].role != "assistant":
        raise ProblemsError(
            f"{where}: {name} must be one message of the assistant, with everything before it in prompt; got "
            f"{', '.join(message.role for message in messages)}"
        )
    return messages[0].content


def _messages(value: Any, role: str, where: str) -> tuple[Message, ...]:
    return (Message(role, value),) if isinstance(value, str) else messages_of(value, where)


def _turns(problem: Problem) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in problem.messages]
