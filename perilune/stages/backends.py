"""What the stages work with: built once by the composition root, known to the stages by protocol alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from perilune.protocols import Trainer, Workers
from perilune.recipe.long2short import MergeConfig
from perilune.recipe.recipe import Recipe
from perilune.run.watchdog import Watchdog
from perilune.types import Demonstration, Problem


@dataclass(frozen=True, slots=True)
class Backends:
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


Build = Callable[[Recipe], Backends]
"""Makes the backends that a recipe names; ``recipe.model.name`` may be a checkpoint's folder."""


class Merge(Protocol):
    """Merges models of one architecture into one."""

    def __call__(
        self,
        models: Sequence[str],
        target: Path,
        *,
        config: MergeConfig,
        base: str | None,
        progress: Callable[[int, int], None],
        overwrite: bool = False,
    ) -> None:
        """Write the merge of the models as a Hugging Face model.

        Args:
            models: the long and the short one: folders, built-in names or hub ids.
            target: the folder; it is there whole or not at all.
            config: the method and its weights.
            base: the model that both were trained from, which some methods need.
            progress: called with (tensors done, tensors in all).
            overwrite: replace a folder that is there.

        Raises:
            ModelError: the models cannot be merged; the message names the tensors.
            BackendUnavailable: the method needs a package that is not installed.
        """
        ...
