"""What tests of several packages share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Started in the background SIGINT is ignored, under nohup SIGHUP, and all processes below would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

MOST_WORKERS = 4
"""More would each hold torch and a model."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For ``-n auto``: as many as there are cores."""
    return min(len(_cores()), MOST_WORKERS)


def pytest_configure(config: pytest.Config) -> None:
    """Each worker, and all processes that its tests start, has cores of its own.

    Two processes with two threads each on two cores lose nine tenths of their speed: the threads of one product wait
    for each other.
    """
    worker = getattr(config, "workerinput", None)
    cores = _cores()
    if worker is not None and len(cores) > 1:
        number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
        os.sched_setaffinity(0, cores[number % len(cores) :: count])


WHOLE_RUNS = ("tests/test_*.py", "tests/stages/*.py", "tests/rl/*.py", "tests/cli/*.py", "tests/sandbox/test_[ch]*.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long tests first: side by side, none of them is left alone at the end."""
    items.sort(key=lambda item: not any(item.path.match(pattern) for pattern in WHOLE_RUNS))


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def tiny_tokenizer() -> PreTrainedTokenizerBase:
    """A byte-level tokenizer without merges: any text round-trips, one token a byte; 259 tokens in all."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*specials, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHAT_TEMPLATE,
    )


@pytest.fixture(scope="session")
def make_llama() -> Callable[..., PreTrainedModel]:
    """Two-layer Llamas over the tiny tokenizer's vocabulary; always the same weights, fp32, sharp enough to differ.

    Keywords go into the config: vLLM's kernels for CPUs need ``head_dim=32``.
    """

    def made(**settings: int) -> PreTrainedModel:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(0)
        usual = {
            "vocab_size": 259,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "initializer_range": 0.15,
            "bos_token_id": None,
            "eos_token_id": 2,
            "pad_token_id": 0,
            "tie_word_embeddings": True,
        }
        return LlamaForCausalLM(LlamaConfig(**{**usual, **settings})).eval()

    return made


@pytest.fixture
def tiny_model(make_llama: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    """The smallest of them."""
    return make_llama()


REWARDS = """
import time
from perilune.types import Grade, Verdict

def lenient(problem, response, stop):
    right = sum(map(ord, response)) % 2 == 0
    return Grade(Verdict.RIGHT if right else Verdict.WRONG, float(right))

def sometimes_hanging(problem, response, stop):
    if sum(map(ord, response)) % 4 == 1:
        time.sleep(1000)
    return lenient(problem, response, stop)
"""


@pytest.fixture
def tiny_recipe(
    tmp_path: Path,
    tiny_model: PreTrainedModel,
    tiny_tokenizer: PreTrainedTokenizerBase,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A recipe file: a warm-up, and two iterations of eight responses in segments of 12 tokens."""
    (tmp_path / "stage_rewards.py").write_text(REWARDS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    from perilune.recipe.recipe import Recipe, recipe_toml

    source = {"kind": "generator", "generators": [{"name": "arithmetic"}], "count": 6}
    recipe = Recipe.model_validate(
        {
            "name": "tiny",
            "output": str(tmp_path / "runs"),
            "threads": 1,
            "model": {"name": str(tmp_path / "model")},
            "problems": {
                "train": {**source, "reward": "stage_rewards:lenient"},
                "heldout": {**source, "count": 2, "reward": "stage_rewards:lenient"},
            },
            "engine": {"dtype": "float32", "slots": 8},
            "trainer": {"dtype": "float32"},
            "sft": {"count": 8},
            "rl": {
                "iterations": 2,
                "problems_per_iteration": 2,
                "group_size": 4,
                "segment_tokens": 12,
                "max_response_tokens": 12,
            },
            "evaluation": {"max_response_tokens": 8, "base": False},
            "logging": {"tensorboard": False},
        }
    )
    path = tmp_path / "recipe.toml"
    path.write_text(recipe_toml(recipe), encoding="utf-8")
    return path
