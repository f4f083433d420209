"""Problems from the sources that a recipe names.

A source is rows, which the recipe's mapping reads (``records`` says how each kind of file is read), or it knows itself
what a problem of it is: then it has an entry in the table at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

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


def load_problems(source: SourceConfig, split: Split) -> list[Problem]:
    """The problems of a source, mapped, filtered and cut to ``count``.

    Raises:
        ProblemsError: the source cannot be read or leaves nothing; the message names file, line and reason.
        BackendUnavailable: it needs a package that is not installed.
    """
    load = MADE.get(source.kind)
    if load is None:
        problems = _usable(source, lambda row: map_record(row, source), unique=True)
    else:
        problems = load(source, split)
    _check_unique(problems)
    return _filtered(problems, source)[: source.count]


def load_pile(source: SourceConfig, split: Split) -> list[Problem]:
    """The problems of a source as curation takes them: as they are, without the prompt template.

    A row without a reference answer is kept, its answer empty, and equal problems are kept side by side: a later one
    of the same id gets another id ("<id>~2"). ``count`` cuts the pile; its filters by difficulty are not applied.

    Raises:
        ProblemsError: the source cannot be read, or no row of it has an answer.
        BackendUnavailable: it needs a package that is not installed.
    """
    bare = source.model_copy(update={"prompt": "{question}", "min_difficulty": None, "max_difficulty": None})
    if source.kind in MADE:
        return load_problems(bare, split)
    problems = _usable(bare, lambda row: map_record(row, bare, lenient=True))[: source.count]
    if not any(problem.answer for problem in problems):
        # Not a pile of proofs, more likely a wrong name: the strict reading says what is missing.
        map_record(read_records(bare)[0], bare)
    return _numbered(problems)


def _usable(source: SourceConfig, read: Callable[[Record], Problem], *, unique: bool = False) -> list[Problem]:
    """The rows that are problems; the source says what becomes of others, and of a second of an id if ``unique``."""
    problems: dict[str, Problem] = {}
    faults: list[str] = []
    leave_out = source.unusable_rows == "leave_out"
    rows = read_records(source)
    for number, row in enumerate(rows):
        try:
            problem = read(row)
        except ProblemsError as fault:
            faults.append(str(fault))
            continue
        if not (leave_out and unique):
            problems[str(number)] = problem
        elif problem.id in problems:
            faults.append(f"{row[0]}: the problem {problem.id!r} was there before")
        else:
            problems[problem.id] = problem
    if faults and not (problems and leave_out):
        raise ProblemsError(_told(faults, len(rows), "cannot be used", leave_out=bool(problems)))
    if faults:
        sys.stderr.write(f"perilune: {_told(faults, len(rows), 'are left out')}\n")
    return list(problems.values())


def _told(faults: Sequence[str], count: int, what: str, *, leave_out: bool = False) -> str:
    """Rows with their faults, the first of them each, and how many there are."""
    if count == 1:
        return faults[0]
    shown = [*faults[:_SHOWN_ROWS], *([f"… and {len(faults) - _SHOWN_ROWS} more"] if faults[_SHOWN_ROWS:] else [])]
    hint = "\n  to go on without them: problems.*.unusable_rows = 'leave_out'" if leave_out else ""
    return "\n  ".join([f"{len(faults)} of {count} rows {what}:", *shown]) + hint


def _numbered(problems: Sequence[Problem]) -> list[Problem]:
    """The same problems under unique ids."""
    found: dict[str, Problem] = {}
    for problem in problems:
        name, number = problem.id, 2
        while name in found:
            name, number = f"{problem.id}~{number}", number + 1
        found[name] = replace(problem, id=name)
    return list(found.values())


def _check_unique(problems: Sequence[Problem]) -> None:
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            question = problem.messages[-1].content[:80]
            raise ProblemsError(f"two problems have the id {problem.id!r} ({question!r} …); remove one of them")
        seen.add(problem.id)


def _filtered(problems: Sequence[Problem], source: SourceConfig) -> list[Problem]:
    low, high = source.min_difficulty, source.max_difficulty
    easy = [p for p in problems if low is not None and (p.difficulty is None or p.difficulty < low)]
    hard = [p for p in problems if high is not None and (p.difficulty is None or p.difficulty > high)]
    dropped = {p.id for p in (*easy, *hard)}
    kept = [p for p in problems if p.id not in dropped]
    if not kept:
        raise ProblemsError(
            f"no problem is left of {len(problems)} from {source.path or source.kind}: {len(easy)} below "
            f"min_difficulty, {len(hard)} above max_difficulty; loosen the filters or check the file"
        )
    return kept


MADE: Mapping[str, Callable[[SourceConfig, Split], list[Problem]]] = {
    "generator": lambda source, split: [
        shown.problem for shown in generated(source, split, source.count or DEFAULT_POOL, source.seed)
    ],
    "humaneval": lambda source, _: [humaneval_problem(row, source) for row in read_records(source)],
    "reasoning_gym": lambda source, split: reasoning_gym_problems(source, split, source.count or DEFAULT_POOL),
}
"""Kinds that know themselves what a problem is."""
