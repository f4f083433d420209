"""Devices and compute types, chosen by measuring."""

from __future__ import annotations

import math
import os
import time
from functools import cache
from pathlib import Path

import torch

from perilune.errors import BackendUnavailable

BF16_GAIN = 1.3
"""bf16 must be so many times as fast as fp32 to be worth its rounding."""

_SECONDS = 0.02
"""How long each product is timed, at least."""
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

    Takes about a tenth of a second; measured once per process and device.
    """
    speeds: dict[str, float] = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        product = 1.0
        for shape in _SHAPES:
            product *= _gflops(shape, dtype, device)
        speeds[name] = product ** (1 / len(_SHAPES))
    return speeds


def _gflops(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> float:
    """Of the fastest of several products: the slower ones were disturbed."""
    rows, inner, columns = shape
    left, right = (
        torch.ones(rows, inner, dtype=dtype, device=device),
        torch.ones(columns, inner, dtype=dtype, device=device),
    )
    best, end = float("inf"), time.perf_counter() + _SECONDS
    runs = 0
    # The first run sets the library up and is not counted.
    while runs < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        torch.nn.functional.linear(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if runs:
            best = min(best, time.perf_counter() - start)
        runs += 1
    return 2 * rows * inner * columns / best / 1e9
