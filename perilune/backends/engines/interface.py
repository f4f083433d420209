"""The engine's attention under its name in transformers' ``AttentionInterface``.

Transformers looks attention up by name and hands it whatever keyword the model was called with. So the engine calls the
unchanged model with ``slot_batch=...``.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface

from perilune.backends.engines.cache import Batch, Scores
from perilune.errors import EngineError

ATTENTION_NAME = "perilune_slots"
"""Under which transformers finds it."""


def slot_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    slot_batch: Batch | None = None,
    windows: dict[int, int | None] | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Attention over the cache, in the form that transformers calls.

    Args:
        module: the attention module; its ``layer_idx`` names the cache layer.
        query: [1, heads, N, head dimension].
        key: [1, kv heads, N, head dimension].
        value: [1, kv heads, N, value dimension].
        attention_mask: unused; the cache knows who sees what.
        slot_batch: what the engine passed to the model.
        windows: takes the window of each layer that calls.
        scaling: factor on the scores.
        sliding_window: how many newest positions are seen, if the layer limits them.
        softcap: scores are held below it.
        s_aux: [heads] each head's sink.
        rest: refused where it would change the result.

    Returns:
        [1, N, heads, value dimension], and no attention weights.
    """
    if rest.get("position_bias") is not None:
        raise EngineError("the local engine cannot compute attention with 'position_bias'; use another engine")
    if slot_batch is None or windows is None:
        raise EngineError(
            f"the local engine cannot serve {type(module).__name__}: the model does not hand its attention what the "
            "engine gives it; use another engine (engine.backend = 'vllm')"
        )
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    windows[layer] = sliding_window
    return slot_batch.attend(layer, query, key, value, Scores(scaling, sliding_window, softcap, s_aux)), None


AttentionInterface.register(ATTENTION_NAME, slot_attention)
