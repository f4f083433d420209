"""Merging models on disk, a piece of a tensor at a time: memory does not grow with the models (k1.5, section 2.4).

The merge keeps the first model's file layout, types, config, tokenizer and chat template. Each file's head is copied as
it stands; after it come the merged bytes of its tensors, in their order.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from perilune.algorithm.merging import check_weights, weighted_average
from perilune.backends.merge_card import merge_card
from perilune.backends.mergekit_rules import NEEDS_BASE, Rule, mergekit_rule
from perilune.backends.stored_models import CARD, COPIED, StoredModel, check_alike, stored_model
from perilune.backends.weight_files import FLOATS, INDEX, SINGLE, OpenFiles, StoredTensor, WeightFile
from perilune.errors import ModelError
from perilune.recipe.long2short import MergeConfig, MergeMethod
from perilune.run.folders import write_folder

_PIECE = 1 << 20
"""Bytes of each model that are in memory at once; a multiple of every type's size."""
_FEWEST = 2
"""Models in a merge."""


@dataclass(frozen=True, slots=True)
class MergePlan:
    """How models are merged."""

    weights: tuple[float, ...]
    """One per model; only their ratios count."""
    method: MergeMethod = "linear"
    density: float = 0.5
    """ties and dare: share of each model's changes to the base that is kept."""
    base: str | None = None
    """ties and dare: the model that the others were trained from."""


def merge_models(
    models: Sequence[str],
    target: Path,
    *,
    config: MergeConfig,
    base: str | None,
    progress: Callable[[int, int], None],
    overwrite: bool = False,
) -> None:
    """Write the merge of the long and the short model, as ``[long2short.merge]`` says; see :func:`write_merge`.

    Args:
        models: the long one first.
        target: the merged model's folder.
        config: method and weights.
        base: the model that both were trained from; for the methods that need it.
        progress: called with (tensors done, tensors in all).
        overwrite: replace a model that is there.

    Raises:
        ModelError: the models cannot be merged, or the target cannot be written.
        BackendUnavailable: the method needs mergekit, which is not installed.
    """
    weights = (config.long_weight, 1 - config.long_weight)
    plan = MergePlan(weights, config.method, config.density, base if config.method in NEEDS_BASE else None)
    write_merge(models, target, plan, progress, overwrite=overwrite)


def write_merge(
    models: Sequence[str],
    target: Path,
    plan: MergePlan,
    progress: Callable[[int, int], None],
    *,
    overwrite: bool = False,
) -> None:
    """Write the merge of two or more models as a Hugging Face model.

    Everything that headers, configs and tokenizers tell is checked before anything is written. Whatever goes wrong
    later, nothing is left behind, and a model that was there stays.

    Args:
        models: built-in names, folders or hub ids; layout, types, config and tokenizer are those of the first.
        target: the merged model's folder.
        plan: method and weights.
        progress: called with (tensors done, tensors in all).
        overwrite: replace a model that is there.

    Raises:
        ModelError: the models cannot be merged, or the target cannot be written.
        BackendUnavailable: the method needs mergekit, which is not installed.
    """
    _check_plan(models, plan)
    place = target.expanduser().resolve()
    stored = [stored_model(name) for name in models]
    base = None if plan.base is None else stored_model(plan.base)
    _check_place(target, place, [*stored, *([base] if base else [])], overwrite)
    for other in stored[1:]:
        check_alike(stored[0], other)
    if base is not None:
        check_alike(stored[0], base, types=False)
    merge = _Merge(stored, base, plan, progress)
    try:
        write_folder(place, merge.write)
    except OSError as error:
        raise ModelError(
            f"cannot write {target}: {error.strerror or error}; nothing was kept. Make room, or name another place"
        ) from error


