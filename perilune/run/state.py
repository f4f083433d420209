"""Where a run stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from perilune.run.observations import EarlierRates


@dataclass(frozen=True, slots=True)
class RunState:
    """With a checkpoint's weights, all that a run's future depends on beside the groups in its buffer."""

    iteration: int = 0
    """RL iterations that are committed."""
    sft_steps: int = 0
    """Optimiser steps of an SFT or DPO that is under way."""
    steps_done: tuple[str, ...] = ()
    """Stages and evaluations that are over."""
    sampler: EarlierRates | None = None
    """Of a state that an earlier version has written; by now the rates have a table of their own."""

    def with_done(self, step: str) -> Self:
        """The same, with one more stage or evaluation over."""
        return replace(self, steps_done=(*self.steps_done, step))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"iteration": self.iteration, "sft_steps": self.sft_steps, "steps_done": self.steps_done}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """What :meth:`to_dict` gave, in an earlier version too.

        Raises:
            KeyError, TypeError: the value is none of these.
        """
        return cls(**{**value, "steps_done": tuple(value["steps_done"])})
