"""Devices and compute types, chosen by measuring."""

from __future__ import annotations

import time
from functools import cache

import torch

from perilune.errors import BackendUnavailable

_FASTER = 1.3
"""bf16 must be so many times as fast as fp32 to be worth its rounding."""


def pick_device(name: str) -> torch.device:
    """The device that a recipe names; auto is the first GPU, else the CPU.

    Raises:
        BackendUnavailable: the device is not here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BackendUnavailable(f"{name!r} is no device; use auto, cpu, cuda or cuda:1") from error
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise BackendUnavailable(f"{name} is asked for, but torch sees {count} CUDA device(s); use device = 'auto'")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The compute type that a recipe names; auto takes bf16 where this processor multiplies it clearly faster."""
    if name != "auto":
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    speed = measure_matmul(device)
    return torch.bfloat16 if speed["bfloat16"] > _FASTER * speed["float32"] else torch.float32


@cache
def measure_matmul(device: torch.device) -> dict[str, float]:
    """GFLOP/s of a training-sized matrix product (512 × 1024 × 2048) by type, the best of a few."""
    speeds: dict[str, float] = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        left = torch.randn(512, 1024, device=device).to(dtype)
        right = torch.randn(1024, 2048, device=device).to(dtype)
        best = float("inf")
        for _ in range(6):
            start = time.perf_counter()
            torch.mm(left, right)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best = min(best, time.perf_counter() - start)
        speeds[name] = 2 * 512 * 1024 * 2048 / best / 1e9
    return speeds
