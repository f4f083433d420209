"""The engine's process as seen from outside: what is said when it cannot start, dies, or is silent."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path

import pytest

from perilune.backends.engines.vllm.host import EngineDied, Progress
from perilune.backends.engines.vllm.messages import pack_progress, pack_request, unpack_progress, unpack_request
from perilune.backends.engines.vllm.options import VllmOptions
from perilune.backends.engines.vllm.process import VllmProcess
from perilune.errors import BackendUnavailable, EngineError
from perilune.types import Request, Stop

OPTIONS = VllmOptions("none", "float32", "cpu", 4, (2,), (8, 4, 16), 0.25, 0.85, None, 1, False, False, 1)
REQUEST = Request("a/0", (5, 6), (7,), 8, 16, seed=(1 << 64) - 1, temperature=0.7, top_p=0.9)


def python_that(body: str, folder: Path) -> str:
    """An executable that is called like Python and does something else."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(body)}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_messages_arrive_as_they_were_sent() -> None:
    assert unpack_request(pack_request(REQUEST)) == REQUEST
    for stop in (None, Stop.CUT):
        progress = Progress("a/0", (3, 4), (-0.1234567890123, (-1e-30)), stop)
        assert unpack_progress(pack_progress(progress)) == progress
    assert VllmOptions.from_json(OPTIONS.to_json()) == OPTIONS


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="says what happens without vLLM")
def test_without_vllm_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    process = VllmProcess(OPTIONS, log=tmp_path / "engine.log")
    try:
        with pytest.raises(BackendUnavailable, match=r"needs vLLM, which is not installed for .*make vllm"):
            process.start()
    finally:
        process.end()
    assert not process.running


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    process = VllmProcess(OPTIONS, log=tmp_path / "engine.log", python="/nowhere/python")
    with pytest.raises(BackendUnavailable, match=r"engine.vllm.python = '/nowhere/python' cannot be started"):
        process.start()
    assert not process.running


def test_a_death_is_told_with_its_last_words(tmp_path: Path) -> None:
    python = python_that("import sys; print('out of luck', file=sys.stderr); sys.exit(3)", tmp_path)
    process = VllmProcess(OPTIONS, log=tmp_path / "engine.log", python=python)
    with pytest.raises(EngineDied, match=r"it ended with status 3.(.|\n)*out of luck"):
        process.start()
    assert not process.running
    with pytest.raises(EngineDied, match="not started"):
        next(process.generate([REQUEST]))


def test_a_process_that_is_killed_is_told_by_its_signal(tmp_path: Path) -> None:
    python = python_that("import os; os.kill(os.getpid(), 9)", tmp_path)
    process = VllmProcess(OPTIONS, log=tmp_path / "engine.log", python=python)
    with pytest.raises(EngineDied, match="SIGKILL, perhaps because memory was short"):
        process.start()


def test_a_silent_process_is_ended(tmp_path: Path) -> None:
    python = python_that("import time; time.sleep(600)", tmp_path)
    process = VllmProcess(OPTIONS, log=tmp_path / "engine.log", python=python, start_seconds=1.0)
    with pytest.raises(EngineDied, match="silent for 1 s"):
        process.start()
    assert not process.running


def test_ending_what_is_not_started_is_nothing(tmp_path: Path) -> None:
    process = VllmProcess(OPTIONS, log=tmp_path / "engine.log")
    process.end()
    with pytest.raises(EngineError):
        process.sleep()
