"""Which backend stands behind a seam, and what is refused before anything is loaded."""

from __future__ import annotations

import pytest
import torch

from perilune.build import check_engine
from perilune.errors import BackendUnavailable, RecipeError
from perilune.recipe.engine import EngineConfig

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def engine(**settings: object) -> EngineConfig:
    return EngineConfig.model_validate({"backend": "vllm", "vllm": settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"process": False}, "cannot be ended .* set engine.vllm.after_rollout to keep or sleep"),
        ({"process": False, "after_rollout": "keep", "tensor_parallel": 2}, "tensor_parallel to 1"),
        ({"process": False, "after_rollout": "keep", "python": "x/python"}, "engine.vllm.process must be true"),
        ({"transfer": "checkpoint_engine", "tensor_parallel": 2}, "on the first GPU alone"),
        ({"transfer": "in_process"}, r"'in_process' does not go with engine.vllm.process = true"),
        ({"process": False, "after_rollout": "keep", "transfer": "shared_memory"}, "'shared_memory' does not go with"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check_engine(engine(**settings), GPU)


def test_a_certain_gpu_is_for_one_process_alone() -> None:
    second = torch.device("cuda:1")
    check_engine(engine(), second)
    with pytest.raises(RecipeError, match="needs vLLM in a process of its own"):
        check_engine(engine(process=False, after_rollout="keep"), second)
    with pytest.raises(RecipeError, match=r"is one GPU, but engine\.vllm\.tensor_parallel is 2"):
        check_engine(engine(tensor_parallel=2), second)
    for device in (second, CPU):
        with pytest.raises(RecipeError, match="on the first GPU alone"):
            check_engine(engine(transfer="checkpoint_engine"), device)


def test_a_cpu_has_no_sleep() -> None:
    with pytest.raises(BackendUnavailable, match=r"'sleep' needs a CUDA device.*use end or keep"):
        check_engine(engine(after_rollout="sleep"), CPU)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"after_rollout": "keep"},
        {"process": False, "after_rollout": "keep"},
        {"process": False, "after_rollout": "keep", "transfer": "in_process"},
        {"transfer": "checkpoint_engine"},
        {"transfer": "shared_memory", "tensor_parallel": 4},
    ],
)
def test_what_goes_together_is_taken(settings: dict[str, object]) -> None:
    check_engine(engine(**settings), GPU)
    # The local engine does not look at the table.
    check_engine(EngineConfig.model_validate({"backend": "local", "vllm": {"process": False}}), CPU)


def test_int8_is_for_the_local_engine_on_a_cpu() -> None:
    check_engine(EngineConfig(dtype="int8"), CPU)
    for config, device in ((EngineConfig(dtype="int8"), GPU), (EngineConfig(dtype="int8", backend="vllm"), CPU)):
        with pytest.raises(RecipeError, match="is for the local engine on a CPU"):
            check_engine(config, device)
