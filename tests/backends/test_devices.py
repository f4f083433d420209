from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from perilune.backends.devices import BF16_GAIN, available_cores, measure_matmul, pick_device, pick_dtype
from perilune.errors import BackendUnavailable

CPU = torch.device("cpu")


def test_auto_is_a_gpu_where_there_is_one() -> None:
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu") == CPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_cuda_is_refused_where_there_is_none(name: str) -> None:
    with pytest.raises(BackendUnavailable, match=rf"device {name} is asked for, but .* use device = 'auto'"):
        pick_device(name)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(BackendUnavailable, match="cuda:99 is asked for"):
        pick_device("cuda:99")


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:x", ""])
def test_other_devices_are_refused(name: str) -> None:
    with pytest.raises(BackendUnavailable, match="use auto, cpu, cuda or cuda:1"):
        pick_device(name)


def test_a_named_type_is_taken_as_it_is() -> None:
    assert pick_dtype("float32", CPU) is torch.float32
    assert pick_dtype("bfloat16", CPU) is torch.bfloat16
    with pytest.raises(BackendUnavailable, match="'float16' is no compute type"):
        pick_dtype("float16", CPU)


def test_auto_takes_bf16_only_where_it_is_clearly_faster() -> None:
    speed = measure_matmul(CPU)
    assert set(speed) == {"float32", "bfloat16"}
    assert all(0.01 < value < 1e6 for value in speed.values()), "GFLOP/s of one CPU"
    faster = speed["bfloat16"] >= BF16_GAIN * speed["float32"]
    assert pick_dtype("auto", CPU) is (torch.bfloat16 if faster else torch.float32)


def test_it_is_measured_once() -> None:
    assert measure_matmul(CPU) is measure_matmul(CPU)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinity")
def test_cores_are_bounded_by_affinity_and_by_the_control_group(tmp_path: Path) -> None:
    affinity = len(os.sched_getaffinity(0))
    assert available_cores(tmp_path) == affinity, "there is no quota"
    quota = tmp_path / "cpu.max"
    for text, cores in (
        ("max 100000", affinity),
        ("50000 100000", 1),
        ("100000 100000", 1),
        ("9900000 100000", affinity),
    ):
        quota.write_text(text + "\n")
        assert available_cores(tmp_path) == cores
    if affinity > 1:
        quota.write_text("150000 100000\n")
        assert available_cores(tmp_path) == 2
