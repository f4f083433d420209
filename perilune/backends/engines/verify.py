"""Whether the local engine computes what a model means: what would go wrong without a word is refused at the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from perilune.errors import EngineError

_SHARE = 0.2
"""Of what the context changes, an engine in low precision may miss so much; a wrong mask misses about all of it."""
_ALMOST = 1e-3
"""Nats by which log-probabilities may differ on average in any case."""


def check_layers(config: Any, name: str, windows: Mapping[int, int | None]) -> None:
    """Every layer must have attended over the cache, and have told its window.

    Args:
        config: of the text model.
        name: of the model's class, for messages.
        windows: the sliding window of each layer that called the engine's attention.

    Raises:
        EngineError: a layer keeps its past elsewhere, or hides positions by a mask alone.
    """
    layers = config.num_hidden_layers
    missing = sorted(set(range(layers)) - windows.keys())
    if missing:
        raise refused(
            name,
            f"{len(missing)} of its {layers} layers (the first is {missing[0]}) do not read the cache: they keep a "
            "state, or compute attention in a way of their own",
        )
    context = getattr(config, "max_position_embeddings", None) or 1 << 62
    _check_rotation(config, name, context)
    window = getattr(config, "sliding_window", None)
    if getattr(config, "use_sliding_window", True) and window and window < context and not any(windows.values()):
        raise refused(name, f"its window of {window} positions is not told to its attention")
    for layer, kind in enumerate(getattr(config, "layer_types", None) or []):
        size = getattr(config, "attention_chunk_size", None) if kind == "chunked_attention" else None
        if size is not None and size < context:
            raise refused(name, f"layer {layer} attends within chunks of {size} positions")
        size = getattr(config, "sliding_window", None) if kind == "sliding_attention" else None
        if size is not None and size < context and windows[layer] is None:
            raise refused(name, f"layer {layer} has a window of {size} positions that its attention is not told")


def _check_rotation(config: Any, name: str, context: int) -> None:
    """A rotation of positions that changes with the longest row would depend on what a response is batched with."""
    rope = getattr(config, "rope_parameters", None) or {}
    for own in [rope, *(value for value in rope.values() if isinstance(value, dict))]:
        kind = own.get("rope_type")
        trained = own.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", None
        )
        if kind == "dynamic" or (kind == "longrope" and (trained or 0) < context):
            raise refused(name, f"its rotary embedding ({kind}) changes with the longest of the rows that it gets")


def check_values(name: str, found: Tensor, expected: Tensor, alone: Tensor) -> None:
    """The engine's log-probabilities must be the model's own.

    Args:
        name: of the model's class, for messages.
        found: [tokens, vocabulary] logits of the engine.
        expected: likewise, of the model's own attention.
        alone: likewise, of the model on each token without its context: what the context changes is the measure.

    Raises:
        EngineError: they differ by more than rounding does.
    """
    found, expected, alone = (x.float().log_softmax(-1) for x in (found, expected, alone))
    gap = (found - expected).abs().mean().item()
    context = (alone - expected).abs().mean().item()
    if not gap < max(_SHARE * context, _ALMOST):
        raise refused(
            name,
            f"log-probabilities differ by {gap:.3g} on average from the model's own attention, where its whole context "
            f"makes a difference of {context:.3g}",
        )


def refused(name: str, why: str) -> EngineError:
    """The error of an engine that does not serve an architecture."""
    return EngineError(
        f"the local engine does not reproduce {name}: {why}; this architecture needs another engine "
        "(engine.backend = 'vllm')"
    )
