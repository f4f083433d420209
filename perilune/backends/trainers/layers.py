"""Norms and gated activations whose backward passes keep less and pass over memory less often than autograd's.

Their forward passes are those of transformers, to the bit: a layer is replaced only where that was seen on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_PROBED = 3
"""Rows on which a layer is compared with what takes its place."""


def keep_less(model: nn.Module) -> None:
    """Replace the forward passes of RMS norms and of SiLU-gated layers where the new ones give the same bits."""
    for module in model.modules():
        forward = _replacement(module)
        if forward is not None and _same(module, forward):
            module.forward = forward


def _replacement(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """What may take the place of the module's forward pass; None where it is of no such kind."""
    if isinstance(getattr(module, "variance_epsilon", None), float) and set(dict(module.named_parameters())) == {
        "weight"
    }:
        return _norm(module)
    if {"gate_proj", "up_proj", "down_proj", "act_fn"} <= set(dict(module.named_children())):
        return _gated(module)
    return None


@torch.no_grad()
def _same(module: nn.Module, forward: Callable[[Tensor], Tensor]) -> bool:
    weight = next(module.parameters())
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(1, _PROBED, weight.shape[-1], generator=generator).to(weight.device, weight.dtype)
    try:
        return torch.equal(module(rows), forward(rows))
    except (TypeError, RuntimeError, AttributeError):
        return False  # It takes other inputs.


def _norm(module: Any) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        out: Tensor = _RMSNorm.apply(x, module.weight, module.variance_epsilon)  # type: ignore[no-untyped-call]
        return out

    return forward


def _gated(module: Any) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        hidden = _GatedSiLU.apply(module.gate_proj(x), module.up_proj(x))  # type: ignore[no-untyped-call]
        out: Tensor = module.down_proj(hidden)
        return out

    return forward


class _RMSNorm(torch.autograd.Function):
    """y = w h, h = x r, r = 1 / sqrt(mean x² + eps): dw = sum dy h, dx = r (dy w - h mean(dy w h)); sums in fp32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
        ctx.save_for_backward(x, weight, scale)
        return weight * (wide * scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, scale = ctx.saved_tensors
        width = x.shape[-1]
        upstream, scale = gradients[0].reshape(-1, width).float(), scale.reshape(-1, 1)
        hat = x.reshape(-1, width) * scale
        wide = weight.float()
        terms = upstream * hat
        inner = torch.mv(terms, wide).div_(width).unsqueeze(1)
        grad_x = (upstream * wide).addcmul_(hat, inner, value=-1).mul_(scale)
        return grad_x.to(x.dtype).view(x.shape), terms.sum(0).to(weight.dtype), None


class _GatedSiLU(torch.autograd.Function):
    """silu(gate) up; the activation is computed again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate) * up

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        (upstream,) = gradients
        grad_gate = torch.ops.aten.silu_backward(upstream * up, gate)
        return grad_gate, F.silu(gate).mul_(upstream)
