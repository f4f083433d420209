"""Many judgements in a row, from many threads: the benchmark's soak, as a test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "sandbox.py"


@pytest.mark.long
@pytest.mark.parametrize("mode", ["namespaces", "landlock"])
def test_two_thousand_judgements_from_eight_threads_leave_nothing(mode: str) -> None:
    """A tenth of them hostile: all verdicts right, no process, descriptor or file left, memory flat."""
    command = [sys.executable, str(SCRIPT), "--soak", "--mode", mode, "--judgements", "2000", "--threads", "8"]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if "SandboxUnavailable" in ended.stderr:
        pytest.skip(ended.stderr.rpartition("SandboxUnavailable")[2])
    assert ended.returncode == 0, ended.stdout[-1000:] + ended.stderr[-2000:]
    assert "2000 judgements from 8 threads: all verdicts right, nothing left, no worker lost" in ended.stdout
