"""Linear layers of the local engine on a CPU: weights packed once for oneDNN, not in every call.

A row of a product must be the same to the bit whatever rows stand beside it. Libraries choose how they add up by the
number of rows: MKL does so in fp32 with several threads, and oneDNN in bf16 where there is AMX. So each shape is tried
once, on the processor that is here: calls get whole blocks of the fewest rows whose multiples all give what
:data:`_MOST_ROWS` rows give; where none does, every call gets :data:`_MOST_ROWS`, no more and no less, so that all
calls are one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from perilune.backends.engines.cache import ROWS

_MOST_ROWS = 64
"""As many as the engine has responses side by side by default."""
_BLOCKS = (4, ROWS, _MOST_ROWS)
"""Blocks of rows that are tried. One row alone is another kind of product, and has other bits with AVX-512."""
_BEYOND = (132, 260)
"""More rows than :data:`_MOST_ROWS`, with which it is tried whether a call may have them."""


class Product(Protocol):
    """What a linear layer computes, with weights in a form of its own."""

    rows: int
    """Rows are computed in whole blocks of so many; it fills them up itself."""

    def pack(self, weight: Tensor) -> None:
        """Take weights, [outputs, inputs]."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """[…, inputs] to […, outputs]."""
        ...


class PackedProduct:
    """A product by oneDNN with packed weights, in fp32 or bf16."""

    def __init__(self, linear: nn.Linear):
        """Without weights as yet.

        Args:
            linear: the layer; its bias is read where it lies.
        """
        self._linear = linear
        self._dtype = linear.weight.dtype
        self._packed = torch.empty(0)
        self.rows, self._whole = _MOST_ROWS, False

    def pack(self, weight: Tensor) -> None:
        """See :class:`Product`."""
        given = weight.detach().to(self._dtype).contiguous()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(given, None)
        self.rows, self._whole = self._rows()

    def __call__(self, x: Tensor) -> Tensor:
        """See :class:`Product`."""
        flat = x.reshape(-1, x.shape[-1])
        count = flat.shape[0]
        padding = -count % self.rows
        if padding:
            flat = F.pad(flat, (0, 0, 0, padding))
        if self._whole or flat.shape[0] <= _MOST_ROWS:
            found = self._multiply(flat)
        else:
            found = torch.cat([self._multiply(part) for part in flat.split(_MOST_ROWS)])
        return found[:count].view(*x.shape[:-1], self._linear.out_features)

    def _multiply(self, x: Tensor) -> Tensor:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._linear.bias, "none", [], "")
        return found

    def _rows(self) -> tuple[int, bool]:
        """How many rows a block has, and whether a call may have any number of blocks; tried once for a shape."""
        key = (self._linear.out_features, self._linear.in_features, self._dtype, torch.get_num_threads())
        if key not in _TRIED:
            found = self._try()
            if found is None:
                return _MOST_ROWS, False
            _TRIED[key] = found
        return _TRIED[key]

    def _try(self) -> tuple[int, bool] | None:
        """See :meth:`_rows`; None where these weights say nothing."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(_BEYOND[-1], self._linear.in_features, generator=generator).to(self._dtype)
        whole = torch.cat([self._multiply(part) for part in x[: 2 * _MOST_ROWS].split(_MOST_ROWS)])
        if not whole.isfinite().all() or (whole == whole[0]).all():
            return None

        def same(count: int) -> bool:
            most = min(count, len(whole))
            return torch.equal(self._multiply(x[:count])[:most], whole[:most])

        for block in _BLOCKS:
            counts = [block * n for n in (1, 2, 3, 4, 5, 7, 9, 11, 13, 15) if block * n <= _MOST_ROWS]
            if all(map(same, counts)):
                return block, block < _MOST_ROWS and all(map(same, _BEYOND))
        return _MOST_ROWS, False


_TRIED: dict[tuple[int, int, torch.dtype, int], tuple[int, bool]] = {}


class Products:
    """The products of a model's linear layers, put in their place."""

    def __init__(self, model: nn.Module, make: Callable[[str, nn.Linear], Product | None]):
        """Put a product in the place of each linear layer that has one.

        A layer's own weights are given up by :meth:`settle` where no other module has them, as embeddings may.

        Args:
            model: its parameters keep their names and shapes.
            make: a product for a layer's name and the layer, or None to leave it as it is.
        """
        self._model = model
        users: dict[int, int] = {}
        for module in model.modules():
            for parameter in module._parameters.values():
                users[id(parameter)] = users.get(id(parameter), 0) + 1
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._owned: dict[str, Product] = {}
        self._tied: list[tuple[nn.Linear, Product]] = []
        self._replaced: list[tuple[nn.Linear, Tensor]] = []
        for path, module in model.named_modules():
            product = make(path, module) if type(module) is nn.Linear else None
            if product is None or not isinstance(module, nn.Linear):
                continue
            product.pack(module.weight)
            self._replaced.append((module, module.weight))
            setattr(module, "forward", product.__call__)  # noqa: B010
            if users[id(module.weight)] > 1:
                self._tied.append((module, product))
                continue
            self._owned[names[id(module.weight)]] = product
            # One number for all: whoever reads it past the product gets what is no number.
            gone = module.weight.new_full((1, 1), float("nan")).expand(module.weight.shape)
            module.weight = nn.Parameter(gone, requires_grad=False)

    def __len__(self) -> int:
        return len(self._replaced)

    @property
    def rows(self) -> int:
        """Rows in whole blocks of so many are the same to the bit beside any others; at most :data:`ROWS`.

        What a model multiplies with besides its linear layers, as experts are, is given :data:`ROWS`.
        """
        embeddings = {id(m.weight) for m in self._model.modules() if isinstance(m, nn.Embedding)}
        taken = {id(module.weight) for module, _ in self._replaced}
        others = any(p.dim() > 1 and id(p) not in embeddings | taken for p in self._model.parameters())
        products = [*self._owned.values(), *(product for _, product in self._tied)]
        return min(ROWS, max((product.rows for product in products), default=ROWS)) if not others else ROWS

    def settle(self) -> None:
        """Give up the weights that products have; there is no way back."""
        self._replaced = [(module, module.weight) for module, _ in self._replaced]

    def undo(self) -> None:
        """The layers compute as they did, before :meth:`settle`."""
        for module, weight in self._replaced:
            module.weight = nn.Parameter(weight, requires_grad=False)
            del module.forward
        self._owned, self._tied, self._replaced = {}, [], []

    def take(self, name: str, weight: Tensor) -> bool:
        """Take a layer's new weights; False where a parameter is to take them."""
        product = self._owned.get(name)
        if product is not None:
            product.pack(weight)
        return product is not None

    def refresh(self) -> None:
        """Take the new weights of parameters that other modules have too."""
        for module, product in self._tied:
            product.pack(module.weight)


def packed(name: str, linear: nn.Linear) -> Product | None:
    """oneDNN's product for a layer, where there is one that pays.

    Args:
        name: of the layer.
        linear: the layer, on any device.
    """
    weight = linear.weight
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16):
        return None
    return PackedProduct(linear) if _packs(weight.dtype) else None


@cache
def _packs(dtype: torch.dtype) -> bool:
    """Whether oneDNN has a product of packed weights for this type and processor; bf16 needs AVX-512."""
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        weight = torch.ops.mkldnn._reorder_linear_weight(torch.ones(16, 16, dtype=dtype), None)
        torch.ops.mkldnn._linear_pointwise(torch.ones(16, 16, dtype=dtype), weight, None, "none", [], "")
    except (RuntimeError, AttributeError):
        return False
    return True
