"""A tiny model that vLLM serves on a CPU, and what it is started with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from perilune.backends.engines.vllm.options import VllmOptions


@pytest.fixture
def served_model(make_llama: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    """The tiny model with heads of 32: vLLM's kernels for CPUs know none smaller."""
    return make_llama(head_dim=32)


@pytest.fixture
def options(served_model: PreTrainedModel, tmp_path: Path) -> VllmOptions:
    folder = tmp_path / "served"
    served_model.save_pretrained(folder)
    return VllmOptions(
        model=str(folder),
        dtype="float32",
        device="cpu",
        slots=8,
        # One that the model does not have: every response goes on to its limit.
        end_tokens=(10_000,),
        repetition=(8, 40, 400),
        cache_gb=0.25,
        memory_share=0.85,
        max_model_tokens=None,
        tensor_parallel=1,
        compiled=False,
        sleep=False,
        threads=1,
    )
