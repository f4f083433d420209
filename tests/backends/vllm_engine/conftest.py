"""A tiny model that vLLM serves on a CPU, and what it is started with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from perilune.backends.engines.vllm.options import VllmOptions

LONGEST = 512


@pytest.fixture
def served_model() -> PreTrainedModel:
    """Heads of 32: vLLM's kernels for CPUs know none smaller; over the tiny tokenizer's vocabulary."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=259,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=LONGEST,
        initializer_range=0.15,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


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
