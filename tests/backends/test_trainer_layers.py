"""Norms and gated layers against transformers' own under autograd."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from perilune.backends.trainers.layers import keep_less


def norm() -> nn.Module:
    module: nn.Module = LlamaRMSNorm(24, eps=1e-5)  # type: ignore[no-untyped-call]
    torch.nn.init.normal_(module.weight)  # type: ignore[arg-type]
    return module


def gated(activation: str = "silu") -> nn.Module:
    config = LlamaConfig(
        hidden_size=24, intermediate_size=40, num_attention_heads=2, hidden_act=activation, mlp_bias=True
    )
    module: nn.Module = LlamaMLP(config)  # type: ignore[no-untyped-call]
    return module


def passes(module: nn.Module, rows: Tensor, upstream: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The output, and the gradients in input and parameters."""
    rows = rows.clone().requires_grad_()
    out = module(rows)
    out.backward(upstream)
    found = [rows.grad, *(parameter.grad for parameter in module.parameters())]
    return out.detach(), [gradient for gradient in found if gradient is not None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [norm, gated])
def test_forward_to_the_bit_and_gradients(make: Any, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    plain = make().to(dtype)
    mine, exact = copy.deepcopy(plain), copy.deepcopy(plain).double()
    keep_less(mine)
    assert "forward" in vars(mine)
    rows, upstream = torch.randn(2, 7, 24).to(dtype), torch.randn(2, 7, 24).to(dtype)
    out, found = passes(mine, rows, upstream)
    plain_out, plainly = passes(plain, rows, upstream)
    assert torch.equal(out, plain_out)
    _, expected = passes(exact, rows.double(), upstream.double())
    assert len(found) == len(expected)
    for gradient, own, right in zip(found, plainly, expected, strict=True):
        assert gradient.dtype == dtype
        # No further from the exact gradient than autograd's own, in its type's precision.
        error = (gradient - right).abs().max()
        assert error <= 1.5 * (own - right).abs().max() + torch.finfo(dtype).eps * right.abs().max()


class OwnNorm(LlamaRMSNorm):
    """Gemma's way: 1 + weight."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x) + x
        return out


def test_layers_that_compute_something_else_stay() -> None:
    other: nn.Module = OwnNorm(24)  # type: ignore[no-untyped-call]
    for module in (other, gated("gelu"), nn.LayerNorm(24), nn.Linear(3, 3)):
        keep_less(module)
        assert "forward" not in vars(module)
