"""The run folder: made once, never lost by mistake, opened again on its own recipe alone."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from perilune.errors import RunFolderError
from perilune.recipe.recipe import Recipe, load_recipe
from perilune.run.opening import changes_of, open_run, stored_recipe


def recipe(folder: Path, **changes: Any) -> Recipe:
    source = {"kind": "jsonl", "path": "problems.jsonl"}
    table: dict[str, Any] = {
        "name": "one",
        "output": str(folder),
        "model": {"name": "tiny"},
        "problems": {"train": source, "heldout": source},
    }
    return Recipe.model_validate(table | changes)


def open_and_close(wanted: Recipe, *, resume: bool = False, overwrite: bool = False) -> Path:
    run = open_run(wanted, resume=resume, overwrite=overwrite)
    run.buffer.set("mark", run.buffer.get("mark", 0) + 1)
    run.buffer.close()
    return run.path


def test_a_new_run_has_its_recipe_and_its_places(tmp_path: Path) -> None:
    run = open_run(recipe(tmp_path), resume=False, overwrite=False)
    assert run.path == tmp_path / "one"
    assert load_recipe(run.path / "recipe.toml") == recipe(tmp_path)
    assert run.checkpoints.is_dir()
    assert run.model("final").parent.is_dir()
    run.buffer.close()


def test_an_existing_run_is_neither_continued_nor_replaced_unasked(tmp_path: Path) -> None:
    open_and_close(recipe(tmp_path))
    with pytest.raises(RunFolderError, match=r"one exists already: .* --resume, .* --overwrite"):
        open_run(recipe(tmp_path), resume=False, overwrite=False)


def test_an_empty_folder_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    assert open_and_close(recipe(tmp_path)) == tmp_path / "one"


def test_overwrite_begins_anew(tmp_path: Path) -> None:
    path = open_and_close(recipe(tmp_path))
    (path / "metrics.jsonl").write_text("{}\n", encoding="utf-8")
    run = open_run(recipe(tmp_path, seed=5), resume=False, overwrite=True)
    assert run.buffer.get("mark") is None
    assert not (path / "metrics.jsonl").exists()
    assert stored_recipe(path).seed == 5
    run.buffer.close()


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_is_no_run_is_never_touched(tmp_path: Path, resume: bool) -> None:
    thesis = tmp_path / "one" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("years of work", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"it is no run and will not be overwritten|is no run folder"):
        open_run(recipe(tmp_path), resume=resume, overwrite=not resume)
    assert [path.name for path in thesis.parent.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a file", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(RunFolderError, match=r"cannot write the run folder .*one"):
            open_run(recipe(tmp_path), resume=False, overwrite=overwrite)
    assert (tmp_path / "one").read_text(encoding="utf-8") == "a file"


def test_resume_goes_on_with_the_same_buffer(tmp_path: Path) -> None:
    open_and_close(recipe(tmp_path))
    open_and_close(recipe(tmp_path), resume=True)
    run = open_run(recipe(tmp_path), resume=True, overwrite=False)
    assert run.buffer.get("mark") == 2
    run.buffer.close()


def test_resume_refuses_another_recipe_and_names_what_changed(tmp_path: Path) -> None:
    path = open_and_close(recipe(tmp_path))
    other = recipe(tmp_path, seed=1, rl={"tau": 0.9, "length_reward": {"weight": 1.0}})
    changes = (
        r"length_reward\.weight was 0\.0 and is now 1\.0; rl\.tau was 0\.05 and is now 0\.9; seed was 0 and is now 1"
    )
    with pytest.raises(RunFolderError, match=changes):
        open_run(other, resume=True, overwrite=False)
    assert stored_recipe(path) == recipe(tmp_path)


def test_resume_allows_what_does_not_change_the_past(tmp_path: Path) -> None:
    path = open_and_close(recipe(tmp_path))
    longer = recipe(tmp_path, threads=2, rl={"iterations": 50}, evaluation={"every": 5}, logging={"tensorboard": False})
    assert changes_of(longer) == [
        "evaluation.every: 0 -> 5",
        "logging.tensorboard: True -> False",
        "rl.iterations: 10 -> 50",
        "threads: None -> 2",
    ]
    open_and_close(longer, resume=True)
    assert stored_recipe(path) == longer
    assert changes_of(longer) == []


def test_a_run_that_was_moved_knows_its_new_place(tmp_path: Path) -> None:
    path = open_and_close(recipe(tmp_path))
    moved = path.rename(tmp_path / "two")
    found = stored_recipe(moved)
    assert found.run_folder == moved
    open_and_close(found, resume=True)


def test_a_place_without_write_permission_is_named() -> None:
    # Not in pytest's folder, which an ordinary user may not enter.
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        locked = Path(place) / "locked"
        locked.mkdir(mode=0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # what root may write says nothing
        try:
            with pytest.raises(
                RunFolderError, match=r"cannot write the run folder .*locked.*Permission denied.*output"
            ):
                open_run(recipe(locked), resume=False, overwrite=False)
        finally:
            if root:
                os.seteuid(0)
