"""Problems with right submissions and no tests, from JSONL: what test-case generation starts from.

    {"id": "sum", "statement": "Read n …", "submissions": ["print(…)", {"language": "cpp", "source": "…"}, …],
     "special_judge": false, "validator": "…", "generator": "…", "checker": {"kind": "floats"}, "cpu_seconds": 2}

Only statement and submissions are needed; a program given as text alone is Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from perilune.data.records import read_records
from perilune.errors import ProblemsError
from perilune.recipe.problems import SourceConfig
from perilune.sandbox.cases import SolvedProblem

_PROBLEM = TypeAdapter(SolvedProblem)


def load_solved(path: Path) -> list[SolvedProblem]:
    """The problems of a file.

    Raises:
        ProblemsError: the file cannot be read or a row is no such problem; names file, line and reason.
    """
    problems: dict[str, SolvedProblem] = {}
    for where, row in read_records(SourceConfig(kind="jsonl", path=str(path))):
        problem = _problem(row, where)
        if problem.id in problems:
            raise ProblemsError(f"{where}: a problem before has the id {problem.id!r} too")
        problems[problem.id] = problem
    return list(problems.values())


def _problem(row: Mapping[str, Any], where: str) -> SolvedProblem:
    fields = dict(row)
    fields["submissions"] = [_program(given) for given in fields.get("submissions") or []]
    if fields.get("validator") is not None:
        fields["validator"] = _program(fields["validator"])
    fields.setdefault("id", where)
    try:
        return _PROBLEM.validate_python(fields)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ProblemsError(f"{where}: {faults}") from None


def _program(given: Any) -> Any:
    return {"language": "python", "source": given} if isinstance(given, str) else given
