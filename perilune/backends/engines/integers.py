"""Linear layers in int8: weights by output, activations by row as they come, sums exact in int32.

y = (sum · output's scale) · row's scale + bias. The sums are whole numbers, so a row is the same to the bit whatever
stands beside it and whichever of oneDNN's products is used; each layer takes the fastest one.

Processors without VNNI add pairs of products in 16 bits, which overflow; there weights have a bit less.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from perilune.backends.engines.kernels import quantizing as kernel
from perilune.backends.engines.kernels.code import WIDTH
from perilune.backends.engines.kernels.pool import address_of, run_parts
from perilune.backends.engines.products import Product, packed
from perilune.errors import EngineError

LEVELS = kernel.LEVELS
_FEW_LEVELS = 63
"""For weights where pairs are added in 16 bits: 2 · 255 · 63 fits."""
_LEAST = 2.0**-103
"""Least magnitude by which a row is scaled."""
_ALONE = 1 << 18
"""Fewer numbers than this are worked on by one thread."""
_OUTPUT_LAYER = "lm_head"
"""As transformers names it."""
_ROWS = 64
"""With which the products are timed."""


class Quantizer:
    """Rows of activations in int8; layers that read the same tensor one after the other share the work."""

    def __init__(self) -> None:
        self._last: Tensor | None = None
        self._found: tuple[Tensor, Tensor] | None = None

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Integers [rows, inputs] and the scale of each row [rows], of […, inputs].

        The tensor must not be changed in place between two calls with it.
        """
        if self._found is None or x is not self._last:
            self._last, self._found = x, quantize(x.reshape(-1, x.shape[-1]).contiguous())
        return self._found


class IntegerProduct:
    """A linear layer in int8; see :class:`perilune.backends.engines.products.Product`."""

    rows = 1

    def __init__(self, linear: nn.Linear, quantizer: Quantizer):
        """Without weights as yet.

        Args:
            linear: the layer; its bias is read where it lies.
            quantizer: shared by the layers of a model.
        """
        self._linear = linear
        self._quantizer = quantizer
        self._levels = weight_levels()
        self._form = fastest_form(linear.out_features, linear.in_features)
        self._weights = torch.empty(0)
        self._channels = torch.empty(0)

    def pack(self, weight: Tensor) -> None:
        """Round weights, [outputs, inputs], to this many levels of each output's largest magnitude."""
        given = weight.detach().float()
        self._channels = given.abs().amax(1).clamp_min(_LEAST) / self._levels
        integers = (given / self._channels[:, None]).round_().to(torch.int8)
        self._weights = self._form.prepare(integers)

    def __call__(self, x: Tensor) -> Tensor:
        """[…, inputs] to […, outputs], in the type that was given."""
        integers, scales = self._quantizer(x)
        sums = self._form.multiply(integers, self._weights)
        found = restore(sums, scales, self._channels, self._linear.bias, x.dtype)
        return found.view(*x.shape[:-1], self._linear.out_features)


def integer_products(*, output: bool) -> Callable[[str, nn.Linear], Product | None]:
    """Makes the products of a model, see :class:`perilune.backends.engines.products.Products`.

    Args:
        output: the output layer is in int8 too.

    Raises:
        EngineError: there are no exact products of int8 on this processor.
    """
    weight_levels()
    quantizer = Quantizer()

    def make(name: str, linear: nn.Linear) -> Product | None:
        if name.rpartition(".")[2] == _OUTPUT_LAYER and not output:
            return packed(name, linear)
        fits = linear.weight.device.type == "cpu" and linear.weight.dtype in (torch.float32, torch.bfloat16)
        return IntegerProduct(linear, quantizer) if fits else packed(name, linear)

    return make


# Exact products.


class Form(NamedTuple):
    """A way to multiply int8 [rows, inputs] by int8 [outputs, inputs], which the weights are prepared for once."""

    prepare: Callable[[Tensor], Tensor]
    multiply: Callable[[Tensor, Tensor], Tensor]
    """Sums [rows, outputs], whole numbers in int32 or float32, of activations and prepared weights."""


def _packed_product(x: Tensor, weights: Tensor) -> Tensor:
    outputs = weights.shape[1]
    found: Tensor = torch.ops.onednn.qlinear_pointwise(
        *(x, 1.0, 0, weights, *_neutral(outputs), None, 1.0, 0, torch.float32, "none", [], "")
    )
    return found


FORMS = {
    "as they come": Form(lambda weights: weights, lambda x, weights: torch._int_mm(x, weights.t())),
    "by inputs": Form(lambda weights: weights.t().contiguous(), torch._int_mm),
    "packed": Form(lambda weights: torch.ops.onednn.qlinear_prepack(weights, None), _packed_product),
}


@cache
def _neutral(outputs: int) -> tuple[Tensor, Tensor]:
    """Scales and zero points of each output that change nothing."""
    return torch.ones(outputs), torch.zeros(outputs, dtype=torch.int32)


@cache
def weight_levels() -> int:
    """Levels to each side of zero that weights may have, so that sums are exact.

    Raises:
        EngineError: they are not exact on this processor.
    """
    for levels in (LEVELS, _FEW_LEVELS):
        try:
            if _exact(levels):
                return levels
        except (RuntimeError, AttributeError) as error:
            raise EngineError(
                f"this torch has no product of int8 for this processor ({error}); set engine.dtype = 'auto'"
            ) from error
    raise EngineError("products of int8 are not exact on this processor; set engine.dtype = 'auto'")


