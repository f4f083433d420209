"""Problems from the sources that a recipe names.

A source is rows, which the recipe's mapping reads (``records`` says how each kind of file is read), or it knows itself
what a problem of it is: then it has an entry in the table at the end.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from perilune.data.generators import Split
from perilune.data.humaneval import humaneval_problem
from perilune.data.mapping import map_record
from perilune.data.mixture import generated
from perilune.data.reasoning_gym import reasoning_gym_problems
from perilune.data.records import Record, read_records
from perilune.errors import ProblemsError
from perilune.recipe.problems import SourceConfig
from perilune.types import Problem

DEFAULT_POOL = 1000
"""Problems drawn from generators where the recipe names no count."""
_SHOWN_ROWS = 10


def load_problems(source: SourceConfig, split: Split, rows: Iterable[Record] | None = None) -> list[Problem]:
    """The problems of a source, mapped, filtered and cut to ``count``.

    Rows are read one by one, and what is held is the problems.

    Args:
        source: where they come from.
        split: for generators.
        rows: those of the source, where they were read before.

    Raises:
        ProblemsError: the source cannot be read or leaves nothing; the message names file, line and reason.
        BackendUnavailable: it needs a package that is not installed.
    """
    load = MADE.get(source.kind)
    if load is None:
        problems: Iterable[Problem] = _Usable(source, lambda row: map_record(row, source), unique=True).of(rows)
    else:
        problems = load(source, split, rows)
    with _uncollected():
        return _filtered(_unique(problems), source)


def load_pile(source: SourceConfig, split: Split, rows: Iterable[Record] | None = None) -> list[Problem]:
    """The problems of a source as curation takes them: as they are, without the prompt template.

    A row without a reference answer is kept, its answer empty, and equal problems are kept side by side: a later one
    of the same id gets another id ("<id>~2"). ``count`` cuts the pile; its filters by difficulty are not applied.

    Args:
        source: where they come from.
        split: for generators.
        rows: those of the source, where they were read before.

    Raises:
        ProblemsError: the source cannot be read, or no row of it has an answer.
        BackendUnavailable: it needs a package that is not installed.
    """
    bare = source.model_copy(update={"prompt": "{question}", "min_difficulty": None, "max_difficulty": None})
    if source.kind in MADE:
        return load_problems(bare, split, rows)
    usable = _Usable(bare, lambda row: map_record(row, bare, lenient=True))
    with _uncollected():
        problems = list(_numbered(_cut(usable.of(rows), source.count)))
    if not any(problem.answer for problem in problems) and usable.first is not None:
        # Not a pile of proofs, more likely a wrong name: the strict reading says what is missing.
        map_record(usable.first, bare)
    return problems


@contextmanager
def _uncollected() -> Iterator[None]:
    """Nothing is looked through for circles: problems make none, and the more there are, the longer each look takes."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Usable:
    """The rows of a source that are problems; the source says what becomes of others.

    Args:
        source: where they come from.
        read: a row as a problem.
        unique: a second of an id is no problem where others are left out.
    """

    def __init__(self, source: SourceConfig, read: Callable[[Record], Problem], *, unique: bool = False) -> None:
        self._source, self._read = source, read
        self._leaves_out = source.unusable_rows == "leave_out"
        self._unique = unique and self._leaves_out
        self._faults = _Faults()
        self.first: Record | None = None
        """The first row."""

    def of(self, rows: Iterable[Record] | None) -> Iterator[Problem]:
        """The problems; behind the last one it is told what is unusable.

        Args:
            rows: those of the source, where they were read before.
        """
        seen: set[str] = set()
        faults = self._faults
        for row in read_records(self._source) if rows is None else rows:
            self.first = self.first or row
            faults.rows += 1
            try:
                problem = self._read(row)
            except ProblemsError as fault:
                faults.add(str(fault))
                continue
            if self._unique and problem.id in seen:
                faults.add(f"{row[0]}: the problem {problem.id!r} was there before")
                continue
            if self._unique:
                seen.add(problem.id)
            yield problem
        usable = faults.rows > faults.count
        if faults.count and not (usable and self._leaves_out):
            raise ProblemsError(faults.told("cannot be used", leave_out=usable))
        if faults.count:
            sys.stderr.write(f"perilune: {faults.told('are left out')}\n")


