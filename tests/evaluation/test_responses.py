import math

import pytest

from perilune.errors import RunFolderError
from perilune.evaluation.responses import read_responses, write_responses
from perilune.types import Grade, Message, Problem, ScoredResponse, Stop, Verdict


def scored(text, verdict=Verdict.RIGHT, score=1.0):
    problem = Problem("p/1", (Message("user", "2 + 2?"),), "4", "math", ("sum", "short"), 1.5)
    return ScoredResponse(problem, text, 3, Stop.REPEATED, Grade(verdict, score, "found 4"), sample=2)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "evaluations" / "base.jsonl"
    responses = [scored("four\n\u2028\u0085 “4”"), scored("", Verdict.WRONG, 0.0)]
    write_responses(path, responses)
    assert read_responses(path) == responses
    write_responses(path, responses[:1])
    assert read_responses(path) == responses[:1]
    assert [p.name for p in path.parent.iterdir()] == ["base.jsonl"]


def test_lone_surrogates_and_scores_that_mean_nothing(tmp_path):
    write_responses(tmp_path / "x.jsonl", [scored("a\ud800b", Verdict.ERROR, math.nan)])
    (found,) = read_responses(tmp_path / "x.jsonl")
    assert found.response == "a?b"
    assert math.isnan(found.grade.score)


def test_a_wrong_line_is_named(tmp_path):
    path = tmp_path / "x.jsonl"
    write_responses(path, [scored("a")])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"problem": "p"}\n')
    with pytest.raises(RunFolderError, match=r"x\.jsonl, line 2 is no scored response"):
        read_responses(path)
    with pytest.raises(RunFolderError, match="cannot read the responses"):
        read_responses(tmp_path / "none.jsonl")
