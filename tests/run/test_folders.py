from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perilune.run.folders import write_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def writer(text: str, error: BaseException | None = None) -> Callable[[Path], None]:
    def write(aside: Path) -> None:
        (aside / "inner").mkdir()
        (aside / "inner" / "file").write_text(text, encoding="utf-8")
        if error is not None:
            raise error

    return write


@pytest.mark.parametrize("error", [OSError("the disk is gone"), KeyboardInterrupt("stop")])
def test_a_failed_write_leaves_the_folder_that_was_there_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    place = tmp_path / "place"
    write_folder(place, writer("old"))
    with pytest.raises(type(error), match=str(error)):
        write_folder(place, writer("new", error))
    assert (place / "inner" / "file").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["place"]
    write_folder(place, writer("new"))
    assert (place / "inner" / "file").read_text(encoding="utf-8") == "new"
    assert names(tmp_path) == ["place"]


def test_a_killed_write_is_no_hindrance_and_other_hidden_folders_stay(tmp_path: Path) -> None:
    for name in (".place", ".place.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    write_folder(tmp_path / "place", writer("whole"))
    assert names(tmp_path) == [".place", "place"]
    assert names(tmp_path / "place") == ["inner"]
