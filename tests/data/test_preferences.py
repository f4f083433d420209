"""Preference files: written, read back, read by hand, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perilune.data.demonstrations import load_demonstrations
from perilune.data.preferences import load_preferences, messages_record, preference_record
from perilune.errors import ProblemsError
from perilune.types import Message, Preference, Problem

PROBLEM = Problem("p-1", (Message("system", "Be brief."), Message("user", "1 + 1?")), "2", "math")


def write(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_a_pair_comes_back_as_it_was(tmp_path: Path) -> None:
    pair = Preference(PROBLEM, "Answer: 2", "Well… 11\nAnswer: 11", rejected_ended=False)
    assert load_preferences(write(tmp_path / "p.jsonl", preference_record(pair))) == [pair]


def test_a_chosen_response_is_read_as_a_demonstration(tmp_path: Path) -> None:
    (shown,) = load_demonstrations(write(tmp_path / "m.jsonl", messages_record(PROBLEM, "Answer: 2")))
    assert shown.problem.messages == PROBLEM.messages and shown.response == "Answer: 2"
    assert (shown.problem.answer, shown.problem.reward) == ("2", "math")


def test_plain_text_counts_as_one_turn_and_other_keys_are_ignored(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"prompt": "1 + 1?", "chosen": "2", "rejected": "3", "score": 0.5})
    (pair,) = load_preferences(path)
    assert pair.problem.messages == (Message("user", "1 + 1?"),)
    assert (pair.chosen, pair.rejected, pair.rejected_ended) == ("2", "3", True)


def test_the_first_pairs_alone(tmp_path: Path) -> None:
    rows = [{"prompt": f"{n}?", "chosen": "a", "rejected": "b"} for n in range(5)]
    assert len(load_preferences(write(tmp_path / "p.jsonl", *rows), count=2)) == 2


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "1?", "chosen": "a"}, "rejected is missing or empty"),
        ({"prompt": "1?", "chosen": "", "rejected": "b"}, "chosen is missing or empty"),
        ({"prompt": "1?", "chosen": "a", "rejected": "a"}, "nothing to prefer"),
        ({"prompt": [{"text": "1?"}], "chosen": "a", "rejected": "b"}, "role and content"),
        (
            {"prompt": "1?", "chosen": [{"role": "user", "content": "a"}], "rejected": "b"},
            "chosen must be one message of the assistant",
        ),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    path = write(tmp_path / "p.jsonl", {"prompt": "0?", "chosen": "x", "rejected": "y"}, row)
    with pytest.raises(ProblemsError, match=r"p\.jsonl, line 2.*" + told):
        load_preferences(path)


def test_an_empty_file_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match="empty"):
        load_preferences(write(tmp_path / "p.jsonl"))
