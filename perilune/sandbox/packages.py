"""The packages that programs may import besides Python's own library: named one by one, and shown with what they need.

Their files are taken from an environment, by default the one that this process runs in; nothing else that lies in it
can be read by a program, or imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, MetadataPathFinder
from pathlib import Path
from typing import Final

from perilune.errors import SandboxError

DEFAULT_PACKAGES: Final = ("numpy", "sortedcontainers")
"""Offered where they are installed."""


@dataclass(frozen=True, slots=True)
class Packages:
    """What is offered, and where it lies."""

    names: tuple[str, ...] = ()
    """Of those asked for, the distributions that are there."""
    missing: tuple[str, ...] = ()
    """Those that are not, or that need one that is not."""
    modules: frozenset[str] = frozenset()
    """What programs import, of these and of what they need: top names alone."""
    preloaded: tuple[str, ...] = ()
    """Of those, what was asked for by name: imported before a program that mentions it starts."""
    paths: tuple[str, ...] = ()
    """Their files and folders."""


def find_packages(names: Sequence[str] = DEFAULT_PACKAGES, environment: str | None = None) -> Packages:
    """Look packages up.

    Args:
        names: of distributions, as pip knows them.
        environment: a virtual environment, or a folder that ``pip install --target`` filled; None for our own.

    Raises:
        SandboxError: the environment is none.
    """
    places = _places(environment)
    found: list[str] = []
    missing: list[str] = []
    everything: dict[str, Distribution] = {}
    preloaded: list[str] = []
    for name in names:
        needed = _with_requirements(name, places)
        if needed is None:
            missing.append(name)
            continue
        found.append(name)
        preloaded += _modules(next(iter(needed.values())))
        everything |= needed
    paths = sorted({str(path) for needed in everything.values() for path in _top_paths(needed)})
    modules = frozenset(module for needed in everything.values() for module in _modules(needed))
    return Packages(tuple(found), tuple(missing), modules, tuple(dict.fromkeys(preloaded)), tuple(paths))


def _places(environment: str | None) -> list[str]:
    if environment is None:
        return list(sys.path)
    folder = Path(environment).expanduser().resolve()
    if not folder.is_dir():
        raise SandboxError(
            f"the environment {environment!r} is no folder; make one with: python -m venv {environment}, and install "
            "the packages into it"
        )
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    inner = folder / "lib" / version / "site-packages"
    if (folder / "pyvenv.cfg").is_file() and not inner.is_dir():
        raise SandboxError(f"the environment {environment!r} is not one of {version}, which runs programs here")
    return [str(inner if inner.is_dir() else folder)]


def _with_requirements(name: str, places: list[str]) -> dict[str, Distribution] | None:
    """The distribution and all that it needs, itself first; None where one of them is not there."""
    found: dict[str, Distribution] = {}
    open_names = [name]
    while open_names:
        wanted = open_names.pop()
        key = wanted.lower().replace("_", "-").replace(".", "-")
        if key in found:
            continue
        distribution = next(
            iter(Distribution.discover(context=MetadataPathFinder.Context(name=wanted, path=places))), None
        )
        if distribution is None:
            return None
        found[key] = distribution
        open_names += _requirements(distribution)
    return found


def _requirements(distribution: Distribution) -> Iterator[str]:
    if not distribution.requires:
        return
    from packaging.requirements import InvalidRequirement, Requirement

    for line in distribution.requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def _top_paths(distribution: Distribution) -> Iterable[Path]:
    """The files and folders right in site-packages that belong to it."""
    first = {path.parts[0] for path in distribution.files or () if path.parts}
    found = [Path(str(distribution.locate_file(name))) for name in first - {"..", "__pycache__", "bin"}]
    return [path for path in found if path.exists()]


def _modules(distribution: Distribution) -> list[str]:
    names = [path.name.partition(".")[0] if path.is_file() else path.name for path in _top_paths(distribution)]
    return sorted(name for name in names if name.isidentifier())
