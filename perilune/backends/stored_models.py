"""Models as they lie in folders: what can be known of them, and of two together, without loading their weights."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

from perilune.backends.models import resolve_model
from perilune.backends.weight_files import FLOATS, INDEX, StoredTensor, WeightFile, weight_files
from perilune.errors import ModelError

COPIED = (
    "config.json",
    "generation_config.json",
    "*token*",
    "vocab.*",
    "merges.txt",
    "*.model",
    "chat_template*",
    "additional_chat_templates/*",
    "*processor_config.json",
    "LICENSE*",
    "NOTICE*",
)
"""What belongs to a model beside its weights and its card."""
CARD = "README.md"
_NAMED = 3
"""So many tensors are named in a message."""


@dataclass(frozen=True)
class StoredModel:
    """A model in a folder."""

    name: str
    """As the user gave it."""
    folder: Path
    config: Mapping[str, Any]
    files: tuple[WeightFile, ...]

    @cached_property
    def tensors(self) -> dict[str, StoredTensor]:
        """Every tensor by its name."""
        return {name: tensor for file in self.files for name, tensor in file.tensors.items()}


def stored_model(name: str) -> StoredModel:
    """The model of that name, its files checked as far as their headers tell; a hub id is downloaded.

    Raises:
        ModelError: there is no such model, or it is not whole.
    """
    folder = Path(resolve_model(name))
    if not folder.is_dir():
        folder = _download(name)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it holds no table")
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read the config.json of {name}: {error}") from error
    return StoredModel(name, folder, config, weight_files(folder))


def check_alike(first: StoredModel, other: StoredModel, *, types: bool = True) -> None:
    """Whether two models can be merged weight by weight.

    Args:
        first: what the other is held against.
        other: the other one.
        types: their numbers must be of the same types too, not only such as can be averaged.

    Raises:
        ModelError: they are of different architectures or vocabularies, or their tensors differ in name, shape or type.
    """
    difference = _of_configs(first, other) or _of_vocabularies(first, other) or _of_tensors(first, other, types)
    if difference:
        raise ModelError(f"cannot merge {first.name} with {other.name}: {difference}")


def _download(name: str) -> Path:
    patterns = ["model*.safetensors", INDEX, CARD, *COPIED]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise ModelError(f"cannot download the model {name}: {reason}") from error


def _of_configs(first: StoredModel, other: StoredModel) -> str | None:
    for key in ("model_type", "architectures"):
        if first.config.get(key) != other.config.get(key):
            return (
                f"their architectures differ ({key} {first.config.get(key)!r} and {other.config.get(key)!r}); "
                "take models that were trained from the same base"
            )
    key = "tie_word_embeddings"
    ties = first.config.get(key), other.config.get(key)
    if None not in ties and ties[0] != ties[1]:
        return (
            f"one ties its input and output embeddings and the other does not ({key} {ties[0]} and {ties[1]}); "
            "take models that were trained from the same base"
        )
    sizes = first.config.get("vocab_size"), other.config.get("vocab_size")
    if sizes[0] != sizes[1]:
        return f"their vocabularies differ (vocab_size {sizes[0]} and {sizes[1]}); take models of one tokenizer"
    return None


def _of_vocabularies(first: StoredModel, other: StoredModel) -> str | None:
    paths = first.folder / "tokenizer.json", other.folder / "tokenizer.json"
    if not all(path.exists() for path in paths) or filecmp.cmp(*paths, shallow=False):
        return None
    mine, theirs = (_vocabulary(path) for path in paths)
    odd = sorted(token for token in {*mine, *theirs} if mine.get(token) != theirs.get(token))
    if not odd:
        return None
    token = odd[0]
    return (
        f"their vocabularies differ in {len(odd)} token(s), e.g. {token!r} is {mine.get(token, 'missing')} in the "
        f"first and {theirs.get(token, 'missing')} in the other; take models of one tokenizer"
    )


def _vocabulary(path: Path) -> dict[str, int]:
    """Token → id, of a tokenizer.json of any kind."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        pieces = found["model"]["vocab"]
        vocabulary = dict(pieces) if isinstance(pieces, dict) else {piece[0]: n for n, piece in enumerate(pieces)}
        return vocabulary | {token["content"]: token["id"] for token in found.get("added_tokens") or ()}
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelError(f"cannot read the vocabulary in {path} ({type(error).__name__}: {error})") from error


def _of_tensors(first: StoredModel, other: StoredModel, types: bool) -> str | None:
    for has, lacks in ((first, other), (other, first)):
        if missing := sorted(set(has.tensors) - set(lacks.tensors)):
            return (
                f"{lacks.name} lacks {len(missing)} tensor(s) that {has.name} has: {_some(missing)}; take models that "
                "were trained from the same base and are saved whole"
            )
    pairs = [(name, tensor, other.tensors[name]) for name, tensor in first.tensors.items()]
    shapes = [f"{name} {list(a.shape)} and {list(b.shape)}" for name, a, b in pairs if a.shape != b.shape]
    if shapes:
        return f"the shapes of {len(shapes)} tensor(s) differ: {_some(shapes)}; take models of one size"
    kinds = [
        f"{name} {a.dtype} and {b.dtype}"
        for name, a, b in pairs
        if a.dtype != b.dtype and (types or not {a.dtype, b.dtype} <= set(FLOATS))
    ]
    if kinds:
        return f"the types of {len(kinds)} tensor(s) differ: {_some(kinds)}; save one model again in the other's dtype"
    return None


def _some(items: Iterable[str]) -> str:
    known = list(items)
    return ", ".join(known[:_NAMED]) + (" …" if len(known) > _NAMED else "")
