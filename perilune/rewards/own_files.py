"""A reward of the user's own that is a function in a file."""

from __future__ import annotations

import importlib.util
import sys
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

from perilune.errors import RewardError


def check_file(name: str, path: Path) -> None:
    """Look whether the file is there.

    Raises:
        RewardError: it is not.
    """
    if not path.is_file():
        raise RewardError(
            f"reward {name!r}: there is no file {path.name} beside the recipe, nor in {Path.cwd()}; write its path as "
            "it is from one of them, or in full"
        )


def load_file(name: str, path: Path) -> ModuleType:
    """The file as a module, run once in a process; modules beside it can be imported.

    Args:
        name: of the reward, for messages.
        path: its file.

    Raises:
        RewardError: it is not there, or running it raises.
    """
    check_file(name, path)
    path = path.absolute()
    module_name = f"perilune_reward_{blake2b(bytes(path), digest_size=8).hexdigest()}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # At the end: a file beside it that is called like a module of Python's does not hide that.
    sys.path.append(str(path.parent))
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise RewardError(f"reward {name!r}: running {path} failed: {type(error).__name__}: {error}") from error
    return module
