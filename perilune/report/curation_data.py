"""What a curation folder says, finished or not: the material of its report.

``curation.json`` holds the counts, ``problems.jsonl`` the problems that stay, ``dropped.jsonl`` those that went, and
why.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perilune.errors import RunFolderError
from perilune.run.jsonl import read_objects

FOLDER = "curation"
"""Its name within a run."""
COUNTS, PROBLEMS, DROPPED, REPORT = "curation.json", "problems.jsonl", "dropped.jsonl", "report.html"
BANDS = ("trivial", "easy", "medium", "hard", "hopeless")
"""Bands of difficulty, from what the model can to what it cannot."""


@dataclass(frozen=True, slots=True)
class CuratedProblem:
    """A problem as curation wrote it."""

    id: str
    question: str
    """Its messages as one text; roles are named where there are several."""
    answer: str
    reward: str = ""
    tags: tuple[str, ...] = ()
    """The first one is domain/discipline."""
    difficulty: float | None = None
    pass_rate: float | None = None
    band: str = ""
    """"" where the pass rate was not measured."""


@dataclass(frozen=True, slots=True)
class DroppedProblem:
    """A problem that a step took out."""

    problem: CuratedProblem
    step: str
    reason: str
    detail: str = ""
    match: str = ""
    """Id of the problem that it says the same as, or '<evaluation set>: <id>'."""
    match_question: str = ""


@dataclass(frozen=True, slots=True)
class StepCounts:
    """What one step did."""

    name: str
    entered: int
    kept: int
    seconds: float = 0.0
    note: str = ""
    reasons: tuple[tuple[str, int], ...] = ()
    """(reason, problems), the most frequent first."""

    @property
    def dropped(self) -> int:
        """Problems that did not go on."""
        return self.entered - self.kept


@dataclass(frozen=True, slots=True)
class Running:
    """The step under way."""

    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Problems by something, before curation dropped any for it, and among those that stay."""

    before: tuple[tuple[str, int], ...] = ()
    after: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Difficulty:
    """Problems by number of right answers, 0 to ``samples``, and by band."""

    samples: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    bands: Counts


@dataclass(frozen=True, slots=True)
class Guesses:
    """Problems by number of right guesses, 0 to ``attempts``."""

    attempts: int
    hits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CurationData:
    """A curation's records."""

    folder: Path
    name: str
    model: str
    finished: bool
    steps: tuple[StepCounts, ...]
    running: Running | None
    tags: Counts
    difficulty: Difficulty | None
    guess: Guesses | None
    contamination_sets: tuple[tuple[str, int], ...]
    """(evaluation set, its problems)."""
    problems: tuple[CuratedProblem, ...]
    dropped: tuple[DroppedProblem, ...]

    @property
    def entered(self) -> int:
        """Problems that came in; 0 before the first step is done."""
        return self.steps[0].entered if self.steps else 0

    @property
    def kept(self) -> int:
        """Problems that stay so far."""
        return self.steps[-1].kept if self.steps else 0


def read_curation(folder: Path) -> CurationData:
    """Read what 'perilune curate' has written so far; what is not there is empty.

    Args:
        folder: ``RUN/curation``, or ``RUN``.

    Raises:
        RunFolderError: the folder holds no curation.json, or a damaged one.
    """
    if not (folder / COUNTS).is_file() and (folder / FOLDER / COUNTS).is_file():
        folder = folder / FOLDER
    counts = _read_counts(folder)
    tags, steps = _table(counts.get("tags")), counts.get("steps")
    return CurationData(
        folder=folder,
        name=_text(counts.get("name")) or folder.resolve().parent.name,
        model=_text(counts.get("model")),
        finished=counts.get("finished") is True,
        steps=tuple(_step(step) for step in steps if isinstance(step, dict)) if isinstance(steps, list) else (),
        running=_running(counts.get("running")),
        tags=Counts(_counted(tags.get("before")), _counted(tags.get("after"))),
        difficulty=_difficulty(counts.get("difficulty")),
        guess=_guesses(counts.get("guess")),
        contamination_sets=_counted(counts.get("contamination_sets")),
        problems=tuple(_problem(record) for record in read_objects(folder / PROBLEMS)),
        dropped=tuple(_dropped(record) for record in read_objects(folder / DROPPED)),
    )


def _read_counts(folder: Path) -> dict[str, Any]:
    path = folder / COUNTS
    try:
        counts = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise RunFolderError(
            f"{folder} is no curation folder: it has no {COUNTS}; name a folder that 'perilune curate' has made, such "
            "as runs/quickstart/curation"
        ) from error
    except ValueError as error:
        raise RunFolderError(f"{path} is damaged: {error}; curate again") from error
    if not isinstance(counts, dict):
        raise RunFolderError(f"{path} is damaged: it holds no object; curate again")
    return counts


def _step(step: Mapping[str, Any]) -> StepCounts:
    entered = _count(step.get("entered"))
    kept = min(entered, _count(step.get("kept")))
    reasons = tuple(sorted(_counted(step.get("reasons")), key=lambda entry: -entry[1]))
    seconds = _number(step.get("seconds")) or 0.0
    return StepCounts(_text(step.get("name")), entered, kept, seconds, _text(step.get("note")), reasons)


def _running(value: Any) -> Running | None:
    found = _table(value)
    return Running(_text(found.get("name")), _count(found.get("done")), _count(found.get("total"))) if found else None


def _difficulty(value: Any) -> Difficulty | None:
    found = _table(value)
    before, after, bands = (found.get(key) for key in ("before", "after", "bands"))
    if not isinstance(before, list) or not before:
        return None
    # The last count is that of problems with every answer right.
    samples = len(before) - 1
    before, after = _histogram(before, samples + 1), _histogram(after, samples + 1)
    sides = _table(bands)
    return Difficulty(samples, before, after, Counts(_counted(sides.get("before")), _counted(sides.get("after"))))


def _guesses(value: Any) -> Guesses | None:
    hits = _table(value).get("hits")
    return Guesses(len(hits) - 1, _histogram(hits, len(hits))) if isinstance(hits, list) and hits else None


def _problem(record: Mapping[str, Any]) -> CuratedProblem:
    tags = record.get("tags")
    return CuratedProblem(
        id=_text(record.get("id")),
        question=_question(record.get("question")),
        answer=_text(record.get("answer")),
        reward=_text(record.get("reward")),
        tags=tuple(_text(tag) for tag in tags) if isinstance(tags, list) else (),
        difficulty=_number(record.get("difficulty")),
        pass_rate=_number(record.get("pass_rate")),
        band=_text(record.get("band")),
    )


def _dropped(record: Mapping[str, Any]) -> DroppedProblem:
    words = [_text(record.get(key)) for key in ("step", "reason", "detail", "match", "match_question")]
    return DroppedProblem(_problem(record), *words)


def _question(value: Any) -> str:
    if not isinstance(value, list):
        return _text(value)
    turns = [(_text(turn.get("role")), _text(turn.get("content"))) for turn in value if isinstance(turn, dict)]
    if len(turns) == 1:
        return turns[0][1]
    return "\n\n".join(f"{role}: {content}" for role, content in turns)


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _count(value: Any) -> int:
    return max(0, int(_number(value) or 0))


def _counted(value: Any) -> tuple[tuple[str, int], ...]:
    return tuple((name, _count(count)) for name, count in _table(value).items())


def _histogram(values: Any, length: int) -> tuple[int, ...]:
    """The counts, filled with zeros to this length."""
    found: Sequence[Any] = values if isinstance(values, list) else ()
    return tuple(_count(value) for value in [*found, *[0] * length][:length])
