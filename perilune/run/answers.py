"""Answers of an evaluation that is under way, in the replay buffer's file: a run that is killed gives none twice."""

from __future__ import annotations

from collections.abc import Mapping

from perilune.run.buffer import ReplayBuffer, pack_segment, unpack_segment
from perilune.types import Segment

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    evaluation TEXT NOT NULL, request TEXT NOT NULL, tokens BLOB NOT NULL, logprobs BLOB NOT NULL,
    version INTEGER NOT NULL, stop TEXT NOT NULL, PRIMARY KEY (evaluation, request));
"""


class Answers:
    """Answers in the file of a replay buffer, written in its transactions."""

    def __init__(self, buffer: ReplayBuffer) -> None:
        """Make the table if it is not there."""
        self._db = buffer.database
        self._db.executescript(_SCHEMA)

    def keep(self, evaluation: str, request: str, segment: Segment) -> None:
        """Keep one as it arrives."""
        row = (evaluation, request, *pack_segment(segment))
        self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)

    def of(self, evaluation: str) -> Mapping[str, Segment]:
        """Those of an evaluation that are there, by request."""
        rows = self._db.execute(
            "SELECT request, tokens, logprobs, version, stop FROM answers WHERE evaluation = ?", (evaluation,)
        )
        return {row[0]: unpack_segment(row[1:]) for row in rows}

    def forget(self) -> None:
        """Drop all of them: their evaluation is over and told, or the run has gone back."""
        self._db.execute("DELETE FROM answers")
