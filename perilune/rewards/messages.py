"""What the pool and its workers say to each other: lines of JSON, so that nothing received is ever executed.

To a worker: a task. From a worker: READY once it has started, then for each task STARTED (its reward is built, the
time limit runs from here) and a grade.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from perilune.rewards.channel import GarbledMessage
from perilune.types import Grade, GradeRequest, Message, Problem, Stop, Verdict

READY = b"ready"
STARTED = b"started"

MAX_DETAIL_CHARACTERS = 500


def encode_task(request: GradeRequest) -> bytes:
    """A request as bytes; lone surrogates survive."""
    return json.dumps(asdict(request)).encode("ascii")


def decode_task(data: bytes) -> GradeRequest:
    """What :func:`encode_task` encoded."""
    record = json.loads(data)
    problem = record["problem"]
    messages = tuple(Message(m["role"], m["content"], tuple(m["images"])) for m in problem["messages"])
    decoded = Problem(**{**problem, "messages": messages, "tags": tuple(problem["tags"])})
    return GradeRequest(record["id"], decoded, record["response"], Stop(record["stop"]))


def encode_grade(grade: Grade) -> bytes:
    """A grade as bytes, its detail cut to one short line."""
    detail = " ".join(grade.detail.split())[:MAX_DETAIL_CHARACTERS]
    return json.dumps({"verdict": str(grade.verdict), "score": grade.score, "detail": detail}).encode("ascii")


def decode_grade(data: bytes) -> Grade:
    """What :func:`encode_grade` encoded.

    Raises:
        GarbledMessage: it is anything else: a reward can write to any file of its process.
    """
    try:
        record = json.loads(data)
        return Grade(Verdict(record["verdict"]), float(record["score"]), str(record["detail"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise GarbledMessage(f"{data[:40]!r} instead of a grade") from None