@dataclass(slots=True)
class _Faults:
    """Rows that are no problems, the first of them with why."""

    rows: int = 0
    """Read so far."""
    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, fault: str) -> None:
        self.count += 1
        if len(self.shown) < _SHOWN_ROWS:
            self.shown.append(fault)

    def told(self, what: str, *, leave_out: bool = False) -> str:
        """Rows with their faults, the first of them each, and how many there are."""
        if self.rows == 1:
            return self.shown[0]
        more = self.count - len(self.shown)
        shown = [*self.shown, *([f"… and {more} more"] if more else [])]
        hint = "\n  to go on without them: problems.*.unusable_rows = 'leave_out'" if leave_out else ""
        return "\n  ".join([f"{self.count} of {self.rows} rows {what}:", *shown]) + hint


def _cut(problems: Iterable[Problem], count: int | None) -> Iterator[Problem]:
    """The first of them; the others are looked at too."""
    for place, problem in enumerate(problems):
        if count is None or place < count:
            yield problem


def _numbered(problems: Iterable[Problem]) -> Iterator[Problem]:
    """The same problems under unique ids."""
    taken: set[str] = set()
    # Of an id that comes again and again, so that a pile of equal problems is numbered in one pass.
    last: dict[str, int] = {}
    for problem in problems:
        name, number = problem.id, last.get(problem.id, 1)
        while name in taken:
            number += 1
            name = f"{problem.id}~{number}"
        if number > 1:
            last[problem.id] = number
        taken.add(name)
        yield problem if name == problem.id else replace(problem, id=name)


def _unique(problems: Iterable[Problem]) -> Iterator[Problem]:
    """The same problems; behind the last one, two of one id are refused."""
    seen: set[str] = set()
    twice: Problem | None = None
    for problem in problems:
        if problem.id in seen:
            twice = twice or problem
        seen.add(problem.id)
        yield problem
    if twice is not None:
        question = twice.messages[-1].content[:80]
        raise ProblemsError(f"two problems have the id {twice.id!r} ({question!r} …); remove one of them")


def _filtered(problems: Iterable[Problem], source: SourceConfig) -> list[Problem]:
    """Those within the range of difficulties, the first ``count`` of them; all are looked at."""
    kept: list[Problem] = []
    total = easy = hard = left = 0
    for problem in problems:
        total += 1
        below, above = out_of_range(problem, source)
        easy, hard = easy + below, hard + above
        if below or above:
            continue
        left += 1
        if source.count is None or left <= source.count:
            kept.append(problem)
    if not kept:
        raise ProblemsError(
            f"no problem is left of {total} from {source.path or source.kind}: {easy} below "
            f"min_difficulty, {hard} above max_difficulty; loosen the filters or check the file"
        )
    return kept


def out_of_range(problem: Problem, source: SourceConfig) -> tuple[bool, bool]:
    """Whether a problem is (below, above) the source's range of difficulties; without a difficulty it is both."""
    low, high, difficulty = source.min_difficulty, source.max_difficulty, problem.difficulty
    below = low is not None and (difficulty is None or difficulty < low)
    above = high is not None and (difficulty is None or difficulty > high)
    return below, above


MADE: Mapping[str, Callable[[SourceConfig, Split, Iterable[Record] | None], Iterable[Problem]]] = {
    "generator": lambda source, split, _: [
        shown.problem for shown in generated(source, split, source.count or DEFAULT_POOL, source.seed)
    ],
    "humaneval": lambda source, _, rows: (
        humaneval_problem(row, source) for row in (read_records(source) if rows is None else rows)
    ),
    "reasoning_gym": lambda source, split, _: reasoning_gym_problems(source, split, source.count or DEFAULT_POOL),
}
"""Kinds that know themselves what a problem is."""
