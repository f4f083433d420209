"""``perilune doctor RUN`` on a run that is whole, and on the same run harmed in every way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from perilune.cli import main
from perilune.run.checkup import State, examine_run


def states(run: Path) -> dict[str, State]:
    return {finding.part: finding.state for finding in examine_run(run)}


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def garble(path: Path) -> None:
    """Noise over the middle of the file, as a failing disk leaves it."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 4
    data[middle : middle + len(data) // 2] = bytes(7 * n % 256 for n in range(len(data) // 2))
    path.write_bytes(data)


HARMS: dict[str, tuple[str, Callable[[Path], None], State]] = {
    "recipe": ("recipe.toml", lambda run: (run / "recipe.toml").write_text("[rl", encoding="utf-8"), State.DAMAGED),
    "buffer gone": ("buffer.sqlite", lambda run: (run / "buffer.sqlite").unlink(), State.DAMAGED),
    "buffer garbled": ("buffer.sqlite", lambda run: garble(run / "buffer.sqlite"), State.DAMAGED),
    "newest checkpoint": (
        "checkpoints/iteration-00002",
        lambda run: cut(run / "checkpoints/iteration-00002/weights.safetensors"),
        State.NOTE,
    ),
    "all checkpoints": (
        "checkpoints/iteration-00001",
        lambda run: [cut(path) for path in (run / "checkpoints").glob("*/weights.safetensors")],
        State.DAMAGED,
    ),
    "metrics": ("metrics.jsonl", lambda run: cut(run / "metrics.jsonl"), State.NOTE),
    "samples": ("samples.jsonl", lambda run: cut(run / "samples.jsonl"), State.NOTE),
    "weights": ("models/final", lambda run: cut(run / "models/final/model.safetensors"), State.DAMAGED),
    "config": ("models/warmup", lambda run: (run / "models/warmup/config.json").unlink(), State.DAMAGED),
    "aside": ("models/.final", lambda run: (run / "models/.final").mkdir(), State.NOTE),
    "stuck": ("stuck.txt", lambda run: (run / "stuck.txt").write_text("the engine …\n", encoding="utf-8"), State.NOTE),
}


def test_a_run_is_checked_part_by_part(tiny_recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tiny_recipe), "--quiet"]) == 0
    run = tiny_recipe.parent / "runs" / "tiny"
    assert set(states(run).values()) == {State.WHOLE}
    capsys.readouterr()
    assert main(["doctor", str(run)]) == 0
    assert "tiny is whole; it goes on with: perilune resume" in capsys.readouterr().out.replace("\n", " ")

    for name, (part, harm, expected) in HARMS.items():
        copy = run.with_name("harmed")
        shutil.copytree(run, copy)
        harm(copy)
        found = states(copy)
        assert found[part] is expected, (name, found)
        assert main(["doctor", str(copy)]) == (1 if State.DAMAGED in found.values() else 0)
        shutil.rmtree(copy)
    capsys.readouterr()

    # What the doctor calls a note, a resumed run mends.
    copy = run.with_name("mended")
    shutil.copytree(run, copy)
    for name in ("newest checkpoint", "metrics", "samples"):
        HARMS[name][1](copy)
    assert main(["resume", str(copy), "--quiet"]) == 0
    assert set(states(copy).values()) == {State.WHOLE}
    assert (copy / "samples.jsonl").read_bytes() == (run / "samples.jsonl").read_bytes()
    messages = capsys.readouterr().err
    assert "iteration-00002 is damaged: weights.safetensors" in messages
    assert "goes back to the checkpoint" in messages

    # And a garbled buffer ends in one message.
    garble(run / "buffer.sqlite")
    assert main(["resume", str(run), "--quiet"]) == 2
    message = capsys.readouterr().err
    assert (message.count("\n") == 1 and "buffer.sqlite" in message) or "database" in message


def test_another_folder_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path)]) == 2
    assert "is no run folder: it has no recipe.toml" in capsys.readouterr().err
