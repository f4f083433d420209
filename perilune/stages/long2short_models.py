"""The models that a long2short compares: what they are called, how they come about, and where a run keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from perilune.recipe.long2short import Long2ShortConfig
from perilune.recipe.recipe import MODEL_AFTER, Recipe
from perilune.report.long2short_data import FOLDER

LONG, SHORT = "long", "short"
SHORT_SFT = "short_sft"
"""Folder of the run within that makes the short model."""
MODEL_OF = {"shortest": MODEL_AFTER["sft"], "dpo": MODEL_AFTER["dpo"], "rl": MODEL_AFTER["rl"]}
"""What the run within that takes a step calls its model: in models/ and in evaluations/."""
_TITLES = {
    "merge": "merging",
    "shortest": "shortest rejection sampling",
    "dpo": "DPO",
    "rl": "long2short RL",
}


@dataclass(frozen=True, slots=True)
class Models:
    """All models of one long2short, made or still to come."""

    recipe: Recipe

    @property
    def config(self) -> Long2ShortConfig:
        """The recipe's [long2short]."""
        return self.recipe.long2short

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they are made and measured; the short one is there where it is merged."""
        merged = "merge" in self.config.models
        return (LONG, *([SHORT] if merged else []), *self.config.models)

    @property
    def folder(self) -> Path:
        """``RUN/long2short``."""
        return self.recipe.run_folder / FOLDER

    @property
    def samples(self) -> Path:
        """The cache that all methods share, so that a model is asked for each response once."""
        return self.folder / "samples.sqlite"

    @property
    def long(self) -> str:
        """The model that the recipe names, else that of this run's last stage that trained one, else the recipe's."""
        if self.config.long_model is not None:
            return self.config.long_model
        trained = [stage for stage in self.recipe.stages if stage in MODEL_AFTER]
        if not trained:
            return self.recipe.model.name
        return str(self.recipe.run_folder / "models" / MODEL_AFTER[trained[-1]])

    @property
    def short(self) -> str:
        """The model that the recipe names, else that of the stage short_sft."""
        return self.config.short_model or str(self.recipe.run_folder / "models" / SHORT)

    def made(self, name: str) -> Path:
        """Folder of a method's model."""
        return self.folder / "models" / name

    def run(self, name: str) -> Path:
        """Folder of the run within that makes a method's model, or measures a model."""
        return self.folder / name


def last_step(name: str) -> str:
    """The step that makes a model: ``merge+shortest`` → ``shortest``."""
    return name.rsplit("+", maxsplit=1)[-1]


def parent_of(name: str) -> str:
    """The model that a method's last step goes on from: ``merge+shortest`` → ``merge``, ``shortest`` → ``long``."""
    return "+".join(name.split("+")[:-1]) or LONG


def title_of(name: str) -> str:
    """What people read: ``merge+shortest`` → ``merging, then shortest rejection sampling``."""
    if name in (LONG, SHORT):
        return f"{name}-CoT model"
    return ", then ".join(_TITLES[step] for step in name.split("+"))