def _exact(levels: int) -> bool:
    """Whether all products are exact at their extremes, and between."""
    pattern = torch.arange(32 * 256).view(32, 256)
    signs = torch.stack([torch.ones(256), (-1.0) ** torch.arange(256)]).repeat(16, 1)
    for x in (signs * LEVELS, (pattern * 37 % (2 * LEVELS + 1) - LEVELS).float()):
        for w in (signs * levels, (pattern * 53 % (2 * levels + 1) - levels).float()):
            exact = x.double() @ w.double().t()
            integers, weights = x.to(torch.int8), w.to(torch.int8)
            found = [form.multiply(integers, form.prepare(weights)) for form in FORMS.values()]
            if not all(torch.equal(sums.double(), exact) for sums in found):
                return False
    return True


@cache
def fastest_form(outputs: int, inputs: int) -> Form:
    """The fastest one for a layer of this shape; the sums are the same."""
    # Where oneDNN has no kernel for a form, it takes its reference, a thousand times slower: a few rows tell.
    few = _seconds(list(FORMS), 16, min(outputs, 64), inputs)
    found = _seconds([name for name in FORMS if few[name] < 10 * min(few.values())], _ROWS, outputs, inputs)
    return FORMS[min(found, key=found.__getitem__)]


def _seconds(names: Sequence[str], rows: int, outputs: int, inputs: int) -> dict[str, float]:
    """What products of some forms take, the least of some tries in turn."""
    x, weights = torch.ones(rows, inputs, dtype=torch.int8), torch.ones(outputs, inputs, dtype=torch.int8)
    prepared = {name: FORMS[name].prepare(weights) for name in names}
    best = dict.fromkeys(names, float("inf"))
    for _ in range(6):
        for name in names:
            start = time.perf_counter()
            FORMS[name].multiply(x, prepared[name])
            best[name] = min(best[name], time.perf_counter() - start)
    return best


# To int8 and back.


def quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows in int8, each by its largest magnitude.

    Args:
        x: [rows, columns] float32 or bfloat16, contiguous.

    Returns:
        integers [rows, columns] int8, scales [rows] float32; a row with what is no number has no number as scale.
    """
    functions = _functions(x.dtype == torch.bfloat16) if x.shape[1] % WIDTH == 0 else None
    if functions is None:
        return quantize_by_torch(x)
    integers, scales = torch.empty(x.shape, dtype=torch.int8), torch.empty(x.shape[0])
    functions.run("quantize", x.shape, numbers=x, integers=integers, scales=scales)
    return integers, scales


def quantize_by_torch(x: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`quantize` without a compiled kernel."""
    numbers = x.float()
    largest = numbers.abs().nan_to_num(0.0, float("inf")).amax(1).clamp_min(_LEAST)
    integers = (
        (numbers * (torch.full_like(largest, LEVELS) / largest)[:, None])
        .nan_to_num(-LEVELS)
        .round_()
        .clamp_(-LEVELS, LEVELS)
    )
    return integers.to(torch.int8), largest / LEVELS + (numbers - numbers).sum(1)


def restore(sums: Tensor, scales: Tensor, channels: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """(sum · output's scale) · row's scale + bias; the sums may be written over.

    Args:
        sums: [rows, outputs] int32 or float32.
        scales: [rows] float32.
        channels: [outputs] float32.
        bias: [outputs], if any.
        dtype: of the result, float32 or bfloat16.
    """
    functions = _functions(dtype == torch.bfloat16) if sums.shape[1] % WIDTH == 0 else None
    if functions is None:
        return restore_by_torch(sums, scales, channels, bias, dtype)
    # In place where it can be: memory for the logits of a batch is dear to have.
    out = sums if sums.dtype == dtype else torch.empty(sums.shape, dtype=dtype)
    name = "restore" if sums.dtype == torch.int32 else "rescale"
    given = {} if bias is None else {"bias": bias.detach().float().contiguous()}
    functions.run(name, sums.shape, sums=sums, scales=scales, channels=channels, out=out, **given)
    return out


def restore_by_torch(sums: Tensor, scales: Tensor, channels: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """:func:`restore` without a compiled kernel."""
    found = (sums.float() * channels).mul_(scales[:, None])
    if bias is not None:
        found += bias.float()
    return found.to(dtype)


@dataclass(frozen=True, slots=True)
class _Functions:
    library: Any
    alone: dict[str, Any]
    together: dict[str, int]

    def run(self, name: str, shape: torch.Size, **arrays: Tensor) -> None:
        """One of the kernel's functions."""
        rows, columns = shape
        parts = min(torch.get_num_threads(), rows) if rows * columns >= _ALONE else 1
        a = kernel.Arguments(
            **{field: tensor.data_ptr() for field, tensor in arrays.items()}, rows=rows, columns=columns, parts=parts
        )
        if parts > 1:
            a.thread, a.threads = address_of("omp_get_thread_num"), address_of("omp_get_num_threads")
        run_parts(ctypes.addressof(a), parts, together=self.together[name], alone=self.alone[name])


@cache
def _functions(half: bool) -> _Functions | None:
    """The compiled kernel, or None where it cannot be made; both round alike."""
    try:
        library = kernel.compiled(half)
    except Exception:
        return None
    names = "quantize", "restore", "rescale"
    alone = {name: library.function(name, ctypes.c_void_p, ctypes.c_int64) for name in names}
    return _Functions(library, alone, {name: library.address(f"{name}_parallel") for name in names})
