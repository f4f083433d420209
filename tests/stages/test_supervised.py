"""Steps of supervised stages follow their schedule."""

from __future__ import annotations

import pytest

from perilune.recipe.training import SFTConfig
from perilune.stages.supervised import minibatch_steps


def test_the_learning_rate_rises_and_falls_linearly() -> None:
    config = SFTConfig(batch_size=2, learning_rate=1.0, final_learning_rate=0.2, warmup_share=0.25)
    rates = [step.learning_rate for step in minibatch_steps(16, config, seed=0)]
    # Eight steps: two rise to the peak; from the third on down to the final rate by 0.16 a step.
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.84, 0.68, 0.52, 0.36, 0.2])


def test_without_a_rise_it_begins_at_the_peak() -> None:
    config = SFTConfig(batch_size=4, learning_rate=1.0, final_learning_rate=0.5, warmup_share=0.0)
    assert [step.learning_rate for step in minibatch_steps(12, config, seed=0)] == pytest.approx([1.0, 0.75, 0.5])
    assert [step.learning_rate for step in minibatch_steps(2, config, seed=0)] == [1.0]


def test_each_epoch_takes_each_demonstration_once_in_an_order_of_its_own() -> None:
    config = SFTConfig(batch_size=4, epochs=3)
    steps = minibatch_steps(10, config, seed=0)
    assert [len(step.indices) for step in steps] == [4, 4, 2] * 3
    epochs = [[i for step in steps[start : start + 3] for i in step.indices] for start in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert steps == minibatch_steps(10, config, seed=0)
    assert steps != minibatch_steps(10, config, seed=1)
