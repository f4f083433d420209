"""The replay buffer: what goes in comes out, also from a file opened again."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest

from perilune.errors import RunFolderError
from perilune.run.buffer import ReplayBuffer
from perilune.run.journal import Journal
from perilune.types import Grade, Group, Message, Problem, Segment, Stop, Trajectory, Verdict

PROBLEM = Problem(
    "p/1", (Message("system", "é\n"), Message("user", "1 + 1 = ?", ("a.png",))), "2", "math", ("sum", "easy"), 1.5
)


def group(name: str, born: int = 0, k: int = 2) -> Group:
    seeds = (2**64 - 1, 0, 2**63)
    return Group(name, PROBLEM, (5, 6, 258), born, tuple(Trajectory(f"{name}/{i}", i, seeds[i]) for i in range(k)))


def segment(version: int, stop: Stop, *tokens: int) -> Segment:
    values = tuple(math.nextafter(-math.pi * (place + 1), 0.0) for place in range(len(tokens)))
    return Segment(tokens, values, version, stop)


def test_groups_come_back_exactly_as_they_were(tmp_path: Path) -> None:
    first, second = group("00000-000", k=3), group("00000-001")
    segments = (segment(4, Stop.CUT, 7, 8, 2**31 - 1), segment(5, Stop.REPEATED, 9))
    grade = Grade(Verdict.WRONG, 0.1 + 0.2, "found 3\tnot 2")
    buffer = ReplayBuffer(tmp_path / "b")
    buffer.add([first, second])
    buffer.append("00000-000/2", segments[0], iteration=0)
    buffer.append("00000-001/0", segment(4, Stop.ENDED, 2), iteration=0)
    buffer.append("00000-000/2", segments[1], iteration=1)
    buffer.grade("00000-000/2", grade)
    expected = [
        Group(
            first.id,
            PROBLEM,
            first.prompt_tokens,
            0,
            (*first.trajectories[:2], Trajectory("00000-000/2", 2, 2**63, segments, grade)),
        ),
        Group(
            second.id,
            PROBLEM,
            second.prompt_tokens,
            0,
            (Trajectory("00000-001/0", 0, 2**64 - 1, (segment(4, Stop.ENDED, 2),)), second.trajectories[1]),
        ),
    ]
    assert buffer.open_groups() == expected
    buffer.close()
    again = ReplayBuffer(tmp_path / "b")
    assert again.open_groups() == expected
    again.close()


@pytest.mark.parametrize("value", [-0.0, -5e-324, -1e308, -math.pi, -0.1])
def test_logprobs_keep_every_bit(tmp_path: Path, value: float) -> None:
    buffer = ReplayBuffer(tmp_path / "b")
    buffer.add([group("g")])
    buffer.append("g/0", Segment((3,), (value,), 0, Stop.CUT), 0)
    (back,) = buffer.open_groups()[0].trajectories[0].logprobs
    assert back.hex() == value.hex()
    buffer.close()


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_and_any_text_of_a_grade_are_kept(tmp_path: Path, verdict: Verdict) -> None:
    buffer = ReplayBuffer(tmp_path / "b")
    buffer.add([group("g")])
    grade = Grade(verdict, 0.0, "'; DROP TABLE groups; -- é \U0001f319")
    buffer.grade("g/0", grade)
    assert buffer.open_groups()[0].trajectories[0].grade == grade
    buffer.close()


def test_a_grade_whose_text_is_no_unicode_does_not_stop_the_run(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "b")
    buffer.add([group("g")])
    buffer.grade("g/0", Grade(Verdict.WRONG, 0.0, "half \ud83d"))
    grade = buffer.open_groups()[0].trajectories[0].grade
    assert grade is not None and grade.detail.startswith("half ")
    buffer.close()


def test_groups_are_added_all_or_none(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "b")
    buffer.add([group("g")])
    with pytest.raises(sqlite3.IntegrityError):
        buffer.add([group("h"), group("g")])
    assert [found.id for found in buffer.open_groups()] == ["g"]
    buffer.close()


def test_a_transaction_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "b")
    buffer.add([group("g")])
    buffer.set("iteration", 1)
    with pytest.raises(KeyboardInterrupt), buffer.transaction():
        buffer.set("iteration", 2)
        buffer.close_groups(["g"], "trained", 1)
        raise KeyboardInterrupt
    assert buffer.get("iteration") == 1
    assert [found.id for found in buffer.open_groups()] == ["g"]
    with buffer.transaction():
        buffer.set("iteration", 2)
    buffer.close()
    again = ReplayBuffer(tmp_path / "b")
    assert again.get("iteration") == 2
    again.close()


def test_what_was_not_committed_is_gone_with_the_process(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "b")
    with pytest.raises(sqlite3.ProgrammingError), buffer.transaction():
        buffer.set("iteration", 9)
        buffer.close()
    again = ReplayBuffer(tmp_path / "b")
    assert again.get("iteration", "nothing") == "nothing"
    again.close()


def test_closed_groups_do_not_come_back(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "b")
    buffer.add([group(name) for name in "abcd"])
    for name, outcome in (("a", "trained"), ("b", "skipped"), ("d", "discarded")):
        buffer.close_groups([name], outcome, 0)
    assert [found.id for found in buffer.open_groups()] == ["c"]
    buffer.close()
    again = ReplayBuffer(tmp_path / "b")
    assert [found.id for found in again.open_groups()] == ["c"]
    again.close()


def test_the_oldest_group_comes_first(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "b")
    buffer.add([group("z")])
    buffer.add([group("y", born=1), group("x", born=1)])
    assert [found.id for found in buffer.open_groups()] == ["z", "y", "x"]
    buffer.close()


def test_it_knows_what_an_iteration_has_drawn_and_served(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "b")
    assert not buffer.drawn(3)
    buffer.add([group("g", born=3)])
    buffer.append("g/0", segment(0, Stop.CUT, 4), iteration=3)
    buffer.append("g/0", segment(0, Stop.CUT, 4), iteration=4)
    buffer.append("g/1", segment(0, Stop.CUT, 4), iteration=4)
    assert (buffer.drawn(3), buffer.drawn(4)) == (True, False)
    assert [buffer.served(number) for number in (2, 3, 4)] == [set(), {"g/0"}, {"g/0", "g/1"}]
    buffer.close_groups(["g"], "trained", 4)
    assert buffer.drawn(3)
    buffer.close()


def test_named_values_are_json(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "b")
    assert buffer.get("missing") is None
    buffer.set("sampler", {"p/1": 0.1 + 0.2})
    buffer.set("sampler", {"p/1": 0.7})
    assert buffer.get("sampler") == {"p/1": 0.7}
    buffer.close()


def test_a_file_that_is_no_buffer_says_so(tmp_path: Path) -> None:
    path = tmp_path / "buffer.sqlite"
    path.write_bytes(b"this was a buffer once" * 400)
    with pytest.raises(RunFolderError, match=r"cannot use the replay buffer .*buffer\.sqlite: file is not a database"):
        ReplayBuffer(path)
    with pytest.raises(RunFolderError, match="cannot use the replay buffer"):
        ReplayBuffer(tmp_path / "no" / "folder")


def test_what_each_of_several_rewards_gave_comes_back_also_in_a_run_of_an_earlier_version(tmp_path: Path) -> None:
    path = tmp_path / "b"
    buffer = ReplayBuffer(path)
    buffer.add([group("a")])
    buffer.append("a/0", segment(0, Stop.ENDED, 2), iteration=0)
    buffer.close()
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE trajectories DROP COLUMN parts")
    db.close()
    again = ReplayBuffer(path)
    grade = Grade(Verdict.RIGHT, 0.95, "18", (("math", 1.0), ("my own.py:short", 0.5)))
    again.grade("a/0", grade)
    again.close()
    last = ReplayBuffer(path)
    assert last.open_groups()[0].trajectories[0].grade == grade
    last.close()


def test_gradings_that_ended_in_errors_can_be_forgotten(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "b")
    buffer.add([group("a"), group("b")])
    for name in ("a/0", "a/1", "b/0"):
        buffer.append(name, segment(0, Stop.ENDED, 2), iteration=3)
        buffer.grade(name, Grade(Verdict.ERROR, 0.0, "the judge is out"))
    buffer.append("b/1", segment(0, Stop.CUT, 2), iteration=3)
    buffer.grade("a/1", Grade(Verdict.WRONG, 0.0))
    counts = buffer.rollout_counts(3)
    assert (counts.segments, counts.graded, counts.grade_errors) == (4, 3, 2)
    assert buffer.rollout_counts(4).graded == 0
    buffer.close_groups(["b"], "skipped", 3)
    buffer.forget_errors()
    # What is done with stays as it is.
    counts = buffer.rollout_counts(3)
    assert (counts.graded, counts.grade_errors) == (2, 1)
    assert [t.grade for t in buffer.open_groups()[0].trajectories] == [None, Grade(Verdict.WRONG, 0.0)]
    buffer.close()


def test_no_iteration_reads_through_the_past(tmp_path: Path) -> None:
    path = tmp_path / "b"
    buffer, asked = ReplayBuffer(path), list[str]()
    Journal(buffer)
    buffer.close()
    # A run that an earlier version began has none of the indexes.
    with sqlite3.connect(path) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall():
            db.execute(f"DROP INDEX {name}")
    db.close()
    buffer = ReplayBuffer(path)
    journal = Journal(buffer)
    buffer.database.set_trace_callback(asked.append)
    buffer.add([group("g")])
    buffer.append("g/0", segment(0, Stop.ENDED, 4), iteration=0)
    buffer.grade("g/0", Grade(Verdict.RIGHT, 1.0))
    buffer.open_groups()
    buffer.drawn(0)
    buffer.served(0)
    buffer.rollout_counts(0)
    buffer.count_closed("trained", 0)
    buffer.close_groups(["g"], "trained", 0)
    buffer.forget_errors()
    journal.has("evaluation", "final")
    journal.forget("evaluation", name="final")
    journal.lines("metrics.jsonl")
    buffer.database.set_trace_callback(None)
    told = [line for line in asked if line.startswith(("SELECT", "UPDATE", "INSERT", "DELETE"))]
    assert len(told) > 12
    plans = {line: [row[3] for row in buffer.database.execute(f"EXPLAIN QUERY PLAN {line}")] for line in told}
    assert {line: plan for line, plan in plans.items() if any("SCAN" in step for step in plan)} == {}
    buffer.close()
