"""What tests of the stages share: a recipe file for whole runs on the tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perilune.config import Recipe, recipe_toml

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

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
