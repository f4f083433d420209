"""Runs within a run: each has its own model, folder, checkpoints and report, and is resumed with the run around it."""

from __future__ import annotations

import gc
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from perilune.recipe.recipe import Recipe, Stage
from perilune.report.terminal import Display
from perilune.run.metrics import read_metrics
from perilune.stages.backends import Build
from perilune.stages.loading import Loaded


class RunSession(Protocol):
    """:func:`perilune.stages.pipeline.run_session`."""

    def __call__(
        self,
        recipe: Recipe,
        build: Build,
        *,
        loaded: Loaded,
        resume: bool,
        quiet: bool,
        nested: bool,
    ) -> object:
        """Run the stages of the recipe that are still to come."""
        ...


@dataclass(frozen=True, slots=True)
class Subruns:
    """What runs within a run are made with."""

    recipe: Recipe
    """Of the run around them."""
    loaded: Loaded
    build: Build
    display: Display
    """Idle while a run within goes on, which has its own."""
    quiet: bool
    session: RunSession

    @property
    def folder(self) -> Path:
        """Of the run around them."""
        return self.recipe.run_folder

    def model(self, name: str) -> Path:
        """Folder of a model in Hugging Face form that the run has made."""
        return self.folder / "models" / name

    def run(self, place: str, stages: tuple[Stage, ...], model: str, **changes: Any) -> Path:
        """Run stages on a model, or what of them is still to come; without a stage the model is measured.

        Args:
            place: folder within the run.
            stages: its stages.
            model: what it starts from.
            changes: tables that differ from the recipe's.

        Returns:
            The folder.
        """
        recipe = self.recipe
        named = recipe.model.model_copy(update={"name": _lasting_name(model), "revision": None})
        evaluation = recipe.evaluation.model_copy(update={"base": not stages})
        own = {"name": f"{recipe.name}/{place}", "stages": stages, "model": named, "evaluation": evaluation}
        inside = recipe.model_copy(update=own | changes)
        folder = inside.run_folder
        if folder.exists() and not (folder / "recipe.toml").exists():
            # It was killed before it began.
            shutil.rmtree(folder)
        self.session(inside, self.build, loaded=self.loaded, resume=True, quiet=self.quiet, nested=True)
        # Models and caches hang together in circles, so that nothing goes before they are looked for.
        gc.collect()
        return folder

    def take_model(self, place: Path, made: str, target: Path) -> Path:
        """Move a model out of a finished run within, and drop the checkpoints of that run."""
        source = place / "models" / made
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
        shutil.rmtree(place / "checkpoints", ignore_errors=True)
        return target


def measured(folder: Path, name: str) -> bool:
    """Whether the run in a folder has measured its model, for good."""
    told = any(event["event"] == "evaluation" and event.get("name") == name for event in read_metrics(folder))
    return told and (folder / "evaluations" / f"{name}.jsonl").exists()


def _lasting_name(model: str) -> str:
    """A folder is named in full, so that the run can be resumed from anywhere."""
    path = Path(model).expanduser()
    return str(path.resolve()) if path.is_dir() else model
