"""The sampler's rates on disk: what each iteration adds, and what runs of earlier versions bring."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from pathlib import Path

import pytest

from perilune.run.buffer import ReplayBuffer
from perilune.run.folder import RunFolder
from perilune.run.observations import Observation, Observations


def last(run: RunFolder) -> dict[str, tuple[float, int]]:
    return {each.problem: (each.success, each.iteration) for each in run.observations}


def test_the_last_of_a_problem_comes_last_and_every_bit_is_kept(tmp_path: Path) -> None:
    rates = [Observation("b\ud800", 0.1 + 0.2, 3), Observation("a", 5e-324, 4), Observation("a", 1.0, 0)]
    with closing(ReplayBuffer(tmp_path / "b")) as buffer:
        Observations(buffer).add(rates)
    with closing(ReplayBuffer(tmp_path / "b")) as buffer:
        kept = Observations(buffer)
        assert list(kept) == [rates[2], rates[0], rates[1]]
        # Two groups of one problem in one iteration: the second knew of the first.
        kept.add([Observation("a", 0.25, 4)])
        assert list(kept)[-1] == Observation("a", 0.25, 4)
        kept.rewind(4)
        assert list(kept) == [rates[2], rates[0]]


def test_what_is_not_committed_is_not_kept(tmp_path: Path) -> None:
    with closing(ReplayBuffer(tmp_path / "b")) as buffer:
        kept = Observations(buffer)
        with pytest.raises(KeyboardInterrupt), buffer.transaction():
            kept.add([Observation("a", 0.5, 0)])
            raise KeyboardInterrupt
        assert list(kept) == []


def test_a_run_of_an_earlier_version_keeps_its_rates(tmp_path: Path) -> None:
    with closing(ReplayBuffer(tmp_path / "buffer.sqlite")) as buffer:
        old = {"iteration": 3, "sft_steps": 0, "steps_done": ["sft"], "sampler": {"a": [0.3, 2], "bare": 0.7}}
        buffer.set("progress", old)
    for _ in range(2):
        run = RunFolder.open(tmp_path)
        assert (run.state.iteration, run.state.steps_done) == (3, ("sft",))
        assert last(run) == {"bare": (0.7, 0), "a": (0.3, 2)}
        assert set(run.buffer.get("progress")) == {"iteration", "sft_steps", "steps_done"}
        run.buffer.close()


@pytest.mark.parametrize("earlier", [True, False])
def test_a_run_that_goes_back_has_the_rates_of_that_time(tmp_path: Path, earlier: bool) -> None:
    run = RunFolder.open(tmp_path)
    run.observations.add([Observation("a", 0.25, 0), Observation("b", 0.5, 1), Observation("a", 0.75, 2)])
    run.buffer.set("checkpoints", ["one", "two"])
    # Where an earlier version wrote the checkpoint, what was seen before is in it alone.
    progress = {"iteration": 2, "sft_steps": 0, "steps_done": []}
    progress |= {"sampler": {"a": [0.125, 0]}} if earlier else {}
    folder = run.checkpoints / "one"
    folder.mkdir(parents=True)
    text = json.dumps(progress)
    (folder / "progress.json").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  progress.json\n", encoding="utf-8")
    told: list[str] = []
    assert run.newest_checkpoint(told.append) == folder
    assert len(told) == 2
    assert last(run) == ({"a": (0.125, 0)} if earlier else {"a": (0.25, 0), "b": (0.5, 1)})
    assert run.state.iteration == 2 and run.state.sampler is None
    run.buffer.close()
