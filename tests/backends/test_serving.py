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
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from perilune.backends.serving import serve_command
from perilune.errors import BackendUnavailable, ModelError

HAS_VLLM = importlib.util.find_spec("vllm") is not None
START_SECONDS = 240


def saved(folder: Path, tokenizer: PreTrainedTokenizerBase) -> Path:
    config = LlamaConfig(
        vocab_size=259,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=256,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def python_with_vllm(tmp_path: Path) -> str:
    """An interpreter as far as it is asked: it says that it finds the module."""
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_it_is_vllms_own_server_on_the_models_folder(
    tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerBase, python_with_vllm: str
) -> None:
    folder = saved(tmp_path / "models" / "final", tiny_tokenizer)
    server = [python_with_vllm, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command = serve_command(str(folder), ["--port", "9000"], python_with_vllm)
    assert command == [*server, "--served-model-name", "final", "--port", "9000"]
    named = serve_command(str(folder), ["--served-model-name", "mine"], python_with_vllm)
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
def test_what_we_save_is_served_as_it_is(tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    folder = saved(tmp_path / "final", tiny_tokenizer)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--enforce-eager", "--kv-cache-memory-bytes", "100000000"]
    command = [sys.executable, "-m", "perilune.cli", "serve", str(folder), "--", *arguments]
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
