"""fp32 master weights under a compute model in bf16 or fp32, and the optimiser that moves them.

Weights held in bf16 alone do not learn at the rates of post-training: an update of 1e-5 vanishes in their eight bits
of mantissa. Gradients are summed over micro-batches in fp32, too. Masters and gradient are one block each, so that an
optimiser step is one pass over memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from perilune.backends.trainers.gradient import Gradient, add_in_place


class MasterWeights:
    """Owns the fp32 weights of a model and keeps the model's compute weights equal to them, rounded."""

    def __init__(self, model: PreTrainedModel, dtype: torch.dtype, allocate: Callable[[int], Tensor] | None = None):
        """Take the model in fp32 and turn its parameters to ``dtype``, keeping fp32 masters beside them.

        Args:
            model: in fp32.
            dtype: the compute weights' type.
            allocate: called once with a number of elements: gives the fp32 tensor in which the masters lie while they
                are on the host.
        """
        parameters = list(model.named_parameters())
        self._names = [name for name, _ in parameters]
        self._compute = [parameter for _, parameter in parameters]
        self._sizes = [parameter.numel() for parameter in self._compute]
        self._allocate = allocate
        self._host: Tensor | None = None
        block = torch.cat([p.detach().float().flatten() for p in self._compute])
        self._block = torch.nn.Parameter(self._at_home(block) if block.device.type == "cpu" else block)
        self._masters = self._views(self._block.detach())
        if dtype == torch.float32:
            for compute, master in zip(self._compute, self._masters, strict=True):
                compute.data = master
        else:
            model.to(dtype=dtype)  # type: ignore[call-arg]
        self._rounded = dtype != torch.float32
        self._gradient = Gradient(self._views)
        if block.device.type == "cpu":
            add_in_place(model, self._compute, self._gradient)
        for place, compute in enumerate(self._compute):
            compute.register_post_accumulate_grad_hook(partial(self._take_gradient, place))

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """(Hugging Face name, fp32 weight) of every parameter; tied ones once."""
        return zip(self._names, self._masters, strict=True)

    def optimizer(self, *, betas: tuple[float, float], weight_decay: float) -> torch.optim.AdamW:
        """A fresh AdamW over the masters; the learning rate is set per step."""
        return torch.optim.AdamW([self._block], lr=0.0, betas=betas, weight_decay=weight_decay, fused=True)

    def optimizer_state(self, optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
        """Moments and step count, for :meth:`load_optimizer`; nothing before the first step."""
        return dict(optimizer.state.get(self._block, {}))

    def load_optimizer(self, optimizer: torch.optim.AdamW, state: dict[str, Tensor]) -> None:
        """Give a fresh optimiser the state of an earlier one."""
        device = self._block.device
        optimizer.state[self._block] = {name: tensor.to(device) for name, tensor in state.items()}

    def begin_gradient(self) -> None:
        """To be called before a backward pass: there is memory for what it gives."""
        self._gradient.begin(self._block.detach())

    def clip_gradient(self, maximum: float) -> float:
        """Scale the gradient to at most this global norm; return the norm before."""
        self._gradient.finish()
        norm = torch.nn.utils.get_total_norm(self._gradient.parts, foreach=True)
        if norm > maximum and self._gradient.block is not None:
            self._gradient.block.mul_(maximum / norm)
        self._block.grad = self._gradient.block
        return float(norm)

    def clear_gradient(self) -> None:
        """Forget the gradient; its memory stays for the next step."""
        self._gradient.clear()

    def free_gradient(self) -> None:
        """Forget the gradient and give its memory back."""
        self._gradient.free()
        self._block.grad = None

    @torch.no_grad()
    def move(self, device: torch.device, optimizer: torch.optim.AdamW | None = None) -> None:
        """Masters, compute weights and the optimiser's moments to another device.

        The parameters are the same objects as before: only the memory behind them is another.
        """
        if self._block.device == device:
            return
        moved = self._block.data
        self._block.data = self._at_home(moved) if device.type == "cpu" else moved.to(device)
        self._masters = self._views(self._block.detach())
        for compute, master in zip(self._compute, self._masters, strict=True):
            compute.data = compute.data.to(device) if self._rounded else master
        if optimizer is not None:
            self.load_optimizer(optimizer, self.optimizer_state(optimizer))

    @torch.no_grad()
    def publish(self) -> None:
        """Compute weights <- masters."""
        if self._rounded:
            for compute, master in zip(self._compute, self._masters, strict=True):
                compute.copy_(master)

    def clone(self) -> list[Tensor]:
        """A copy of the masters, for :meth:`assign`."""
        return self._views(self._block.detach().clone())

    @torch.no_grad()
    def assign(self, weights: Iterable[Tensor]) -> None:
        """Masters <- weights, in the order of :meth:`clone`; published."""
        for master, weight in zip(self._masters, weights, strict=True):
            master.copy_(weight)
        self.publish()

    def _at_home(self, block: Tensor) -> Tensor:
        """The block on the host, where the masters are to lie there."""
        if self._allocate is None:
            return block.to("cpu")
        if self._host is None:
            self._host = self._allocate(block.numel())
        return self._host.copy_(block)

    def _views(self, block: Tensor) -> list[Tensor]:
        """The parts of a block that belong to the parameters, in their shapes."""
        parts = block.split(self._sizes)
        return [part.view(compute.shape) for part, compute in zip(parts, self._compute, strict=True)]

    def _take_gradient(self, place: int, compute: Tensor) -> None:
        """Add a compute weight's gradient to its master's in fp32, and free it at once."""
        gradient, compute.grad = compute.grad, None
        if gradient is not None:
            self._gradient.add(place, gradient)
