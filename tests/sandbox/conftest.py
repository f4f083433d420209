"""Tests of the sandbox need a machine that can isolate; elsewhere they are skipped, and say why."""

from __future__ import annotations

import pytest

from perilune.errors import SandboxUnavailable
from perilune.sandbox.sandbox import Sandbox

NEEDS_NONE = {"test_checkers.py", "test_extraction.py", "test_tasks.py", "test_consensus.py", "test_client.py"}


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
