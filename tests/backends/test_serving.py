"""``perilune serve``: what is run, and what is said where it cannot be."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from perilune.backends.serving import serve_command
from perilune.errors import BackendUnavailable, ModelError

HAS_VLLM = importlib.util.find_spec("vllm") is not None
START_SECONDS = 240


@pytest.fixture
def saved(make_llama: Callable[..., PreTrainedModel], tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> Path:
    """A model's folder as a run leaves it; with heads of 32, which vLLM's kernels for CPUs know."""
    folder = tmp_path / "models" / "final"
    make_llama(head_dim=32, max_position_embeddings=256).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def python_with_vllm(tmp_path: Path) -> str:
    """An interpreter as far as it is asked: it says that it finds the module."""
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_it_is_vllms_own_server_on_the_models_folder(saved: Path, python_with_vllm: str) -> None:
    server = [python_with_vllm, "-m", "vllm.entrypoints.openai.api_server", "--model", str(saved)]
    command = serve_command(str(saved), ["--port", "9000"], python_with_vllm)
    assert command == [*server, "--served-model-name", "final", "--port", "9000"]
    named = serve_command(str(saved), ["--served-model-name", "mine"], python_with_vllm)
    assert named == [*server, "--served-model-name", "mine"]


def test_a_model_that_is_not_there_is_named(tmp_path: Path, python_with_vllm: str) -> None:
    with pytest.raises(ModelError, match="holds no Hugging Face model"):
        serve_command(str(tmp_path), (), python_with_vllm)


def test_a_python_without_vllm_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"perilune serve needs vLLM.*make vllm"):
        serve_command("smollm2-135m-instruct", (), str(tmp_path / "python"))


@pytest.mark.skipif(HAS_VLLM, reason="says what happens without vLLM")
def test_without_vllm_it_is_said_how_to_get_it() -> None:
    with pytest.raises(BackendUnavailable, match=r"perilune serve needs vLLM.*make vllm"):
        serve_command("smollm2-135m-instruct")


@pytest.mark.vllm
@pytest.mark.skipif(not HAS_VLLM, reason="needs vLLM: make test-vllm")
@pytest.mark.timeout(START_SECONDS + 60)
def test_what_we_save_is_served_as_it_is(saved: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--enforce-eager", "--kv-cache-memory-bytes", "100000000"]
    command = [sys.executable, "-m", "perilune.cli", "serve", str(saved), "--", *arguments]
    environment = {**os.environ, "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}
    log = tmp_path / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
        try:
            question = {"model": "final", "messages": [{"role": "user", "content": "2+2?"}], "max_tokens": 4}
            answer = ask(f"http://127.0.0.1:{port}/v1/chat/completions", question, server, log)
        finally:
            os.killpg(server.pid, 9)
            server.wait()
    assert answer["choices"][0]["finish_reason"] in ("length", "stop")
    assert answer["usage"]["completion_tokens"] <= 4


def ask(url: str, body: object, server: subprocess.Popen[bytes], log: Path) -> dict[str, list[dict[str, str]]]:
    """The answer, once the server is up."""
    end = time.monotonic() + START_SECONDS
    while True:
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                found: dict[str, list[dict[str, str]]] = json.loads(reply.read())
                return found
        except OSError:
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(1)
