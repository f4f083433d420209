"""Where the files of a user's own rewards are, as a recipe names them, and what must be kept with them."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path

from perilune.errors import RewardError
from perilune.recipe.reward_names import reward_names, split_file


def found_files(rewards: Iterable[str], known: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The files of rewards by their names, those that are there.

    Args:
        rewards: as problems carry them.
        known: where some of them are, relative to the folder or absolute.
        folder: the recipe's; files are looked for in it, then in the working directory.
    """
    files = {name: str((folder / Path(place).expanduser()).absolute()) for name, place in known.items()}
    for name in (name for reward in rewards for name in reward_names(reward)):
        named = split_file(name)
        if named is not None and named[0] not in files:
            path = Path(named[0]).expanduser()
            place = folder / path if (folder / path).is_file() else path
            if place.is_file():
                files[named[0]] = str(place.absolute())
    return files


def keep_files(files: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Copy each file with the modules beside it that it imports; what is there already stays as it is.

    Args:
        files: by name.
        folder: each file gets a folder of its own in it.

    Returns:
        The copies by name.

    Raises:
        RewardError: a file cannot be read or copied.
    """
    kept = {}
    for name, place in files.items():
        source = Path(place)
        target = folder / f"{source.stem}-{blake2b(name.encode(), digest_size=4).hexdigest()}"
        kept[name] = str(target / source.name)
        if (target / source.name).exists():
            continue
        try:
            # The file itself comes last: where it is, all is.
            for module in (*_imported(source), source):
                copy = target / module.relative_to(source.parent)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(module, copy)
        except OSError as error:
            raise RewardError(f"the reward file {source} cannot be kept with the run: {error}") from error
    return kept


def _imported(file: Path) -> list[Path]:
    """The modules beside a file that it imports, and those that they import."""
    folder, found, waiting = file.parent, dict[Path, None](), [file]
    while waiting:
        for name in _import_names(waiting.pop()):
            module = folder / f"{name}.py"
            beside = [module] if module.is_file() else sorted((folder / name).rglob("*.py"))
            fresh = [path for path in beside if path not in found and path != file]
            found |= dict.fromkeys(fresh)
            waiting += fresh
    return list(found)


def _import_names(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return  # Whoever imports it says what is wrong.
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
