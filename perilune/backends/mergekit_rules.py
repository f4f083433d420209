"""The merges that mergekit computes, one tensor at a time: SLERP, TIES and DARE (the extra ``merge``)."""

from __future__ import annotations

import logging
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor

from perilune.errors import BackendUnavailable, ModelError

NEEDS_BASE = ("ties", "dare_linear", "dare_ties")
SEED = 0
"""Of DARE, which drops changes at random."""

Rule = Callable[[str, Sequence[Tensor]], Tensor]
"""(A tensor's name, its value in each model) → its value in the merge."""


def mergekit_version() -> str:
    """The release that is installed.

    Raises:
        BackendUnavailable: none is.
    """
    try:
        return version("mergekit")
    except PackageNotFoundError as error:
        raise BackendUnavailable(
            "merging by slerp, ties or dare needs mergekit: pip install 'perilune[merge]'; the method linear does not"
        ) from error


def mergekit_rule(method: str, weights: Sequence[float], density: float) -> Rule:
    """How mergekit merges one tensor.

    Args:
        method: slerp, ties, dare_linear or dare_ties.
        weights: of the models; only their ratios count. With slerp there are two, and t is the second's share.
        density: ties and dare: share of each model's changes to the base that is kept.

    Returns:
        A rule for the models' tensors; with ties and dare the base's comes before them.

    Raises:
        BackendUnavailable: mergekit is not installed, or cannot be imported.
    """
    mergekit_version()
    with _confined():
        try:
            from mergekit.merge_methods import merge_tensors
        except Exception as error:
            raise BackendUnavailable(f"mergekit is installed, but cannot be imported: {error}") from error
    shares = [weight / sum(weights) for weight in weights]
    parameters = {"t": shares[-1]} if method == "slerp" else {"weight": shares, "density": [density] * len(shares)}

    def rule(name: str, tensors: Sequence[Tensor]) -> Tensor:
        # Seeded for each tensor, so that nothing depends on the order in which they lie in the files.
        with _confined(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(zlib.crc32(f"{SEED} {name}".encode()))
            # Reckoned in float32 at least; the caller rounds.
            dtype = torch.promote_types(tensors[0].dtype, torch.float32)
            try:
                merged: Tensor = merge_tensors(
                    tensors, method, parameters=parameters, base_index=0, name=name, dtype=dtype
                )
            except (ValueError, TypeError, RuntimeError) as error:
                raise ModelError(f"mergekit cannot merge {name} by {method}: {error}") from error
        return merged

    return rule


@contextmanager
def _confined() -> Iterator[None]:
    """No warnings from within, and no handler put on the root logger, as ``logging.info`` would."""
    silent = logging.NullHandler()
    logging.getLogger().addHandler(silent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().removeHandler(silent)
