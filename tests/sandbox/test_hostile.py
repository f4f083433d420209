"""Hostile programs in both modes, as root and as an ordinary user: see ``hostile_programs.py`` and ``hostile_run.py``.

Root runs the tests in a container; there both users are tried. Anybody else runs them as what they are.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hostile_programs import ALL

NOBODY = 65534
MODES = ["namespaces", "landlock"]
USERS = ["root", "user"]
Reports = Callable[[str, str], dict[str, list[str]]]


@pytest.fixture(scope="session")
def reports(public_python: tuple[Path, Path]) -> Iterator[Reports]:
    """Every program's faults, by user and mode; all four at once, since most of the time is waiting."""
    users = USERS if os.geteuid() == 0 else ["user"]
    pairs = [(user, mode) for user in users for mode in MODES]
    with ThreadPoolExecutor(len(pairs)) as threads:
        runs = {pair: threads.submit(_run, *pair, public_python) for pair in pairs}
        yield lambda user, mode: runs[user, mode].result()


def _run(user: str, mode: str, public: tuple[Path, Path]) -> dict[str, list[str]]:
    python, modules = public
    own = modules.parent / f"tmp-{user}-{mode}"
    own.mkdir()
    other: dict[str, Any] = {}
    if user == "user" and os.geteuid() == 0:
        other = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        os.chown(own, NOBODY, NOBODY)
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(own), "HOME": str(own), "PYTHONPATH": str(modules)}
    command = [str(python), "-B", "-W", "error", str(modules / "hostile_run.py"), mode]
    ended = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False, **other)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, (ended.stderr[-2000:], lines[-1:])
    assert ended.stderr == ""
    return {line["name"]: line["faults"] for line in lines}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_left_and_every_program_was_run(reports: Reports, user: str, mode: str) -> None:
    if user == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    found = reports(user, mode)
    assert found[""] == []
    assert len(found) > 60


@pytest.mark.timeout(600)
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [hostile.name for hostile in ALL])
def test_a_hostile_program_has_no_success(reports: Reports, user: str, mode: str, name: str) -> None:
    if user == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    found = reports(user, mode)
    if name not in found:
        pytest.skip("knows no machine but x86_64")
    assert found[name] == []
