"""Choosing the next tokens of a batch: greedy, temperature, nucleus; one uniform number per row decides.

On a CPU a compiled kernel draws (:mod:`perilune.backends.engines.kernels.sampling`), where it can be made; elsewhere
torch does, and it is what the kernel is tested against. The two round differently, so that a token may be another
where the uniform number lies within rounding of its edge.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from perilune.backends.engines.kernels import sampling as kernel
from perilune.backends.engines.kernels.pool import address_of, run_parts

_BLOCK = kernel.BLOCK
_ROWS = 16
"""Rows at a time on a CPU: as many as its caches hold; all at once took twice to five times as long."""
_ALMOST = 1 - 1e-12
"""Rounding must not carry a uniform number past the last token of positive weight."""


def sample_tokens(
    logits_n_v: Tensor, temperatures_n: Tensor, top_p_n: Tensor, uniforms_n: Tensor
) -> tuple[Tensor, Tensor]:
    """Draw one token per row by inverting the cumulative distribution at that row's uniform number.

    Each row is drawn on its own, so the result does not depend on the other rows.

    Args:
        logits_n_v: [n, vocabulary], any float type.
        temperatures_n: [n]; 0 is greedy.
        top_p_n: [n] in (0, 1]; 1 is the whole vocabulary. The nucleus is the smallest set of most likely tokens whose
            mass reaches it; of equally likely ones the first are in it.
        uniforms_n: [n] float64 in [0, 1).

    Returns:
        tokens [n] int64, and their log-probabilities in nats [n] float32 at temperature 1 over the whole vocabulary.
    """
    half = logits_n_v.dtype == torch.bfloat16
    if logits_n_v.device.type == "cpu" and (half or logits_n_v.dtype == torch.float32):
        functions = _functions(half)
        if functions is not None:
            return _sample_compiled(functions, logits_n_v, temperatures_n, top_p_n, uniforms_n)
    return sample_by_torch(logits_n_v, temperatures_n, top_p_n, uniforms_n)


@dataclass(frozen=True, slots=True)
class _Functions:
    library: Any
    sample: Any
    together: int


@cache
def _functions(half: bool) -> _Functions | None:
    """The compiled kernel, or None where it cannot be made."""
    try:
        library = kernel.compiled(half)
    except Exception:
        return None
    sample = library.function("sample", ctypes.c_void_p, ctypes.c_int64)
    return _Functions(library, sample, library.address("sample_parallel"))


def _sample_compiled(
    functions: _Functions, logits_n_v: Tensor, temperatures_n: Tensor, top_p_n: Tensor, uniforms_n: Tensor
) -> tuple[Tensor, Tensor]:
    rows, vocabulary = logits_n_v.shape
    if rows == 0:
        return torch.empty(0, dtype=torch.int64), torch.empty(0)
    logits = logits_n_v if logits_n_v.stride(1) == 1 else logits_n_v.contiguous()
    given = {
        "logits": logits,
        "temperatures": temperatures_n.float().contiguous(),
        "top_ps": top_p_n.double().contiguous(),
        "uniforms": uniforms_n.double().contiguous(),
        "tokens": torch.empty(rows, dtype=torch.int64),
        "shifted": torch.empty(rows),
        "totals": torch.empty(rows, dtype=torch.float64),
    }
    parts, size = min(torch.get_num_threads(), rows), kernel.scratch_bytes(vocabulary)
    given["scratch"] = torch.empty(parts * size, dtype=torch.uint8)
    a = kernel.Arguments(
        **{name: tensor.data_ptr() for name, tensor in given.items()},
        thread=address_of("omp_get_thread_num"),
        threads=address_of("omp_get_num_threads"),
        rows=rows,
        vocabulary=vocabulary,
        row_stride=logits.stride(0),
        scratch_size=size,
        parts=parts,
    )
    run_parts(ctypes.addressof(a), parts, together=functions.together, alone=functions.sample)
    # One by one: torch's logarithm of a vector rounds differently where it ends.
    totals = torch.tensor([math.log(total) for total in given["totals"].tolist()])
    return given["tokens"], given["shifted"] - totals


def sample_by_torch(
    logits_n_v: Tensor, temperatures_n: Tensor, top_p_n: Tensor, uniforms_n: Tensor
) -> tuple[Tensor, Tensor]:
    """:func:`sample_tokens` without a compiled kernel, on any device."""
    parts = range(0, logits_n_v.shape[0], _ROWS if logits_n_v.device.type == "cpu" else max(1, logits_n_v.shape[0]))
    size = parts.step
    found = [
        _sample(*(x[start : start + size] for x in (logits_n_v, temperatures_n, top_p_n, uniforms_n)))
        for start in parts
    ]
    tokens, logprobs = zip(*found, strict=True)
    return torch.cat(tokens), torch.cat(logprobs)


def _sample(logits_n_v: Tensor, temperatures_n: Tensor, top_p_n: Tensor, uniforms_n: Tensor) -> tuple[Tensor, Tensor]:
    # In whole blocks, also so that exp meets whole vectors alone: what is left over from them rounds differently.
    logits = F.pad(logits_n_v.float(), (0, -logits_n_v.shape[1] % _BLOCK), value=float("-inf"))
    top = logits.amax(-1, keepdim=True)
    unit = bool((temperatures_n == 1).all())
    weights = _exp(logits, top, None)
    total = _block_sums(weights).sum(-1)
    if bool((temperatures_n == 0).all()):
        tokens = logits.argmax(-1)
    else:
        safe = temperatures_n.clamp_min(1e-6).float()[:, None]
        drawn = weights if unit else _exp(logits, top, safe)
        if bool((top_p_n < 1).any()):
            drawn = _nucleus(drawn, top_p_n)
        tokens = _invert(drawn, uniforms_n)
        if not unit:
            tokens = torch.where(temperatures_n == 0, logits.argmax(-1), tokens)
    chosen = logits.gather(-1, tokens[:, None]) - top
    return tokens, chosen[:, 0] - total.log().float()


def _exp(logits: Tensor, top: Tensor, temperature: Tensor | None) -> Tensor:
    shifted = logits - top
    if temperature is not None:
        shifted /= temperature
    return shifted.exp_()


def _block_sums(weights_n_v: Tensor) -> Tensor:
    """Sums of blocks of the vocabulary, [n, blocks] float64: float32 alone would lose the tail."""
    return _blocks(weights_n_v).sum(-1).double()


def _blocks(weights_n_v: Tensor) -> Tensor:
    return weights_n_v.view(weights_n_v.shape[0], -1, _BLOCK)


def _invert(weights_n_v: Tensor, uniforms_n: Tensor) -> Tensor:
    """The first token whose cumulative weight exceeds uniform × total: first its block, then its place in it."""
    blocks = _blocks(weights_n_v)
    upper = blocks.sum(-1).double().cumsum(-1)
    target = uniforms_n[:, None].clamp_max(_ALMOST) * upper[:, -1:]
    block = torch.searchsorted(upper, target, right=True).clamp_max_(upper.shape[1] - 1)
    below = torch.where(block > 0, upper.gather(1, (block - 1).clamp_min(0)), 0.0)
    inner = blocks[torch.arange(blocks.shape[0], device=block.device), block[:, 0]].double().cumsum(-1)
    rest = torch.minimum(target - below, inner[:, -1:] * _ALMOST)
    place = torch.searchsorted(inner, rest, right=True).clamp_max_(_BLOCK - 1)
    return (block * _BLOCK + place)[:, 0]


def _nucleus(weights_n_v: Tensor, top_p_n: Tensor) -> Tensor:
    """Keep the smallest set of most likely tokens whose mass reaches top_p; the most likely one always stays."""
    ordered, order = weights_n_v.sort(dim=-1, descending=True, stable=True)
    mass = ordered.double().cumsum(-1)
    before = (mass - ordered) / mass[:, -1:]
    outside = before >= top_p_n.double()[:, None]
    outside[:, 0] = False
    outside &= (top_p_n < 1)[:, None]
    return weights_n_v.masked_fill(torch.zeros_like(outside).scatter(1, order, outside), 0.0)
