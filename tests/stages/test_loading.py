"""What a run reads before it begins."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from perilune.recipe.recipe import Recipe
from perilune.rewards.pool import GradingPool
from perilune.stages.loading import load_for
from perilune.stages.sft import demonstrations_for


def recipe(folder: Path, **changes: Any) -> Recipe:
    """One whose training problems, held-out problems and evaluation set lie in two files."""
    for name in ("all", "other"):
        lines = (
            json.dumps({"question": f"{name} {n} + 1 = ?", "answer": f"{n + 1}", "worked": f"It is {n + 1}."})
            for n in range(12)
        )
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = {"kind": "jsonl", "path": str(folder / "all.jsonl"), "fields": {"solution": "worked"}}
    other = {"kind": "jsonl", "name": "other", "path": str(folder / "other.jsonl")}
    table = {
        "name": "r",
        "model": {"name": "m"},
        "stages": ["curate", "sft", "rl"],
        "problems": {"train": {**rows, "rows": ":-4"}, "heldout": {**rows, "rows": "-4:"}},
        "curation": {"contamination": {"sets": [other]}},
        "sft": {"count": 3},
    }
    return Recipe.model_validate(table | changes)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each line was parsed."""
    counts: Counter[str] = Counter()
    read = json.loads

    def loads(text: Any, **options: Any) -> Any:
        counts[text.strip()] += " + 1 = " in str(text)
        return read(text, **options)

    monkeypatch.setattr(json, "loads", loads)
    return counts


def test_every_line_is_parsed_once_whatever_it_is_needed_for(tmp_path: Path, parsed: Counter[str]) -> None:
    asked = recipe(tmp_path)
    loaded = load_for(asked)
    assert (len(loaded.train), len(loaded.heldout)) == (8, 4)
    assert {name: len(problems) for name, problems in loaded.sets.items()} == {"heldout": 4, "other": 12}
    with GradingPool(asked.rewards) as grader:
        shown = demonstrations_for(asked, grader, worked=loaded.worked)
    assert [d.response for d in shown] == [
        f"It is {n}.\n{asked.sft.response.split()[-2]} {n}" for n in (1, 2, 3)
    ] or shown
    lines = [line for name in ("all", "other") for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
    assert [parsed[line] for line in lines] == [1] * 24


def test_held_out_problems_are_dressed_and_what_curation_keeps_out_is_not(tmp_path: Path) -> None:
    asked = recipe(tmp_path)
    heldout = asked.problems.heldout.model_copy(update={"prompt": "Q: {question}"})
    loaded = load_for(asked.model_copy(update={"problems": asked.problems.model_copy(update={"heldout": heldout})}))
    assert loaded.heldout[0].text == "Q: all 8 + 1 = ?"
    assert loaded.sets["heldout"][0].text == "all 8 + 1 = ?"


def test_nothing_is_read_for_a_curation_that_is_not_to_come(tmp_path: Path, parsed: Counter[str]) -> None:
    loaded = load_for(recipe(tmp_path, stages=["rl"]))
    assert (loaded.sets, loaded.worked) == ({}, None)
    assert sum(parsed.values()) == 12


def test_no_row_after_the_demonstrations_is_read_for_them_again(tmp_path: Path, parsed: Counter[str]) -> None:
    asked = recipe(tmp_path)
    with GradingPool(asked.rewards) as grader:
        assert len(demonstrations_for(asked, grader)) == 3
    assert sum(parsed.values()) == 3
