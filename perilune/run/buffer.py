"""The replay buffer: one SQLite file that holds every group until it has trained, and where the run stands.

Each segment and grade is committed as it arrives, so that a run stopped at any time loses no finished response.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perilune.errors import RunFolderError
from perilune.types import Grade, Group, Message, Problem, Segment, Stop, Trajectory, Verdict

_SCHEMA = """
CREATE TABLE IF NOT EXISTS groups (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, problem TEXT NOT NULL,
    prompt_tokens BLOB NOT NULL, born INTEGER NOT NULL, outcome TEXT, closed INTEGER);
CREATE TABLE IF NOT EXISTS trajectories (
    id TEXT PRIMARY KEY, group_id TEXT NOT NULL REFERENCES groups (id), position INTEGER NOT NULL, seed TEXT NOT NULL,
    verdict TEXT, score REAL, detail TEXT, parts TEXT);
CREATE TABLE IF NOT EXISTS segments (
    trajectory_id TEXT NOT NULL REFERENCES trajectories (id), number INTEGER NOT NULL, tokens BLOB NOT NULL,
    logprobs BLOB NOT NULL, version INTEGER NOT NULL, stop TEXT NOT NULL, iteration INTEGER NOT NULL,
    PRIMARY KEY (trajectory_id, number));
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS open_groups ON groups (outcome) WHERE outcome IS NULL;
CREATE INDEX IF NOT EXISTS members ON trajectories (group_id);
CREATE INDEX IF NOT EXISTS born_in ON groups (born);
CREATE INDEX IF NOT EXISTS closed_in ON groups (closed, outcome);
CREATE INDEX IF NOT EXISTS made_in ON segments (iteration, stop, trajectory_id);
"""
# What is asked in every iteration has an index: a run's past lies behind its blobs, gigabytes that a scan would read.

_TERMINAL = ", ".join(f"'{stop.value}'" for stop in Stop if stop.terminal)
_ROOM = 1 << 16
"""Bytes that an open database needs beside its file, at least."""

PackedSegment = tuple[bytes, bytes, int, str]
"""A segment's tokens (int32), log-probabilities (float64), version and stop, as the tables hold them."""


@dataclass(frozen=True, slots=True)
class RolloutCounts:
    """What a rollout phase has made."""

    segments: int
    tokens: int
    """Tokens generated."""
    grade_errors: int
    """Responses that it finished and that could not be graded."""
    graded: int = 0
    """Responses that it finished and that have a grade, errors among them."""


