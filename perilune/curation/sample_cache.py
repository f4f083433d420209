"""Samples that were paid for: answers and label scores by (model, prompt, settings), in one SQLite file.

Each answer is kept as it arrives, so a curation that was killed asks for none of them again, and neither does another
curation by the same model that is given the same file.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perilune.errors import RunFolderError
from perilune.types import Grade, Segment, Stop, Verdict

if TYPE_CHECKING:
    from perilune.protocols import Trainer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS samples (
    key TEXT NOT NULL, number INTEGER NOT NULL, tokens BLOB NOT NULL, logprobs BLOB NOT NULL, stop TEXT NOT NULL,
    PRIMARY KEY (key, number));
CREATE TABLE IF NOT EXISTS grades (
    key TEXT NOT NULL, number INTEGER NOT NULL, judge TEXT NOT NULL, verdict TEXT NOT NULL, score REAL NOT NULL,
    detail TEXT NOT NULL, PRIMARY KEY (key, number, judge));
CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class SampleCache:
    """The file; use it as a context manager or call :meth:`close`."""

    def __init__(self, path: Path):
        """Open the file, or make it.

        Raises:
            RunFolderError: it cannot be written, or is no such file.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=60)
            self._db.execute("PRAGMA journal_mode=WAL")
            # What is written survives the end of this process; only a power cut may cost the last samples.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise RunFolderError(
                f"cannot use the sample cache {path}: {error}; set curation.cache to another file, or remove this one"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def samples(self, key: str, count: int) -> dict[int, Segment]:
        """The first ``count`` samples of a key, as far as they are there, by number."""
        rows = self._db.execute(
            "SELECT number, tokens, logprobs, stop FROM samples WHERE key = ? AND number < ?", (key, count)
        )
        return {
            number: Segment(
                tuple(np.frombuffer(tokens, dtype=np.int32).tolist()),
                tuple(np.frombuffer(logprobs, dtype=np.float64).tolist()),
                0,
                Stop(stop),
            )
            for number, tokens, logprobs, stop in rows
        }

    def keep_sample(self, key: str, number: int, segment: Segment) -> None:
        """Keep an answer."""
        tokens = np.array(segment.tokens, dtype=np.int32).tobytes()
        logprobs = np.array(segment.logprobs, dtype=np.float64).tobytes()
        self._db.execute(
            "INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?)", (key, number, tokens, logprobs, segment.stop.value)
        )

    def grades(self, key: str, judge: str) -> dict[int, Grade]:
        """The grades of a key's samples by one judge (reward, reference and settings), by number."""
        rows = self._db.execute(
            "SELECT number, verdict, score, detail FROM grades WHERE key = ? AND judge = ?", (key, judge)
        )
        return {number: Grade(Verdict(verdict), score, detail) for number, verdict, score, detail in rows}

    def keep_grade(self, key: str, number: int, judge: str, grade: Grade) -> None:
        """Keep a grade; an error is none, and is tried again by the next curation."""
        if grade.verdict is not Verdict.ERROR:
            detail = grade.detail.encode("utf-8", "backslashreplace").decode("utf-8")
            row = (key, number, judge, grade.verdict.value, grade.score, detail)
            self._db.execute("INSERT OR REPLACE INTO grades VALUES (?, ?, ?, ?, ?, ?)", row)

    def score(self, key: str) -> Mapping[str, float] | None:
        """The scores of one problem's labels; None if it was not scored."""
        row = self._db.execute("SELECT value FROM scores WHERE key = ?", (key,)).fetchone()
        found: Mapping[str, float] | None = None if row is None else json.loads(row[0])
        return found

    def keep_score(self, key: str, value: Mapping[str, float]) -> None:
        """Keep the scores of one problem's labels."""
        self._db.execute("INSERT OR REPLACE INTO scores VALUES (?, ?)", (key, json.dumps(dict(value))))


def cache_key(*parts: object) -> str:
    """A key that names all that a sample depends on."""
    return hashlib.blake2b(json.dumps(parts, default=str).encode(), digest_size=16).hexdigest()


def model_digest(trainer: Trainer) -> str:
    """What tells one model from another, whatever its name: the hash of its weights."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in trainer.weights():
        found.update(name.encode())
        found.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return found.hexdigest()
