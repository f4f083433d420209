"""What a run has told: the lines of its text files, in the replay buffer's file.

The text files (metrics.jsonl, samples.jsonl, draws.jsonl) are copies. An iteration's lines are committed in the
transaction that commits the iteration, so that each is there exactly once, whenever the run was killed.
"""

from __future__ import annotations

from perilune.run.buffer import ReplayBuffer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (
    number INTEGER PRIMARY KEY AUTOINCREMENT, file TEXT NOT NULL, event TEXT NOT NULL, name TEXT NOT NULL,
    step INTEGER NOT NULL, line TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS of_file ON lines (file);
CREATE INDEX IF NOT EXISTS of_event ON lines (event, name, step);
"""


class Journal:
    """Lines in the file of a replay buffer, written in its transactions."""

    def __init__(self, buffer: ReplayBuffer) -> None:
        """Make the table if it is not there."""
        self._db = buffer.database
        self._db.executescript(_SCHEMA)

    def add(self, file: str, event: str, step: int, line: str, name: str = "") -> None:
        """Add a line to a file's copy.

        Args:
            file: its name in the run folder.
            event: kind of event, which :meth:`forget` goes by.
            step: counts within the kind.
            line: newline included.
            name: of the event, among those of its kind.
        """
        # Half of a surrogate pair, which a model or a reward may say, is more than UTF-8 can.
        text = line.encode("utf-8", "replace").decode("utf-8")
        row = (file, event, name, step, text)
        self._db.execute("INSERT INTO lines (file, event, name, step, line) VALUES (?, ?, ?, ?, ?)", row)

    def lines(self, file: str) -> list[str]:
        """A file's lines in order."""
        return [row[0] for row in self._db.execute("SELECT line FROM lines WHERE file = ? ORDER BY number", (file,))]

    def has(self, event: str, name: str) -> bool:
        """Whether an event of that kind and name was told."""
        query = "SELECT 1 FROM lines WHERE event = ? AND name = ? LIMIT 1"
        return self._db.execute(query, (event, name)).fetchone() is not None

    def forget(self, event: str, *, since: int = 0, name: str = "") -> int:
        """Take back the lines of a kind, from a step on, of that name alone; return how many there were."""
        found = self._db.execute("DELETE FROM lines WHERE event = ? AND step >= ? AND name = ?", (event, since, name))
        return found.rowcount

    def rewind(self, iteration: int) -> None:
        """Take back what was told after so many iterations."""
        told = "(event IN ('iteration', 'sample', 'draw') AND step >= ?) OR (event = 'evaluation' AND step > ?)"
        self._db.execute(f"DELETE FROM lines WHERE {told}", (iteration, iteration))