class ReplayBuffer:
    """Groups whose responses are unfinished or untrained, and a few named values; on disk at all times."""

    def __init__(self, path: Path):
        """Open the file, or make it.

        Raises:
            RunFolderError: the file cannot be written, or is no buffer.
        """
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            # A segment or grade survives the end of this process at once; the disk is waited for in transactions.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._renew()
        except sqlite3.Error as error:
            reason = str(error)
            if path.parent.is_dir() and shutil.disk_usage(path.parent).free < _ROOM:
                # SQLite speaks of an I/O error where it finds no room for its shared memory.
                reason = "no space left on the device; make room"
            raise RunFolderError(f"cannot use the replay buffer {path}: {reason}") from error

    def _renew(self) -> None:
        """A run that an earlier version began goes on."""
        columns = {name for _, name, *_ in self._db.execute("PRAGMA table_info(trajectories)")}
        if "parts" not in columns:
            self._db.execute("ALTER TABLE trajectories ADD COLUMN parts TEXT")

    @property
    def database(self) -> sqlite3.Connection:
        """The open file; autocommitting, but for :meth:`transaction`."""
        return self._db

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes made inside are committed together, or none of them; after it they are on the disk."""
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # SQLite itself takes a transaction back for which the disk has no room.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        finally:
            self._db.execute("PRAGMA synchronous=NORMAL")

    def add(self, groups: Iterable[Group]) -> None:
        """Take fresh groups, all or none."""
        with self.transaction():
            for group in groups:
                problem = json.dumps(asdict(group.problem))
                prompt = np.array(group.prompt_tokens, dtype=np.int32).tobytes()
                self._db.execute(
                    "INSERT INTO groups (id, problem, prompt_tokens, born) VALUES (?, ?, ?, ?)",
                    (group.id, problem, prompt, group.born),
                )
                self._db.executemany(
                    "INSERT INTO trajectories (id, group_id, position, seed) VALUES (?, ?, ?, ?)",
                    [(t.id, group.id, t.index, str(t.seed)) for t in group.trajectories],
                )

    def append(self, trajectory_id: str, segment: Segment, iteration: int) -> None:
        """Add the next segment of a trajectory, generated in this iteration."""
        self._db.execute(
            "INSERT INTO segments SELECT ?, COUNT(*), ?, ?, ?, ?, ? FROM segments WHERE trajectory_id = ?",
            (trajectory_id, *pack_segment(segment), iteration, trajectory_id),
        )

    def grade(self, trajectory_id: str, grade: Grade) -> None:
        """Set a trajectory's grade."""
        # A user's reward may say what UTF-8 cannot: half of a surrogate pair, from JSON.
        detail = grade.detail.encode("utf-8", "backslashreplace").decode("utf-8")
        self._db.execute(
            "UPDATE trajectories SET verdict = ?, score = ?, detail = ?, parts = ? WHERE id = ?",
            (grade.verdict.value, grade.score, detail, json.dumps(grade.parts) if grade.parts else None, trajectory_id),
        )

    def open_groups(self) -> list[Group]:
        """Every group that was neither trained nor discarded, the oldest first."""
        rows = self._db.execute(
            "SELECT id, problem, prompt_tokens, born FROM groups WHERE outcome IS NULL ORDER BY number"
        )
        return [
            Group(group_id, _problem(problem), _integers(prompt), born, self._trajectories(group_id))
            for group_id, problem, prompt, born in rows.fetchall()
        ]

    def drawn(self, iteration: int) -> bool:
        """True if this iteration's fresh groups are here already."""
        return bool(self._db.execute("SELECT 1 FROM groups WHERE born = ? LIMIT 1", (iteration,)).fetchone())

    def served(self, iteration: int) -> set[str]:
        """Ids of the trajectories that have their segment of this iteration already."""
        rows = self._db.execute("SELECT trajectory_id FROM segments WHERE iteration = ?", (iteration,))
        return {row[0] for row in rows}

    def close_groups(self, group_ids: Iterable[str], outcome: str, iteration: int) -> None:
        """Mark groups as done with: 'trained', 'skipped' or 'discarded'."""
        self._db.executemany(
            "UPDATE groups SET outcome = ?, closed = ? WHERE id = ?",
            [(outcome, iteration, group_id) for group_id in group_ids],
        )

    def count_closed(self, outcome: str, iteration: int) -> int:
        """How many groups an iteration has closed with this outcome."""
        query = "SELECT COUNT(*) FROM groups WHERE outcome = ? AND closed = ?"
        return int(self._db.execute(query, (outcome, iteration)).fetchone()[0])

    def rollout_counts(self, iteration: int) -> RolloutCounts:
        """What an iteration's rollout phase has made so far, whatever interrupted it."""
        segments, size = self._db.execute(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(tokens)), 0) FROM segments WHERE iteration = ?", (iteration,)
        ).fetchone()
        errors, graded = self._db.execute(
            "SELECT COALESCE(SUM(t.verdict = ?), 0), COUNT(t.verdict) FROM trajectories t WHERE t.id IN (SELECT "
            f"s.trajectory_id FROM segments s WHERE s.iteration = ? AND s.stop IN ({_TERMINAL}))",
            (Verdict.ERROR.value, iteration),
        ).fetchone()
        return RolloutCounts(int(segments), int(size) // np.dtype(np.int32).itemsize, int(errors), int(graded))

    def forget_errors(self) -> None:
        """Responses of open groups whose grading ended in an error are to be graded again; none is generated again."""
        self._db.execute(
            "UPDATE trajectories SET verdict = NULL, score = NULL, detail = NULL WHERE verdict = ? AND group_id IN "
            "(SELECT id FROM groups WHERE outcome IS NULL)",
            (Verdict.ERROR.value,),
        )

    def rewind(self, iteration: int) -> None:
        """Undo what was done after so many iterations: what they drew, generated, graded and closed.

        To be called in a transaction, with the progress that belongs to it.
        """
        late = (iteration,)
        self._db.execute(
            "DELETE FROM segments WHERE iteration >= ? OR trajectory_id IN (SELECT t.id FROM trajectories t "
            "JOIN groups g ON t.group_id = g.id WHERE g.born >= ?)",
            (iteration, iteration),
        )
        self._db.execute("DELETE FROM trajectories WHERE group_id IN (SELECT id FROM groups WHERE born >= ?)", late)
        self._db.execute("DELETE FROM groups WHERE born >= ?", late)
        self._db.execute("UPDATE groups SET outcome = NULL, closed = NULL WHERE closed >= ?", late)
        self._db.execute(
            "UPDATE trajectories SET verdict = NULL, score = NULL, detail = NULL WHERE NOT EXISTS "
            f"(SELECT 1 FROM segments s WHERE s.trajectory_id = trajectories.id AND s.stop IN ({_TERMINAL}))"
        )

    def get(self, key: str, default: Any = None) -> Any:
        """A named JSON value."""
        row = self._db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return default if row is None else json.loads(row[0])

    def set(self, key: str, value: Any) -> None:
        """Set a named JSON value."""
        self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, json.dumps(value)))

    def _trajectories(self, group_id: str) -> tuple[Trajectory, ...]:
        rows = self._db.execute(
            "SELECT id, position, seed, verdict, score, detail, parts FROM trajectories WHERE group_id = ? "
            "ORDER BY position",
            (group_id,),
        )
        return tuple(
            Trajectory(
                trajectory_id,
                position,
                int(seed),
                self._segments(trajectory_id),
                None if verdict is None else _grade(verdict, score, detail, parts),
            )
            for trajectory_id, position, seed, verdict, score, detail, parts in rows.fetchall()
        )

    def _segments(self, trajectory_id: str) -> tuple[Segment, ...]:
        rows = self._db.execute(
            "SELECT tokens, logprobs, version, stop FROM segments WHERE trajectory_id = ? ORDER BY number",
            (trajectory_id,),
        )
        return tuple(unpack_segment(row) for row in rows)


def _grade(verdict: str, score: float, detail: str, parts: str | None) -> Grade:
    return Grade(Verdict(verdict), score, detail, tuple((name, each) for name, each in json.loads(parts or "[]")))


def pack_segment(segment: Segment) -> PackedSegment:
    """A segment as the columns tokens, logprobs, version and stop of a table."""
    return (
        np.array(segment.tokens, dtype=np.int32).tobytes(),
        np.array(segment.logprobs, dtype=np.float64).tobytes(),
        segment.version,
        segment.stop.value,
    )


def unpack_segment(columns: PackedSegment) -> Segment:
    """What :func:`pack_segment` was given."""
    tokens, logprobs, version, stop = columns
    return Segment(_integers(tokens), tuple(np.frombuffer(logprobs, dtype=np.float64).tolist()), version, Stop(stop))


def _integers(blob: bytes) -> tuple[int, ...]:
    return tuple(np.frombuffer(blob, dtype=np.int32).tolist())


def _problem(text: str) -> Problem:
    fields = json.loads(text)
    messages = tuple(Message(m["role"], m["content"], tuple(m["images"])) for m in fields.pop("messages"))
    return Problem(messages=messages, **{**fields, "tags": tuple(fields["tags"])})
