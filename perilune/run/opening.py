"""Opening a run folder: a fresh one, or one that is resumed on its own recipe."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from perilune.errors import RunFolderError
from perilune.recipe.recipe import Recipe, load_recipe, recipe_toml
from perilune.recipe.reward_files import keep_files
from perilune.run.folder import RunFolder

_RECIPE = "recipe.toml"
REWARDS_FOLDER = "rewards"
"""Of a run: the files of rewards of the user's own, as they were when it began."""

_FREE = {"name", "output", "threads", "rl.iterations"}
# What a run that could not go on asks to change.
_FREE |= {"rl.learning_rate", "sft.learning_rate", "sft.final_learning_rate", "trainer.dtype"}
_FREE |= {"trainer.max_skipped_steps", "trainer.timeout_seconds", "engine.timeout_seconds"}
_FREE |= {"rewards.workers", "rewards.retries", "rewards.timeout_seconds"}
_FREE |= {"rewards.cpu_seconds", "rewards.memory_mb"}


def check_run(recipe: Recipe, *, resume: bool, overwrite: bool) -> None:
    """Refuse what :func:`open_run` would, changing nothing: before a model is loaded for it.

    Raises:
        RunFolderError: the folder exists and neither resume nor overwrite was asked for; it is to be overwritten and
            is no run; or another recipe is to be resumed.
    """
    path = recipe.run_folder
    if not path.is_dir() or not any(path.iterdir()):
        return
    if overwrite and not resume:
        if not (path / _RECIPE).exists():
            raise RunFolderError(f"{path} holds files but no {_RECIPE}, so it is no run and will not be overwritten")
    elif not resume:
        raise RunFolderError(
            f"the run folder {path} exists already: continue it with --resume, replace it with --overwrite, or "
            "give the run another name (--set name=…)"
        )
    else:
        _check_same(path, recipe)


def open_run(recipe: Recipe, *, resume: bool, overwrite: bool) -> RunFolder:
    """Make the run's folder with the resolved recipe in it, or open an existing one.

    Raises:
        RunFolderError: see :func:`check_run`; or it cannot be written, or its buffer is damaged.
    """
    check_run(recipe, resume=resume, overwrite=overwrite)
    path = recipe.run_folder
    if overwrite and not resume and path.is_dir():
        shutil.rmtree(path)
    try:
        (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        (path / "models").mkdir(exist_ok=True)
        _replace(path / _RECIPE, recipe_toml(_keeping_rewards(recipe, path)))
    except OSError as error:
        raise RunFolderError(f"cannot write the run folder {path}: {error}; set output to another place") from error
    return RunFolder.open(path, recipe.checkpoints.keep)


def stored_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of an existing run, some of its values changed ("rl.iterations=20").

    Raises:
        RunFolderError: the folder holds no run.
    """
    if not (path / _RECIPE).exists():
        raise RunFolderError(f"{path} is no run folder: it has no {_RECIPE}")
    return load_recipe(path / _RECIPE, overrides).model_copy(update={"name": path.name, "output": str(path.parent)})


def with_kept_rewards(recipe: Recipe) -> tuple[Recipe, list[str]]:
    """The recipe of a run with the reward files that the run keeps, and the names of those that have changed since.

    A run goes on with what it began with, wherever it is resumed from and whatever has become of the files.
    """
    path = recipe.run_folder
    if not (path / _RECIPE).exists():
        return recipe, []
    there = {name: place for name, place in stored_recipe(path).rewards.files.items() if Path(place).is_file()}
    given = recipe.rewards.files
    changed = [name for name, place in there.items() if name in given and not _equal(Path(given[name]), Path(place))]
    return _with_files(recipe, {**given, **there}), changed


def _equal(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except OSError:
        return True  # One that has gone has not changed.


def _keeping_rewards(recipe: Recipe, path: Path) -> Recipe:
    """Copy the files of the recipe's own rewards into its run's folder, and name the copies, relative to it."""
    kept = keep_files(recipe.rewards.files, path.absolute() / REWARDS_FOLDER)
    return _with_files(recipe, {name: str(Path(place).relative_to(path.absolute())) for name, place in kept.items()})


def _with_files(recipe: Recipe, files: Mapping[str, str]) -> Recipe:
    return recipe.model_copy(update={"rewards": recipe.rewards.model_copy(update={"files": dict(files)})})


def _replace(path: Path, text: str) -> None:
    """Write a file whole or leave the one that is there."""
    aside = path.with_name(path.name + ".partial")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def _check_same(path: Path, recipe: Recipe) -> None:
    """A run is resumed on its own recipe; only what does not change the meaning of its past may differ."""
    stored, wanted = _flat(stored_recipe(path).model_dump()), _flat(recipe.model_dump())
    changed = [key for key in sorted(stored | wanted) if wanted.get(key) != stored.get(key) and not _free(key)]
    if changed:
        differences = "; ".join(f"{key} was {stored.get(key)!r} and is now {wanted.get(key)!r}" for key in changed)
        raise RunFolderError(
            f"the run {path} was started with another recipe: {differences}. That would change what its past means: "
            f"resume it with its own recipe (perilune resume {path}), or start a new run"
        )


def changes_of(recipe: Recipe) -> list[str]:
    """What a recipe that resumes a run changes of the stored one, for people: 'rl.iterations: 12 -> 20'."""
    stored, wanted = _flat(stored_recipe(recipe.run_folder).model_dump()), _flat(recipe.model_dump())
    return [
        f"{key}: {stored.get(key)!r} -> {value!r}"
        for key, value in sorted(wanted.items())
        if value != stored.get(key) and not key.startswith("rewards.files.")
    ]


def _free(key: str) -> bool:
    return key.startswith(("logging.", "evaluation.", "checkpoints.", "rewards.files.")) or key in _FREE


def _flat(table: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
