"""The seams: where a part can be replaced by another real implementation.

``backends/`` implements Engine, Trainer and Workers; ``rewards/`` implements Reward. The loop knows these alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from perilune.types import (
    Completion,
    Explanation,
    Grade,
    Objective,
    OptimizerStep,
    Phase,
    Problem,
    Request,
    Sample,
    StepMetrics,
    Stop,
    UpdateMetrics,
)

if TYPE_CHECKING:
    import torch


class Engine(Protocol):
    """Generates segments. Holds one set of weights at a time, and no cache that outlives them."""

    @property
    def version(self) -> int:
        """The policy version of the weights it holds."""
        ...

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        """Take new weights under their Hugging Face names, and forget every cache that the old ones filled."""
        ...

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield one completion per request as each finishes, in no promised order.

        Raises:
            EngineError: a request cannot be served (too long for the cache, say).
        """
        ...


class Trainer(Protocol):
    """Holds the policy and its optimiser; knows nothing of rollouts."""

    @property
    def version(self) -> int:
        """How many updates these weights have seen."""
        ...

    def begin_iteration(self, *, keep_reference: bool = False) -> None:
        """Reference <- policy; the optimiser is reset (k1.5, section 2.3.2).

        Args:
            keep_reference: leave the reference of an earlier iteration in place, if there is one.
        """
        ...

    def logprobs(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        """Log-probabilities in nats of each sample's response tokens, [T - prompt_length], under the policy."""
        ...

    def update(
        self,
        samples: Sequence[Sample],
        objective: Objective,
        steps: Sequence[OptimizerStep],
        on_step: Callable[[StepMetrics], None] | None = None,
    ) -> UpdateMetrics:
        """Take the optimiser steps; the version rises by one.

        A step whose loss or gradient is not finite is skipped: weights and optimiser stay as they were, to the bit.
        Where every step was skipped the version stays too, since equal weights have one version.

        Args:
            samples: what the steps choose from.
            objective: the loss.
            steps: minibatches and learning rates, in order.
            on_step: called after each step, a skipped one too.

        Raises:
            TrainerError: too many steps in a row were skipped, or the policy itself is no longer finite.
        """
        ...

    def offload(self) -> None:
        """Give the device's memory up for an engine, between updates; ``weights`` and ``save`` still work."""
        ...

    def onload(self) -> None:
        """Take the device back after :meth:`offload`."""
        ...

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The policy's weights under their Hugging Face names."""
        ...

    def save(self, folder: Path, *, optimizer: bool = False) -> None:
        """Write everything that the next update depends on.

        Args:
            folder: is made if it is not there.
            optimizer: also what the next step of the update that is under way depends on.
        """
        ...

    def load(self, folder: Path) -> None:
        """Take back what :meth:`save` wrote; with the optimiser's state, an update goes on with its next step."""
        ...

    def save_pretrained(self, folder: Path) -> None:
        """Write the policy as a Hugging Face model that ``from_pretrained`` loads, tokenizer included."""
        ...


class Reward(Protocol):
    """Judges one response. Must be safe to call in another process; may raise, which counts as an error."""

    def __call__(self, problem: Problem, response: str, stop: Stop) -> Grade:
        """Grade the response."""
        ...


class Workers(Protocol):
    """Where engine and trainer live: in this process, or on a cluster."""

    def serving(self, trainer: Trainer) -> AbstractContextManager[Engine]:
        """An engine that holds the trainer's present weights under the trainer's version."""
        ...

    def take_phases(self) -> tuple[Phase, ...]:
        """What was done around the rollouts since the last call, in order; nothing where nothing changes hands."""
        ...

    def close(self) -> None:
        """End what was started; called once, at the end of a run that failed too."""
        ...


@runtime_checkable
class ReadsReferences(Protocol):
    """A reward that can say, before anything is graded, whether it can read a problem's reference answer."""

    def check_reference(self, problem: Problem) -> None:
        """Look at the reference alone.

        Raises:
            ValueError: it cannot be read; says why.
        """
        ...


@runtime_checkable
class Explains(Protocol):
    """A reward that can say how it came to a grade."""

    def explain(self, problem: Problem, response: str, stop: Stop) -> Explanation:
        """Grade the response as a call would, and tell how."""
        ...
