"""What curation writes into ``RUN/curation/``: the problems that stay, those that go and why, and the counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from perilune.curation.fates import Dropped, StepReport
from perilune.data.mapping import ROW
from perilune.errors import RunFolderError
from perilune.report.curation_data import PROBLEMS
from perilune.run.jsonl import json_line, read_objects, replace_lines
from perilune.types import Message, Problem


def write_problems(path: Path, problems: Iterable[Problem], bands: Mapping[str, str]) -> None:
    """Write the problems that stay, one a line; a source of kind jsonl reads them.

    Args:
        path: is replaced as a whole.
        problems: without a prompt template.
        bands: problem id → band of difficulty.
    """
    replace_lines(path, (json_line(_record(problem, bands)) for problem in problems))


def write_dropped(
    path: Path, dropped: Iterable[tuple[str, Dropped]], bands: Mapping[str, str], questions: Mapping[str, str]
) -> None:
    """Write the problems that go, one a line.

    Args:
        path: is replaced as a whole.
        dropped: (step, fate) in order.
        bands: problem id → band of difficulty.
        questions: what a fate's match names → its text.
    """
    replace_lines(
        path,
        (
            json_line(
                _record(fate.problem, bands)
                | {
                    "step": step,
                    "reason": fate.reason.value,
                    "detail": fate.detail,
                    "match": fate.match,
                    "match_question": questions.get(fate.match, ""),
                }
            )
            for step, fate in dropped
        ),
    )


def write_counts(path: Path, counts: Mapping[str, Any]) -> None:
    """Write curation.json: see :mod:`perilune.report.curation_data`."""
    replace_lines(path, [json.dumps(counts, indent=2, ensure_ascii=False) + "\n"])


def step_counts(report: StepReport) -> dict[str, Any]:
    """One step for curation.json."""
    return {
        "name": report.name,
        "entered": report.entered,
        "kept": report.kept,
        "seconds": round(report.seconds, 2),
        "note": report.note,
        "reasons": dict(Counter(fate.reason.value for fate in report.dropped).most_common()),
    }


def read_curated(folder: Path) -> tuple[Problem, ...]:
    """The problems that stay, as :func:`write_problems` wrote them.

    Raises:
        RunFolderError: the file is missing or damaged.
    """
    path = folder / PROBLEMS
    try:
        return tuple(_problem(record) for record in read_objects(path))
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path} is damaged ({error}); run the curation again with --overwrite") from error


def _record(problem: Problem, bands: Mapping[str, str]) -> dict[str, Any]:
    plain = len(problem.messages) == 1 and problem.messages[0].role == "user"
    turns = [{"role": message.role, "content": message.content} for message in problem.messages]
    record: dict[str, Any] = {
        "id": problem.id,
        "question": problem.messages[0].content if plain else turns,
        "answer": problem.answer,
        "reward": problem.reward,
        "tags": list(problem.tags),
        "difficulty": problem.difficulty,
        "pass_rate": problem.pass_rate,
        "band": bands.get(problem.id),
    }
    images = [list(message.images) for message in problem.messages]
    record |= {"images": images} if any(images) else {}
    return record | ({ROW: problem.row} if problem.row else {})


def _problem(record: Mapping[str, Any]) -> Problem:
    question = record["question"]
    turns = [{"role": "user", "content": question}] if isinstance(question, str) else question
    images = record.get("images") or [[]] * len(turns)
    return Problem(
        id=record["id"],
        messages=tuple(
            Message(turn["role"], turn["content"], tuple(shown)) for turn, shown in zip(turns, images, strict=True)
        ),
        answer=record["answer"],
        reward=record["reward"],
        tags=tuple(record["tags"]),
        difficulty=record["difficulty"],
        pass_rate=record["pass_rate"],
        row=record.get(ROW, ""),
    )
