"""fp32 master weights under a compute model in bf16 or fp32, and the optimiser that moves them.

Weights held in bf16 alone do not learn at the rates of post-training: an update of 1e-5 vanishes in their eight bits
of mantissa. Gradients are summed over micro-batches in fp32, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from transformers import PreTrainedModel


class MasterWeights:
    """Owns the fp32 weights of a model and keeps the model's compute weights equal to them, rounded."""

    def __init__(self, model: PreTrainedModel, dtype: torch.dtype):
        """Take the model in fp32 and turn its parameters to ``dtype``, keeping fp32 masters beside them."""
        self._names = [name for name, _ in model.named_parameters()]
        if dtype == torch.float32:
            self._compute = [parameter for _, parameter in model.named_parameters()]
            self._masters = self._compute
            return
        self._masters = [torch.nn.Parameter(p.detach().float().clone()) for _, p in model.named_parameters()]
        model.to(dtype=dtype)  # type: ignore[call-arg]
        self._compute = [parameter for _, parameter in model.named_parameters()]
        for compute, master in zip(self._compute, self._masters, strict=True):
            compute.register_post_accumulate_grad_hook(_hand_over(master))

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """(Hugging Face name, fp32 weight) of every parameter; tied ones once."""
        for name, master in zip(self._names, self._masters, strict=True):
            yield name, master.detach()

    def optimizer(self, *, betas: tuple[float, float], weight_decay: float) -> torch.optim.AdamW:
        """A fresh AdamW over the masters; the learning rate is set per step."""
        return torch.optim.AdamW(self._masters, lr=0.0, betas=betas, weight_decay=weight_decay, fused=True)

    def clip_gradient(self, maximum: float) -> float:
        """Scale the gradient to at most this global norm; return the norm before."""
        return float(torch.nn.utils.clip_grad_norm_(self._masters, maximum, foreach=True))

    def clear_gradient(self) -> None:
        """Forget the gradient."""
        for parameter in (*self._masters, *self._compute):
            parameter.grad = None

    @torch.no_grad()
    def publish(self) -> None:
        """Compute weights <- masters."""
        if self._compute is not self._masters:
            for compute, master in zip(self._compute, self._masters, strict=True):
                compute.copy_(master)

    def clone(self) -> list[Tensor]:
        """A copy of the masters, for :meth:`swap`."""
        return [master.detach().clone() for master in self._masters]

    @torch.no_grad()
    def assign(self, weights: Iterable[Tensor]) -> None:
        """Masters <- weights, in the order of :meth:`clone`; published."""
        for master, weight in zip(self._masters, weights, strict=True):
            master.copy_(weight)
        self.publish()


class _HandOver:
    def __init__(self, master: Tensor):
        self.master = master

    def __call__(self, compute: Tensor) -> None:
        gradient = compute.grad
        compute.grad = None
        if gradient is None:
            return
        if self.master.grad is None:
            self.master.grad = gradient.float()
        else:
            self.master.grad += gradient


def _hand_over(master: Tensor) -> _HandOver:
    """A hook that adds a compute weight's gradient to its master's in fp32 and frees it at once."""
    return _HandOver(master)
