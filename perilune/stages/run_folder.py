"""The run folder: where everything of a run is, and what has been done."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from perilune.config import Recipe, load_recipe, recipe_toml
from perilune.errors import RunFolderError
from perilune.rl.buffer import ReplayBuffer

_RECIPE = "recipe.toml"
_BUFFER = "buffer.sqlite"

_FREE = {"name", "output", "threads", "rl.iterations"}
# What a run that could not go on asks to change.
_FREE |= {"rl.learning_rate", "sft.learning_rate", "sft.final_learning_rate", "trainer.dtype"}
_FREE |= {"trainer.max_skipped_steps", "trainer.timeout_seconds", "engine.timeout_seconds"}
_FREE |= {"rewards.workers", "rewards.retries", "rewards.timeout_seconds"}


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths within a run, and its buffer, which also says how far the run is."""

    path: Path
    buffer: ReplayBuffer

    @property
    def checkpoints(self) -> Path:
        """Folder of the trainer's checkpoints."""
        return self.path / "checkpoints"

    @property
    def skipped(self) -> Path:
        """Folder of minibatches whose optimiser step was skipped."""
        return self.path / "skipped"

    def model(self, name: str) -> Path:
        """Folder of a model in Hugging Face form."""
        return self.path / "models" / name


def open_run(recipe: Recipe, *, resume: bool, overwrite: bool) -> RunFolder:
    """Make the run's folder with the resolved recipe in it, or open an existing one.

    Raises:
        RunFolderError: it exists and neither resume nor overwrite was asked for; or it cannot be written; or
            resuming with another recipe.
    """
    path = recipe.run_folder
    if path.is_dir() and any(path.iterdir()):
        if overwrite and not resume:
            _remove(path)
        elif not resume:
            raise RunFolderError(
                f"the run folder {path} exists already: continue it with --resume, replace it with --overwrite, or "
                "give the run another name (--set name=…)"
            )
        else:
            _check_same(path, recipe)
    try:
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        (path / "models").mkdir(exist_ok=True)
        (path / _RECIPE).write_text(recipe_toml(recipe), encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"cannot write the run folder {path}: {error}; set output to another place") from error
    return RunFolder(path, ReplayBuffer(path / _BUFFER))


def stored_recipe(path: Path) -> Recipe:
    """The recipe of an existing run.

    Raises:
        RunFolderError: the folder holds no run.
    """
    if not (path / _RECIPE).exists():
        raise RunFolderError(f"{path} is no run folder: it has no {_RECIPE}")
    return load_recipe(path / _RECIPE).model_copy(update={"name": path.name, "output": str(path.parent)})


def _remove(path: Path) -> None:
    if not (path / _RECIPE).exists():
        raise RunFolderError(f"{path} holds files but no {_RECIPE}, so it is no run and will not be overwritten")
    shutil.rmtree(path)


def _check_same(path: Path, recipe: Recipe) -> None:
    """A run is resumed on its own recipe; only what does not change the meaning of its past may differ."""
    stored = stored_recipe(path).model_dump()
    wanted = recipe.model_dump()
    changed = [key for key in _flat(wanted) if _flat(wanted)[key] != _flat(stored).get(key) and not _free(key)]
    if changed:
        raise RunFolderError(
            f"the run {path} was started with other values of {', '.join(sorted(changed))}; resume it with its own "
            f"recipe (perilune resume {path}), or start a new run"
        )


def _free(key: str) -> bool:
    return key.startswith(("logging.", "evaluation.")) or key in _FREE


def _flat(table: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
