"""What the stages work with: built once by the composition root, known to the stages by protocol alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perilune.config import Recipe
from perilune.protocols import Trainer, Workers
from perilune.stages.watchdog import Watchdog
from perilune.types import Demonstration, Problem


@dataclass(frozen=True, slots=True)
class Components:
    """A model with its trainer and engine."""

    trainer: Trainer
    workers: Workers
    render: Callable[[Problem], tuple[int, ...]]
    """Problem → prompt tokens, through the tokenizer's chat template."""
    render_demonstration: Callable[[Demonstration], tuple[tuple[int, ...], tuple[int, ...]]]
    """Demonstration → prompt tokens and response tokens, the end token included."""
    decode: Callable[[Sequence[int]], str]
    """Response tokens → text, without special tokens."""
    description: str
    """One line for people: model, devices and types."""
    watchdog: Watchdog = field(default_factory=Watchdog)
    """Hears the signs of life that trainer and engine give within a call."""


Build = Callable[[Recipe], Components]
"""Makes the components that a recipe names; ``recipe.model.name`` may be a checkpoint's folder."""
