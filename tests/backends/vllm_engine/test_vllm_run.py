"""A whole run with vLLM in a process of its own, which is killed ten times in its rollouts."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from perilune.backends.engines.vllm.host import Progress
from perilune.backends.engines.vllm.process import VllmProcess
from perilune.build import build_backends
from perilune.recipe.recipe import Recipe
from perilune.run.buffer import ReplayBuffer
from perilune.run.metrics import read_metrics
from perilune.stages.pipeline import run_pipeline
from perilune.types import Request, Segment, Stop

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="needs vLLM: make test-vllm"),
    pytest.mark.filterwarnings("ignore"),
]
KILLS = 10
REWARDS = """
from perilune.types import Grade, Verdict

def lenient(problem, response, stop):
    right = sum(map(ord, response)) % 2 == 0
    return Grade(Verdict.RIGHT if right else Verdict.WRONG, float(right))
"""


@pytest.fixture
def recipe(
    tmp_path: Path,
    served_model: PreTrainedModel,
    tiny_tokenizer: PreTrainedTokenizerBase,
    monkeypatch: pytest.MonkeyPatch,
) -> Recipe:
    """Four iterations of partial rollouts: responses of 48 tokens in segments of 16."""
    (tmp_path / "vllm_rewards.py").write_text(REWARDS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    served_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    source = {"kind": "generator", "generators": [{"name": "arithmetic"}], "count": 8}
    return Recipe.model_validate(
        {
            "name": "tiny",
            "output": str(tmp_path / "runs"),
            "threads": 1,
            "stages": ("rl",),
            "model": {"name": str(tmp_path / "model")},
            "problems": {
                "train": {**source, "reward": "vllm_rewards:lenient"},
                "heldout": {**source, "count": 2, "reward": "vllm_rewards:lenient"},
            },
            "engine": {"backend": "vllm", "dtype": "float32", "slots": 8, "vllm": {"cache_gb": 0.25}},
            "trainer": {"dtype": "float32"},
            "rl": {
                "iterations": 4,
                "problems_per_iteration": 2,
                "group_size": 4,
                "segment_tokens": 16,
                "max_response_tokens": 48,
            },
            "evaluation": {"max_response_tokens": 8, "base": False},
            "logging": {"tensorboard": False},
        }
    )


@pytest.mark.timeout(900)
def test_killed_in_its_rollouts_a_run_ends_with_every_token(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    received: dict[str, list[int]] = defaultdict(list)
    kills = 0
    inner = VllmProcess.generate

    def killing(self: VllmProcess, requests: Sequence[Request]) -> Iterator[list[Progress]]:
        nonlocal kills
        for request in requests:
            assert list(request.response_tokens) == received[request.id]
        for step, progress in enumerate(inner(self, requests)):
            for one in progress:
                received[one.request_id] += one.tokens
            # Trajectories are called GROUP/NUMBER; an evaluation's requests are not.
            if step == 2 and kills < KILLS and "/" in requests[0].id:
                kills += 1
                assert self.pid is not None
                os.kill(self.pid, signal.SIGKILL)
            yield progress

    kept: dict[str, list[Segment]] = defaultdict(list)
    append = ReplayBuffer.append

    def keeping(self: ReplayBuffer, trajectory_id: str, segment: Segment, iteration: int) -> None:
        append(self, trajectory_id, segment, iteration)
        kept[trajectory_id].append(segment)

    monkeypatch.setattr(VllmProcess, "generate", killing)
    monkeypatch.setattr(ReplayBuffer, "append", keeping)
    folder = run_pipeline(recipe, build_backends, quiet=True)
    assert kills == KILLS
    assert not psutil.Process().children(recursive=True)

    assert kept
    for name, segments in kept.items():
        assert [token for segment in segments for token in segment.tokens] == received[name]
        for segment in segments:
            assert len(segment.tokens) == len(segment.logprobs)
            # Cut at the budget exactly, or finished.
            assert (len(segment.tokens) == 16) if segment.stop is Stop.CUT else segment.stop.terminal

    iterations = [event for event in read_metrics(folder) if event["event"] == "iteration"]
    assert len(iterations) == 4
    for event in iterations:
        # An iteration in which no group became complete trains nothing, so it compares nothing.
        assert (event.get("mismatch_max") or 0.0) < 1e-3
        assert {"seconds_offload", "seconds_engine_start", "seconds_transfer", "seconds_engine_stop"} <= event.keys()
        assert event["memory_gb_rollout"] > event["memory_gb_onload"] > 0
    assert any(event.get("mismatch_max") is not None for event in iterations)
    assert any(event.get("versions_2") or event.get("versions_3_or_more") for event in iterations)
