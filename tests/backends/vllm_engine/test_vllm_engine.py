"""What only vLLM's engine does: it dies and comes back, and its cache is shared within a version alone."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from transformers import PreTrainedModel

from perilune.backends.engines.vllm.core import VllmCore
from perilune.backends.engines.vllm.engine import VllmEngine
from perilune.backends.engines.vllm.options import VllmOptions
from perilune.backends.engines.vllm.process import VllmProcess
from perilune.backends.models import weights_of
from perilune.backends.weights.transfer import InProcessTransfer, SharedMemoryTransfer
from perilune.errors import EngineError
from perilune.types import Request, Stop

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="needs vLLM: make test-vllm"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def process(options: VllmOptions, tmp_path: Path) -> Iterator[VllmProcess]:
    found = VllmProcess(options, log=tmp_path / "engine.log")
    yield found
    found.end()


def requests(count: int, length: int = 5, limit: int = 120) -> list[Request]:
    prompts = [tuple((7 * n + 3 * place) % 250 + 3 for place in range(length)) for n in range(count)]
    return [Request(str(n), prompt, (), limit, limit, seed=n) for n, prompt in enumerate(prompts)]


def own_logprobs(model: PreTrainedModel, prompt: tuple[int, ...], response: tuple[int, ...]) -> list[float]:
    tokens = torch.tensor([[*prompt, *response]])
    with torch.inference_mode():
        logprobs = model(tokens).logits[0].float().log_softmax(-1)
    places = range(len(prompt) - 1, tokens.shape[1] - 1)
    return [float(logprobs[place, token]) for place, token in zip(places, response, strict=True)]


@pytest.mark.timeout(600)
def test_killed_ten_times_it_loses_no_token(served_model: PreTrainedModel, process: VllmProcess) -> None:
    deaths: list[str] = []
    engine = VllmEngine(process, SharedMemoryTransfer(torch.float32), on_death=deaths.append)
    engine.load_weights(weights_of(served_model), 7)
    asked = {request.id: request for request in requests(6, limit=400)}
    received: dict[str, list[int]] = {name: [] for name in asked}
    inner = process.generate
    steps = 0

    def watched(rest):  # type: ignore[no-untyped-def]
        """What each process is asked, and what arrives of it; it is killed in its fourth step."""
        nonlocal steps
        for request in rest:
            # It goes on exactly behind what has arrived before.
            assert list(request.response_tokens) == received[request.id]
        for count, progress in enumerate(inner(rest)):
            for one in progress:
                received[one.request_id] += one.tokens
            steps += 1
            if count == 3 and len(deaths) < 10:
                assert process.pid is not None
                os.kill(process.pid, signal.SIGKILL)
            yield progress

    process.generate = watched  # type: ignore[method-assign]
    completions = {c.request_id: c.segment for c in engine.generate(list(asked.values()))}
    assert len(deaths) == 10
    assert all("SIGKILL" in why for why in deaths)
    for name, segment in completions.items():
        assert list(segment.tokens) == received[name]
        assert (len(segment.tokens), segment.stop, segment.version) == (400, Stop.LIMIT, 7)
        expected = own_logprobs(served_model, asked[name].prompt_tokens, segment.tokens)
        assert segment.logprobs == pytest.approx(expected, abs=1e-3)
    pid = process.pid
    engine.end()
    assert pid is not None and not psutil.pid_exists(pid)


def test_what_dies_without_a_token_ends_the_rollout(served_model: PreTrainedModel, process: VllmProcess) -> None:
    engine = VllmEngine(process, SharedMemoryTransfer(torch.float32), deaths=2)
    engine.load_weights(weights_of(served_model), 0)
    inner = process.start

    def start_and_die() -> None:
        inner()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)

    process.start = start_and_die  # type: ignore[method-assign]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"died 2 times in a row without a token.*SIGKILL"):
        list(engine.generate(requests(2)))


def test_a_child_does_not_outlive_its_parent(
    served_model: PreTrainedModel, options: VllmOptions, tmp_path: Path
) -> None:
    program = (
        "import json, sys, time\n"
        "from pathlib import Path\n"
        "from perilune.backends.engines.vllm.options import VllmOptions\n"
        "from perilune.backends.engines.vllm.process import VllmProcess\n"
        "process = VllmProcess(VllmOptions.from_json(json.loads(sys.argv[1])), log=Path(sys.argv[2]))\n"
        "process.start()\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, json.dumps(options.to_json()), str(tmp_path / "engine.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_groups_prompt_is_computed_once_and_never_by_older_weights(
    served_model: PreTrainedModel, options: VllmOptions
) -> None:
    core = VllmCore(options)
    engine = VllmEngine(core, InProcessTransfer())
    # Blocks on a CPU hold 128 tokens; the last token of a prompt is always computed.
    prompt = tuple(place % 200 + 3 for place in range(300))
    group = [Request(str(n), prompt, (), 4, 4, seed=n) for n in range(3)]
    engine.load_weights(weights_of(served_model), 0)
    list(engine.generate(group[:1]))
    assert core.reused_tokens == 0
    list(engine.generate(group))
    assert core.reused_tokens == 3 * 256
    engine.load_weights(weights_of(served_model), 1)
    list(engine.generate(group[:1]))
    assert core.reused_tokens == 3 * 256
    engine.end()