class _Merge:
    """One merge under way."""

    def __init__(
        self, models: list[StoredModel], base: StoredModel | None, plan: MergePlan, progress: Callable[[int, int], None]
    ) -> None:
        self._models, self._plan, self._progress = models, plan, progress
        self._inputs = [*([base] if base else []), *models]
        """What a tensor is merged from, in the order that the rule takes them in."""
        self._rule: Rule = _average(plan.weights)
        self._piece: int | None = _PIECE
        """Bytes of a tensor that are merged at once; None where a rule needs it whole."""
        if plan.method != "linear":
            self._rule, self._piece = mergekit_rule(plan.method, plan.weights, plan.density), None
        self._done = 0

    def write(self, folder: Path) -> None:
        """Write the merged model's files."""
        first = self._models[0]
        for pattern in COPIED:
            for path in filter(Path.is_file, first.folder.glob(pattern)):
                copy = folder / path.relative_to(first.folder)
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, copy)
        if first.files[0].path.name != SINGLE:
            shutil.copyfile(first.folder / INDEX, folder / INDEX)
        with OpenFiles() as files:
            for file in first.files:
                with (folder / file.path.name).open("wb") as out:
                    self._write_file(file, files, out)
        plan = self._plan
        card = merge_card(self._models, plan.weights, plan.method, plan.density, plan.base)
        (folder / CARD).write_text(card, encoding="utf-8")

    def _write_file(self, file: WeightFile, files: OpenFiles, out: BinaryIO) -> None:
        out.write(file.head)
        for name, tensor in file.tensors.items():
            step = self._piece or max(tensor.size, 1)
            for skip in range(0, tensor.size, step):
                out.write(self._merged(name, tensor, skip, min(step, tensor.size - skip), files))
            self._done += 1
            self._progress(self._done, len(self._models[0].tensors))

    def _merged(self, name: str, tensor: StoredTensor, skip: int, size: int, files: OpenFiles) -> memoryview:
        """The merged bytes of so much of a tensor."""
        if tensor.dtype not in FLOATS:
            return self._agreed(name, tensor, skip, size, files)
        count = size // FLOATS[tensor.dtype].itemsize
        values = []
        for model in self._inputs:
            mine = model.tensors[name]
            scale = FLOATS[mine.dtype].itemsize
            data = bytearray(count * scale)
            files.read(mine, skip // FLOATS[tensor.dtype].itemsize * scale, memoryview(data))
            values.append(torch.frombuffer(data, dtype=FLOATS[mine.dtype]))
        if self._piece is None:
            values = [value.reshape(tensor.shape) for value in values]
        merged = self._rule(name, values).to(FLOATS[tensor.dtype])
        return merged.flatten().view(torch.uint8).numpy().data

    def _agreed(self, name: str, tensor: StoredTensor, skip: int, size: int, files: OpenFiles) -> memoryview:
        """The bytes of what has no average, if every model has the same."""
        found = []
        for model in self._inputs:
            found.append(bytearray(size))
            files.read(model.tensors[name], skip, memoryview(found[-1]))
        if any(data != found[0] for data in found):
            raise ModelError(
                f"{name} is of type {tensor.dtype}, which has no average, and the models differ in it; merge models "
                f"whose weights are of the types {', '.join(FLOATS)}"
            )
        return memoryview(found[0])


def _average(weights: Sequence[float]) -> Rule:
    def rule(_name: str, tensors: Sequence[Tensor]) -> Tensor:
        return weighted_average(tensors, weights)

    return rule


def _check_plan(models: Sequence[str], plan: MergePlan) -> None:
    if len(models) < _FEWEST:
        raise ModelError(f"a merge takes at least two models (got {len(models)})")
    try:
        check_weights(plan.weights, len(models))
    except ValueError as error:
        raise ModelError(str(error)) from error
    if plan.method == "slerp" and len(models) != _FEWEST:
        raise ModelError(f"slerp merges two models (got {len(models)}); linear takes any number")
    if plan.method in NEEDS_BASE and plan.base is None:
        raise ModelError(f"{plan.method} needs the base model that the others were trained from: name it with --base")
    if plan.method not in NEEDS_BASE and plan.base is not None:
        raise ModelError(f"{plan.method} takes no base model; {', '.join(NEEDS_BASE)} do")
    if not 0 < plan.density <= 1:
        raise ModelError(f"density must be greater than 0 and at most 1 (got {plan.density})")


def _check_place(target: Path, place: Path, inputs: Sequence[StoredModel], overwrite: bool) -> None:
    """Whether the target may be written: what it would replace must be a model, and none of those merged."""
    if not place.exists():
        return
    if not overwrite:
        raise ModelError(f"{target} exists already; name another folder, or replace it with --overwrite")
    for model in inputs:
        if model.folder.resolve().is_relative_to(place):
            raise ModelError(f"{target} holds {model.name}, which is to be merged; name another folder")
    if not place.is_dir() or (any(place.iterdir()) and not (place / "config.json").exists()):
        raise ModelError(f"{target} is no model's folder, so it is not replaced; name another")
