import json
from pathlib import Path

import pytest

from perilune.data.solved import load_solved
from perilune.errors import ProblemsError
from perilune.sandbox.programs import Program
from perilune.sandbox.tasks import Checker


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_row_with_everything(tmp_path: Path) -> None:
    row = {
        "id": "a",
        "statement": "Add.",
        "submissions": ["print(1)", {"language": "cpp", "source": "int main() {}"}],
        "special_judge": True,
        "checker": {"kind": "floats", "absolute": 0.1},
        "validator": "pass",
        "generator": "print(1)",
        "language": "cpp",
        "cpu_seconds": 1.5,
        "memory_mb": 64,
        "tags": ["sums"],
        "difficulty": 1200,
    }
    (problem,) = load_solved(write(tmp_path / "p.jsonl", row))
    assert problem.submissions == (Program("python", "print(1)"), Program("cpp", "int main() {}"))
    assert problem.checker == Checker("floats", absolute=0.1)
    assert problem.validator == Program("python", "pass")
    assert (problem.special_judge, problem.generator, problem.language) == (True, "print(1)", "cpp")
    assert (problem.cpu_seconds, problem.memory_mb, problem.tags, problem.difficulty) == (1.5, 64, ("sums",), 1200.0)


def test_statement_and_submissions_are_enough(tmp_path: Path) -> None:
    (problem,) = load_solved(write(tmp_path / "p.jsonl", {"statement": "Add.", "submissions": []}))
    assert problem.id.endswith("line 1")
    assert (problem.submissions, problem.generator, problem.special_judge) == ((), None, False)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"submissions": []}], "line 1: statement: Field required"),
        ([{"statement": "x", "submissions": [3]}], r"submissions\.0"),
        ([{"statement": "x", "submissions": [], "id": "a"}] * 2, "line 2: a problem before has the id 'a'"),
        ([{"statement": "x", "submissions": [], "checker": {"kind": "close"}}], "checker.kind"),
    ],
)
def test_a_row_that_is_none_says_why(tmp_path: Path, rows: list[object], message: str) -> None:
    with pytest.raises(ProblemsError, match=message):
        load_solved(write(tmp_path / "p.jsonl", *rows))
