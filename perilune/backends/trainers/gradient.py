"""The gradient of an update: one fp32 block, to which every micro-batch adds where its products come out.

Autograd would make a tensor of each weight's gradient per micro-batch, two of them for an embedding that is the output
layer too, and only then could they be added up. On the CPU linear layers and embeddings add theirs in place: a product
that adds to its result costs no more than one that does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_ROWS = 256
"""Rows turned to fp32 at once where a bf16 gradient is added: what stays in a core's cache."""


class Gradient:
    """Sums over micro-batches, one per parameter; memory is taken by the first and kept until it is freed."""

    def __init__(self, views: Callable[[Tensor], list[Tensor]]):
        """Nothing has arrived yet.

        Args:
            views: the parts of a block that belong to the parameters, in their shapes.
        """
        self._views = views
        self._arrived: set[int] = set()
        self.block: Tensor | None = None
        self.parts: list[Tensor] = []

    def add(self, place: int, gradient: Tensor) -> None:
        """Add a parameter's gradient, of its shape and any type."""
        part = self.parts[place]
        if place not in self._arrived:
            part.copy_(gradient)
            self._arrived.add(place)
        elif gradient.dtype == part.dtype:
            part += gradient
        else:
            for mine, theirs in zip(part.split(_ROWS), gradient.split(_ROWS), strict=True):
                mine.add_(theirs.to(part.dtype))

    def add_product(self, place: int, out_gradient: Tensor, rows: Tensor) -> None:
        """Add a linear layer's weight gradient.

        Args:
            place: of the weight, [out, in].
            out_gradient: [N, out].
            rows: the layer's input, [N, in].
        """
        part = self.parts[place]
        if rows.dtype != part.dtype:
            self.add(place, torch.mm(out_gradient.t(), rows))
        elif place in self._arrived:
            part.addmm_(out_gradient.t(), rows)
        else:
            torch.mm(out_gradient.t(), rows, out=part)
            self._arrived.add(place)

    def add_rows(self, place: int, indices: Tensor, rows: Tensor) -> None:
        """Add an embedding's gradient.

        Args:
            place: of the weight, [vocabulary, width].
            indices: [N] tokens.
            rows: [N, width], the gradient in what was looked up.
        """
        part = self.parts[place]
        if place not in self._arrived:
            part.zero_()
            self._arrived.add(place)
        part.index_add_(0, indices, rows.to(part.dtype))

    def begin(self, like: Tensor) -> None:
        """Take memory like the masters' block, if there is none."""
        if self.block is None:
            self.block = torch.empty_like(like)
            self.parts = self._views(self.block)

    def finish(self) -> None:
        """Zero what nothing has arrived for."""
        for place, part in enumerate(self.parts):
            if place not in self._arrived:
                part.zero_()

    def clear(self) -> None:
        """Forget the sums; their memory stays for the next step."""
        self._arrived.clear()

    def free(self) -> None:
        """Forget the sums and give their memory back."""
        self._arrived.clear()
        self.block, self.parts = None, []


def add_in_place(model: nn.Module, parameters: Sequence[nn.Parameter], gradient: Gradient) -> None:
    """Make linear layers and embeddings add their weights' gradients to the block, without a tensor of their own.

    Args:
        model: other kinds of layers stay as they are.
        parameters: in the order of the gradient's parts.
        gradient: begun before each backward pass.
    """
    places = {id(parameter): place for place, parameter in enumerate(parameters)}
    for module in model.modules():
        if type(module) not in _FORWARD or id(module.weight) not in places:
            continue
        if isinstance(module, nn.Embedding) and (module.max_norm is not None or module.scale_grad_by_freq):
            continue
        place = places[id(module.weight)]
        module.forward = _FORWARD[type(module)](module, place, gradient)


def _linear(module: nn.Linear, place: int, gradient: Gradient) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        out: Tensor = _Linear.apply(x, module.weight, module.bias, place, gradient)  # type: ignore[no-untyped-call]
        return out

    return forward


def _embedding(module: nn.Embedding, place: int, gradient: Gradient) -> Callable[[Tensor], Tensor]:
    def forward(ids: Tensor) -> Tensor:
        padding = module.padding_idx
        out: Tensor = _Embedding.apply(ids, module.weight, padding, place, gradient)  # type: ignore[no-untyped-call]
        return out

    return forward


_FORWARD: dict[type[nn.Module], Callable[..., Any]] = {nn.Linear: _linear, nn.Embedding: _embedding}


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, place: int, gradient: Gradient) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased, ctx.place, ctx.gradient = bias is not None, place, gradient
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        out_gradient = gradients[0].reshape(-1, weight.shape[0])
        ctx.gradient.add_product(ctx.place, out_gradient, x.reshape(-1, weight.shape[1]))
        grad_x = torch.mm(out_gradient, weight).view(x.shape) if ctx.needs_input_grad[0] else None
        return grad_x, None, out_gradient.sum(0) if ctx.biased else None, None, None


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids: Tensor, weight: Tensor, padding: int | None, place: int, gradient: Gradient) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.padding, ctx.place, ctx.gradient = padding, place, gradient
        return F.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, ...]:
        (ids,) = ctx.saved_tensors
        indices, rows = ids.flatten(), gradients[0].reshape(ids.numel(), -1)
        if ctx.padding is not None:
            kept = indices != ctx.padding
            indices, rows = indices[kept], rows[kept]
        ctx.gradient.add_rows(ctx.place, indices, rows)
        return None, None, None, None, None
