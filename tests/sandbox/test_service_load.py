"""The load generator of the benchmarks, for a few seconds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "service_load.py"


@pytest.mark.long
def test_five_hundred_requests_at_once_meet_nothing_but_429_while_workers_are_killed() -> None:
    command = [sys.executable, str(SCRIPT), "--concurrent", "500", "--seconds", "8", "--kill-every", "2"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert "500 requests open at once" in ended.stdout
    assert "errors other than 429: 0; health afterwards: 200" in ended.stdout
    killed = re.search(r"(\d+) workers killed", ended.stdout)
    assert killed is not None
    assert int(killed[1]) >= 2
