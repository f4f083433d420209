"""Devices and compute types, chosen by measuring."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

from perilune.errors import BackendUnavailable

BF16_GAIN = 1.3
"""bf16 must be so many times as fast as fp32 to be worth its rounding."""

_ROUNDS = 12
_CLEAR = 4.0
"""So many times as fast settles it after one round; where bf16 is emulated, all of them would take half a minute."""
_SECONDS = 0.01
"""How long each product is timed in a round, at least."""
_SHAPES = ((64, 576, 8192), (512, 1024, 1024))
"""Rows, inner size, columns: like the output layer while decoding a batch, and like a layer while training."""


def available_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """CPU cores that this process may use: by its affinity and its control group's quota, at least 1.

    Args:
        cgroup: folder of the process's own control group, as a container sees it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))


def pick_device(name: str) -> torch.device:
    """The device that a recipe names; auto is the first GPU, else the CPU.

    Raises:
        BackendUnavailable: the device is not here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise BackendUnavailable(f"{name!r} is no device that Perilune runs on; use auto, cpu, cuda or cuda:1")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        why = "this torch is built without CUDA" if torch.version.cuda is None else f"torch sees {count} CUDA devices"
        raise BackendUnavailable(f"device {name} is asked for, but {why}; use device = 'auto'")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The compute type that a recipe names.

    auto is bf16 on a GPU that has it, and on a CPU that multiplies it at least :data:`BF16_GAIN` times as fast as
    fp32; else fp32.

    Raises:
        BackendUnavailable: there is no such type.
    """
    named = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name in named:
        return named[name]
    if name != "auto":
        raise BackendUnavailable(f"{name!r} is no compute type of Perilune; use auto, {' or '.join(named)}")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    speed = measure_matmul(device)
    return torch.bfloat16 if speed["bfloat16"] >= BF16_GAIN * speed["float32"] else torch.float32


@cache
def measure_matmul(device: torch.device) -> dict[str, float]:
    """GFLOP/s by type, {"float32": …, "bfloat16": …}: the geometric mean over a decoding and a training shape.

    The types take turns, and the fastest product of each counts: what else the machine does then slows both. Takes
    about half a second, less where one type is far ahead; measured once per process and device.
    """
    best: dict[tuple[str, tuple[int, int, int]], float] = {}
    products = {
        (name, shape): _product(shape, dtype, device)
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
        for shape in _SHAPES
    }
    for product in products.values():
        product()  # Sets the library up; not counted.
    for _ in range(_ROUNDS):
        for key, product in products.items():
            best[key] = min(best.get(key, math.inf), _fastest(product))
        speed = {
            name: math.prod(2 * math.prod(shape) / best[name, shape] / 1e9 for shape in _SHAPES) ** (1 / len(_SHAPES))
            for name in ("float32", "bfloat16")
        }
        if max(speed.values()) > _CLEAR * min(speed.values()):
            break
    return speed


def _product(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> Callable[[], None]:
    rows, inner, columns = shape
    left = torch.ones(rows, inner, dtype=dtype, device=device)
    right = torch.ones(columns, inner, dtype=dtype, device=device)

    def multiply() -> None:
        torch.nn.functional.linear(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return multiply


def _fastest(product: Callable[[], None]) -> float:
    """Seconds of the fastest of several runs; the slower ones were disturbed."""
    best, end, runs = math.inf, time.perf_counter() + _SECONDS, 0
    while runs < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        product()
        best, runs = min(best, time.perf_counter() - start), runs + 1
    return best
