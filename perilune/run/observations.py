"""How well problems were solved when they were last tried, in the replay buffer's file: what the sampler goes by.

Each iteration adds the rates of the groups that it completed, within its commit; so a commit costs what it has seen,
not what there is to see, and a run that goes back to an earlier checkpoint goes back to the rates of that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from perilune.run.buffer import ReplayBuffer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS observations (
    iteration INTEGER NOT NULL, problem BLOB NOT NULL, success REAL NOT NULL, PRIMARY KEY (iteration, problem))
    WITHOUT ROWID;
"""

EarlierRates = Mapping[str, list[float] | float]
"""As earlier versions kept them, whole in each commit: [success, iteration] of a problem's last group, or a bare rate,
which counts as observed in iteration 0."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A problem's tracked success rate after a group of it was graded."""

    problem: str
    """Its id."""
    success: float
    """In [0, 1]."""
    iteration: int
    """Counts from 0."""


class Observations:
    """Observations in the file of a replay buffer, written in its transactions."""

    def __init__(self, buffer: ReplayBuffer) -> None:
        """Make the table if it is not there."""
        self._db = buffer.database
        self._db.executescript(_SCHEMA)

    def add(self, observed: Iterable[Observation]) -> None:
        """Keep what an iteration has observed; of several of one problem the last counts."""
        # An id may hold what text in UTF-8 cannot: half of a surrogate pair, from JSON.
        rows = ((o.iteration, o.problem.encode("utf-8", "surrogatepass"), o.success) for o in observed)
        self._db.executemany("INSERT OR REPLACE INTO observations VALUES (?, ?, ?)", rows)

    def __iter__(self) -> Iterator[Observation]:
        """All of them, the earlier iterations first: a problem's last one counts."""
        rows = self._db.execute("SELECT iteration, problem, success FROM observations ORDER BY iteration")
        for iteration, problem, success in rows:
            yield Observation(problem.decode("utf-8", "surrogatepass"), success, iteration)

    def rewind(self, iteration: int) -> None:
        """Take back what was observed after so many iterations."""
        self._db.execute("DELETE FROM observations WHERE iteration >= ?", (iteration,))

    def replace(self, rates: EarlierRates) -> None:
        """Hold what an earlier version has kept, and nothing else."""
        self.rewind(0)
        pairs = ((name, kept if isinstance(kept, list) else [kept, 0]) for name, kept in rates.items())
        self.add(Observation(name, float(success), int(seen)) for name, (success, seen) in pairs)
