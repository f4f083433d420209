"""Tests of the sandbox need a machine that can isolate; elsewhere they are skipped, and say why."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pydantic
import pytest

import perilune
from perilune.errors import SandboxUnavailable
from perilune.sandbox.sandbox import Sandbox

NEEDS_NONE = {"test_bpf.py", "test_checkers.py", "test_client.py", "test_consensus.py", "test_extraction.py"}
NEEDS_NONE |= {"test_tasks.py", "test_published.py"}
_PACKAGES = ["pydantic", "pydantic_core", "annotated_types", "typing_extensions.py", "typing_inspection"]
_LEFT_OUT = shutil.ignore_patterns("site-packages", "__pycache__", "test", "tests", "*.a", "idlelib", "ensurepip")


@pytest.fixture(scope="session")
def public_python() -> Iterator[tuple[Path, Path]]:
    """A Python, and a folder with what the tests import, that any user may read."""
    folder = Path("/tmp") / f"perilune-public-{os.getpid()}"  # pytest's own folder is for this user alone
    folder.mkdir()
    folder.chmod(0o755)
    try:
        base = Path(sys.base_prefix)
        python = Path(sys._base_executable).resolve()
        if any(not place.stat().st_mode & 0o005 for place in python.parents):
            for name in ("bin", "lib"):
                shutil.copytree(base / name, folder / "python" / name, symlinks=True, ignore=_LEFT_OUT)
            python = folder / "python" / python.relative_to(base)
        modules = folder / "modules"
        shutil.copytree(Path(perilune.__file__).parent, modules / "perilune", ignore=_LEFT_OUT)
        for name in _PACKAGES:
            source = Path(pydantic.__file__).parent.parent / name
            if source.is_dir():
                shutil.copytree(source, modules / name, ignore=_LEFT_OUT)
            else:
                shutil.copy(source, modules / name)
        for source in Path(__file__).parent.glob("hostile_*.py"):
            shutil.copy(source, modules / source.name)
        yield python, modules
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def isolation() -> str | None:
    """Why programs cannot be isolated here, if so."""
    try:
        with Sandbox(workers=1):
            return None
    except SandboxUnavailable as error:
        return str(error)


@pytest.fixture(autouse=True)
def _needs_isolation(request: pytest.FixtureRequest) -> None:
    if request.path.name not in NEEDS_NONE:
        reason = request.getfixturevalue("isolation")
        if reason:
            pytest.skip(reason)
