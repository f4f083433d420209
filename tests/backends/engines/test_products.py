"""Packed products: their values, that a row is the same beside any others, and weights that come and go."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.engines import products
from perilune.backends.engines.local import LocalEngine
from perilune.backends.engines.products import PackedProduct, Product, Products, packed
from perilune.backends.models import copy_weights, weights_of
from perilune.errors import ModelError
from perilune.types import Request

DTYPES = [torch.float32, torch.bfloat16]


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def make(outputs: int, inputs: int, dtype: torch.dtype, *, bias: bool = False) -> tuple[nn.Linear, Product]:
    torch.manual_seed(outputs)
    linear = nn.Linear(inputs, outputs, bias=bias).to(dtype).requires_grad_(False)
    product = packed("a", linear)
    if product is None:
        pytest.skip(f"no packed product in {dtype} here")
    product.pack(linear.weight)
    return linear, product


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(5,), (1, 16), (2, 3, 7), (1, 130), (0,)])
def test_values(dtype: torch.dtype, bias: bool, shape: tuple[int, ...]) -> None:
    linear, product = make(48, 100, dtype, bias=bias)
    x = torch.randn(*shape, 100).to(dtype)
    found = product(x)
    exact = x.double() @ linear.weight.double().t() + (linear.bias.double() if bias else 0.0)
    assert found.dtype == dtype
    assert found.shape == (*shape, 48)
    assert torch.allclose(found.double(), exact, atol=1e-5 if dtype == torch.float32 else 2e-2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("outputs", "inputs"), [(576, 576), (576, 1536), (2048, 576), (300, 100), (512, 2048)])
def test_a_row_is_the_same_to_the_bit_beside_any_other(
    dtype: torch.dtype, outputs: int, inputs: int, threads: int
) -> None:
    _, product = make(outputs, inputs, dtype)
    x = torch.randn(1056, inputs).to(dtype)
    whole = product(x)
    for start, stop in ((0, 1), (0, 16), (16, 48), (5, 69), (80, 176), (3, 307), (0, 512), (800, 1056)):
        assert torch.equal(product(x[start:stop]), whole[start:stop])


class Fickle(PackedProduct):
    """Adds up otherwise where a call has fewer rows than these, or more."""

    least, most = 0, 10_000

    def _multiply(self, x: Tensor) -> Tensor:
        return super()._multiply(x) + (0.0 if self.least <= x.shape[0] <= self.most else 1e-6)


@pytest.mark.parametrize(
    ("least", "most", "rows"),
    [(0, 10_000, 4), (5, 10_000, 16), (17, 10_000, 64), (64, 64, 64), (0, 40, 64), (4, 70, 4)],
)
def test_calls_have_blocks_of_rows_that_are_found_to_agree(
    least: int, most: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    linear, _ = make(48, 96, torch.float32)
    monkeypatch.setattr(products, "_TRIED", {})
    product = Fickle(linear)
    product.least, product.most = least, most
    product.pack(linear.weight)
    assert product.rows == rows
    x = torch.randn(200, 96)
    whole = product(x)
    for start, stop in ((0, 1), (3, 7), (10, 42), (100, 200)):
        assert torch.equal(product(x[start:stop]), whole[start:stop])


def test_weights_that_tell_nothing_are_not_gone_by(monkeypatch: pytest.MonkeyPatch) -> None:
    linear, product = make(48, 96, torch.float32)
    monkeypatch.setattr(products, "_TRIED", {})
    product.pack(torch.zeros_like(linear.weight))
    assert product.rows == 64
    assert products._TRIED == {}
    product.pack(linear.weight)
    assert product.rows == 4


def test_what_is_multiplied_besides_linear_layers_gets_blocks_of_16() -> None:
    model = Tied().requires_grad_(False)
    assert Products(model, packed).rows < 16
    other = Tied().requires_grad_(False)
    other.experts = nn.Parameter(torch.ones(2, 32, 32), requires_grad=False)
    assert Products(other, packed).rows == 16
    assert Products(Tied().requires_grad_(False), lambda name, linear: None).rows == 16


class Tied(nn.Module):
    """An embedding with its output layer, and a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 32)
        self.layer = nn.Linear(32, 32)
        self.head = nn.Linear(32, 40, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.head(self.layer(self.embedding(ids)))
        return found


def test_new_weights_reach_every_layer_and_none_is_kept_twice() -> None:
    torch.manual_seed(0)
    model, other = Tied().requires_grad_(False), Tied().requires_grad_(False)
    ids = torch.arange(16)
    expected = model(ids), other(ids)
    found = Products(model, packed)
    found.settle()
    assert torch.allclose(model(ids), expected[0], atol=1e-5)
    assert model.layer.weight.untyped_storage().nbytes() == 4
    assert {name: weight.shape for name, weight in model.named_parameters()} == {
        name: weight.shape for name, weight in other.named_parameters()
    }
    copy_weights(model, weights_of(other), found.take)  # type: ignore[arg-type]
    found.refresh()
    assert torch.allclose(model(ids), expected[1], atol=1e-5)


def test_a_shape_that_is_wrong_is_refused_for_packed_weights_too() -> None:
    model = Tied().requires_grad_(False)
    found = Products(model, packed)
    given = {name: weight.detach() for name, weight in Tied().named_parameters()}
    with pytest.raises(ModelError, match=r"layer\.weight"):
        copy_weights(model, {**given, "layer.weight": torch.zeros(3)}.items(), found.take)  # type: ignore[arg-type]


def test_undoing_gives_the_layers_back() -> None:
    model = Tied().requires_grad_(False)
    ids = torch.arange(16)
    expected = model(ids)
    before = model.layer.weight.clone()
    found = Products(model, packed)
    assert len(found) == 2
    found.undo()
    assert torch.equal(model.layer.weight, before)
    assert torch.equal(model(ids), expected)


def test_layers_of_other_kinds_are_left_alone() -> None:
    assert packed("a", nn.Linear(4, 4, dtype=torch.float64)) is None
    assert packed("a", nn.Linear(4, 4, device="meta")) is None


class Folded(LlamaForCausalLM):
    """A model that reads a layer's weights past the layer."""

    def forward(self, *args: object, **rest: object) -> object:
        out = super().forward(*args, **rest)
        out.logits = out.logits + 0.0 * self.model.layers[0].mlp.up_proj.weight.sum()
        return out


def test_a_model_that_reads_weights_itself_is_served_without_products() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=90, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4
    )
    model: PreTrainedModel = Folded(config)
    engine = LocalEngine(copy.deepcopy(model), (), slots=2, detector=lambda: RepetitionDetector(1, 100, 100))
    assert len(engine._products) == 0
    (completion,) = engine.generate([Request("a", (3, 4, 5), (), 4, 4, seed=1)])
    tokens = torch.tensor([[3, 4, 5, *completion.segment.tokens]])
    logprobs = F.log_softmax(model(tokens).logits[0, 2:-1].float(), -1)
    own = logprobs.gather(1, tokens[0, 3:, None])[:, 0].tolist()
    assert completion.segment.logprobs == pytest.approx(own, abs=1e-4)


def test_the_engine_has_products(tiny_model: PreTrainedModel) -> None:
    layers = sum(type(module) is nn.Linear for module in tiny_model.modules())
    engine = LocalEngine(copy.deepcopy(tiny_model), (), slots=2, detector=lambda: RepetitionDetector(1, 100, 100))
    assert len(engine._products) == layers
    assert isinstance(engine._products._tied[0][1], PackedProduct)
