"""Scored responses as JSONL, one per line: what an evaluation leaves for people and other tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perilune.errors import RunFolderError
from perilune.run.jsonl import json_line
from perilune.types import Grade, Message, Problem, ScoredResponse, Stop, Verdict


def write_responses(path: Path, responses: Sequence[ScoredResponse]) -> None:
    """Write the file whole or not at all, making its folder; one that exists is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json_line(_to_object(response)) for response in responses)
    scratch = path.with_name(path.name + ".partial")
    # Text that a model wrote may hold lone surrogates, which UTF-8 cannot say.
    scratch.write_bytes(text.encode("utf-8", errors="replace"))
    scratch.replace(path)


def read_responses(path: Path) -> list[ScoredResponse]:
    """Read what :func:`write_responses` wrote. The question comes back as a single user message.

    Raises:
        RunFolderError: the file is missing, or a line of it is no scored response.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise RunFolderError(f"cannot read the responses {path}: {error}; evaluate the run first") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            found.append(_from_object(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise RunFolderError(
                f"{path}, line {number} is no scored response ({reason}); evaluate again to write the file anew"
            ) from None
    return found


def _to_object(response: ScoredResponse) -> dict[str, Any]:
    problem, grade = response.problem, response.grade
    return {
        "problem": problem.id,
        "question": "\n\n".join(message.content for message in problem.messages),
        "answer": problem.answer,
        "reward": problem.reward,
        "tags": problem.tags,
        "difficulty": problem.difficulty,
        "response": response.response,
        "tokens": response.tokens,
        "stop": response.stop.value,
        "verdict": grade.verdict.value,
        "score": grade.score,
        "detail": grade.detail,
        "sample": response.sample,
        **({"parts": dict(grade.parts)} if grade.parts else {}),
    }


def _from_object(value: dict[str, Any]) -> ScoredResponse:
    problem = Problem(
        id=value["problem"],
        messages=(Message("user", value["question"]),),
        answer=value["answer"],
        reward=value["reward"],
        tags=tuple(value["tags"]),
        difficulty=value["difficulty"],
    )
    score = float("nan") if value["score"] is None else float(value["score"])
    grade = Grade(Verdict(value["verdict"]), score, value["detail"], tuple(value.get("parts", {}).items()))
    return ScoredResponse(
        problem, value["response"], value["tokens"], Stop(value["stop"]), grade, sample=value["sample"]
    )
