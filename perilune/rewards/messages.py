"""What the pool and its workers say to each other: lines of JSON, so that nothing received is ever executed.

To a worker: a task. From a worker: READY once it has started, then for each task STARTED (its reward is built, the
time limit runs from here) and a grade, with an explanation where one was asked for. LEAVING comes before the
last grade of a worker that holds on to more memory than it should.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from perilune.rewards.channel import GarbledMessage
from perilune.types import Explanation, Grade, GradeRequest, Message, Problem, Stop, Verdict

READY = b"ready"
STARTED = b"started"
LEAVING = b"leaving"

MAX_DETAIL_CHARACTERS = 500
EXPLAINED = tuple(field.name for field in fields(Explanation) if field.name != "grade")


def encode_task(request: GradeRequest) -> bytes:
    """A request as bytes; lone surrogates survive."""
    return json.dumps(asdict(request)).encode("ascii")


def decode_task(data: bytes) -> GradeRequest:
    """What :func:`encode_task` encoded."""
    record = json.loads(data)
    problem = record["problem"]
    messages = tuple(Message(m["role"], m["content"], tuple(m["images"])) for m in problem["messages"])
    decoded = Problem(**{**problem, "messages": messages, "tags": tuple(problem["tags"])})
    return GradeRequest(record["id"], decoded, record["response"], Stop(record["stop"]), record["ask"])


def encode_grade(found: Grade | Explanation, *, over_limit: bool = False) -> bytes:
    """A grade, explained or not, as bytes; its detail is cut to one short line, other texts keep their lines."""
    grade = found.grade if isinstance(found, Explanation) else found
    detail = " ".join(grade.detail.split())[:MAX_DETAIL_CHARACTERS]
    record: dict[str, Any] = {"verdict": str(grade.verdict), "score": grade.score, "detail": detail}
    if isinstance(found, Explanation):
        record["explanation"] = {name: _cut(str(getattr(found, name))) for name in EXPLAINED}
    if grade.parts:
        record["parts"] = grade.parts
    if over_limit:
        record["over_limit"] = True
    return json.dumps(record).encode("ascii")


def is_over_limit(data: bytes) -> bool:
    """Whether what :func:`encode_grade` encoded says that the grading went over its bounds."""
    return bool(json.loads(data).get("over_limit", False))


def decode_grade(data: bytes) -> Grade:
    """What :func:`encode_grade` encoded.

    Raises:
        GarbledMessage: it is anything else: a reward can write to any file of its process.
    """
    try:
        record = json.loads(data)
        parts = tuple((str(name), float(score)) for name, score in record.get("parts", ()))
        return Grade(Verdict(record["verdict"]), float(record["score"]), str(record["detail"]), parts)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise GarbledMessage(f"{data[:40]!r} instead of a grade") from None


def decode_explanation(data: bytes) -> Explanation:
    """The same with the explanation, of which all is empty where there is none.

    Raises:
        GarbledMessage: it is anything else.
    """
    grade = decode_grade(data)
    told = json.loads(data).get("explanation", {})
    if not isinstance(told, dict):
        raise GarbledMessage(f"{data[:40]!r} instead of an explanation")
    return Explanation(grade, **{name: str(told.get(name, "")) for name in EXPLAINED})


def _cut(text: str) -> str:
    return text if len(text) <= MAX_DETAIL_CHARACTERS else f"{text[: MAX_DETAIL_CHARACTERS - 1]}…"
