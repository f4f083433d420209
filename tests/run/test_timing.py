from __future__ import annotations

import time

import numpy as np
import pytest

from perilune.run.timing import Clock, peak_memory_gb


def test_a_phase_adds_up_also_where_it_ends_in_an_error() -> None:
    clock = Clock()
    with clock.phase("train"):
        time.sleep(0.02)
    first = clock.seconds["train"]
    with pytest.raises(ValueError, match="stop"), clock.phase("train"):
        time.sleep(0.02)
        raise ValueError("stop")
    assert first >= 0.02
    assert clock.seconds["train"] >= first + 0.02
    assert set(clock.seconds) == {"train"}


def test_seconds_of_one_phase_can_be_counted_as_anothers() -> None:
    clock = Clock()
    clock.seconds["rollout"] = 5.0
    clock.move("rollout", "grade_wait", 1.5)
    clock.move("rollout", "grade_wait", 0.5)
    assert clock.seconds == {"rollout": 3.0, "grade_wait": 2.0}


def test_peak_memory_is_in_gb_and_never_falls() -> None:
    before = peak_memory_gb()
    block = np.ones(60_000_000, dtype=np.uint8)
    during = peak_memory_gb()
    del block
    assert 0.01 < before <= during == pytest.approx(peak_memory_gb(), abs=0.01)
    assert during - before < 0.08
