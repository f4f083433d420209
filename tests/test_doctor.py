from __future__ import annotations

import io
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from rich.console import Console

from perilune.doctor import Backend, Fact, Report, examine, memory_bytes, show
from perilune.errors import SandboxUnavailable
from perilune.sandbox.sandbox import Sandbox


def shown(report: Report, width: int = 60) -> str:
    stream = io.StringIO()
    show(report, Console(file=stream, width=width))
    return stream.getvalue()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return examine(tmp_path_factory.mktemp("runs") / "not" / "made" / "yet")


def test_it_names_the_machine(report: Report) -> None:
    facts = {fact.name: fact.value for fact in report.facts}
    assert platform.python_version() in facts["Python"]
    assert torch.__version__ in facts["torch"]
    assert "core(s) for this process" in facts["processor"]
    assert "GFLOP/s" in facts["cpu"]
    assert " GB free" in facts["runs folder"]


def test_the_cpu_backends_run_and_cuda_is_told_by_torch(report: Report) -> None:
    backends = {backend.choice: backend for backend in report.backends}
    assert backends["engine local on cpu"].available
    assert backends["trainer torch on cpu"].available
    assert backends["engine local on cuda"].available == torch.cuda.is_available()
    assert backends["reward math"].available


def test_the_ways_to_isolate_programs_are_tried(report: Report) -> None:
    backends = {backend.choice: backend for backend in report.backends}
    found = [backends[f"reward code, isolated by {mode}"] for mode in ("namespaces", "landlock")]
    try:
        with Sandbox(workers=1) as sandbox:
            assert backends[f"reward code, isolated by {sandbox.mode}"].available
    except SandboxUnavailable:
        assert not any(backend.available for backend in found)


def test_what_is_missing_comes_with_what_mends_it(report: Report) -> None:
    for backend in report.backends:
        assert backend.available or backend.mend, backend.choice


def test_a_missing_extra_names_its_command() -> None:
    program = (
        "import sys; sys.modules['wandb'] = None\n"
        "from perilune.doctor import examine\n"
        "print([b.mend for b in examine().backends if b.choice == 'logging wandb'][0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("-m pip install 'perilune[wandb]'")


def test_examining_makes_no_folders(tmp_path: Path) -> None:
    examine(tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_a_command_stays_on_one_line_however_narrow_the_terminal() -> None:
    command = "/a/rather/long/path/to/an/interpreter/bin/python -m pip install 'perilune[reasoning-gym]'"
    text = shown(Report((Fact("torch", "[2.13]"),), (Backend("reward x", "a package is missing", command),), ()))
    assert f"mend it with: {command}\n" in text
    assert "no   reward x: a package is missing" in text
    assert "[2.13]" in text, "brackets are no markup"


def test_obstacles_decide_the_exit_code_and_are_shown() -> None:
    fine, blocked = Report((), (), ()), Report((), (), ("it needs 5 GB of memory, and 1.0 GB are free",))
    assert fine.exit_code == 0
    assert "The quickstart can run here" in shown(fine)
    assert blocked.exit_code == 1
    assert "The quickstart cannot run here: it needs 5 GB of memory" in shown(blocked)
    assert "can run here" not in shown(blocked)


def test_memory_is_bounded_by_the_control_group(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 200000\n")
    assert memory_bytes(tmp_path) == (1_000_000, 500_000)


def test_memory_without_a_control_group_is_the_machines(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    total, free = memory_bytes(tmp_path)
    assert total == psutil.virtual_memory().total
    assert 0 < free <= total
