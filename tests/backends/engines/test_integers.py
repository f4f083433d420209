"""Layers in int8: exact sums, a row that is the same beside any others, values near the layer's own."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.engines import integers
from perilune.backends.engines.integers import (
    FORMS,
    Form,
    IntegerProduct,
    Quantizer,
    fastest_form,
    integer_products,
)
from perilune.backends.engines.local import LocalEngine
from perilune.backends.engines.products import PackedProduct
from perilune.backends.models import weights_of
from perilune.types import Request

DTYPES = [torch.float32, torch.bfloat16]


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def product(outputs: int, inputs: int, *, bias: bool = False) -> tuple[nn.Linear, IntegerProduct]:
    torch.manual_seed(outputs)
    linear = nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)
    made = IntegerProduct(linear, Quantizer())
    made.pack(linear.weight)
    return linear, made


@pytest.mark.parametrize("columns", [64, 100, 1536])
def test_sums_are_exact_at_the_extremes(columns: int) -> None:
    levels = integers.weight_levels()
    x = torch.full((16, columns), 127, dtype=torch.int8)
    x[1], x[2, ::2] = -127, -127
    weights = torch.full((32, columns), levels, dtype=torch.int8)
    weights[1], weights[2, ::2] = -levels, -levels
    exact = x.double() @ weights.double().t()
    for form in FORMS.values():
        assert torch.equal(form.multiply(x, form.prepare(weights)).double(), exact)


def test_a_form_that_the_processor_has_no_kernel_for_is_not_tried_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []

    def slow(x: Tensor, weights: Tensor) -> Tensor:
        rows.append(len(x))
        time.sleep(0.05)
        return FORMS["as they come"].multiply(x, weights)

    forms = {**FORMS, "packed": Form(FORMS["as they come"].prepare, slow)}
    monkeypatch.setattr(integers, "FORMS", forms)
    assert fastest_form.__wrapped__(300, 100) in (forms["as they come"], forms["by inputs"])
    assert set(rows) == {16}


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_kernel_rounds_as_torch_does(dtype: torch.dtype) -> None:
    pytest.importorskip("llvmlite")
    torch.manual_seed(0)
    x = (torch.randn(20, 96) * torch.logspace(-20, 20, 20)[:, None]).to(dtype)
    x[3] = 0
    assert all(torch.equal(a, b) for a, b in zip(integers.quantize(x), integers.quantize_by_torch(x), strict=True))
    sums = torch.randint(-(2**24), 2**24, (20, 96), dtype=torch.int32)
    scales, channels, bias = torch.rand(20), torch.rand(96), torch.randn(96).to(dtype)
    for given in (None, bias):
        expected = integers.restore_by_torch(sums, scales, channels, given, dtype)
        assert torch.equal(integers.restore(sums, scales, channels, given, dtype), expected)
        assert torch.equal(integers.restore(sums.float(), scales, channels, given, dtype), expected)


@pytest.mark.parametrize("flaw", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("columns", [96, 100])
def test_a_row_that_has_diverged_is_seen_to(flaw: float, columns: int) -> None:
    _, made = product(32, columns)
    x = torch.randn(3, columns)
    x[1, 7] = flaw
    found = made(x)
    assert found[1].isnan().all()
    assert found[[0, 2]].isfinite().all()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("outputs", "inputs"), [(576, 1536), (300, 100)])
def test_values_are_near(outputs: int, inputs: int, bias: bool) -> None:
    linear, made = product(outputs, inputs, bias=bias)
    x = torch.randn(2, 20, inputs)
    expected = linear(x)
    assert (made(x) - expected).norm() / expected.norm() < 0.02


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
def test_a_row_is_the_same_to_the_bit_beside_any_other(dtype: torch.dtype, form: str, threads: int) -> None:
    linear, made = product(576, 1536)
    x = torch.randn(1056, 1536).to(dtype)
    expected = made(x)
    made._form = FORMS[form]
    made.pack(linear.weight)
    # A layer may take any form: all give the same.
    assert torch.equal(made(x.clone()), expected)
    for start, stop in ((0, 1), (0, 16), (5, 69), (80, 176), (3, 307)):
        assert torch.equal(made(x[start:stop]), expected[start:stop])


def test_layers_that_read_the_same_share_its_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Tensor] = []
    quantize = integers.quantize
    monkeypatch.setattr(integers, "quantize", lambda x: (calls.append(x), quantize(x))[1])
    quantizer = Quantizer()
    x, y = torch.randn(4, 32), torch.randn(4, 32)
    first = quantizer(x)
    assert quantizer(x) is first
    quantizer(y)
    assert len(calls) == 2


def small() -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 96, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 6}
    return LlamaForCausalLM(LlamaConfig(vocab_size=304, num_key_value_heads=2, initializer_range=0.1, **sizes)).eval()


def engine(model: PreTrainedModel, slots: int, *, output: bool = True) -> LocalEngine:
    make = integer_products(output=output)
    detector = lambda: RepetitionDetector(1, 100, 100)  # noqa: E731
    return LocalEngine(copy.deepcopy(model), (), slots=slots, detector=detector, make=make)


REQUESTS = [Request(str(n), tuple(range(3, 9 + n)), (), 12, 12, seed=n) for n in range(20)]


def test_a_response_does_not_depend_on_its_batch(threads: int) -> None:
    model = small()
    crowd = {c.request_id: c.segment for c in engine(model, 20).generate(REQUESTS)}
    for slots, part in ((3, REQUESTS[:5]), (1, REQUESTS[9:10])):
        for completion in engine(model, slots).generate(part):
            assert completion.segment == crowd[completion.request_id]
    cut = replace(REQUESTS[4], response_tokens=crowd["4"].tokens[:5])
    (rest,) = engine(model, 2).generate([cut])
    assert rest.segment.tokens == crowd["4"].tokens[5:]
    assert rest.segment.logprobs == crowd["4"].logprobs[5:]


def test_log_probabilities_are_near_and_follow_new_weights() -> None:
    model = small()
    served = engine(model, 4)
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    for own in (model, changed):
        if own is changed:
            served.load_weights(weights_of(changed), version=1)
        (completion,) = served.generate(REQUESTS[3:4])
        tokens = torch.tensor([[*REQUESTS[3].prompt_tokens, *completion.segment.tokens]])
        begin = len(REQUESTS[3].prompt_tokens)
        logprobs = own(tokens).logits[0, begin - 1 : -1].log_softmax(-1).gather(1, tokens[0, begin:, None])[:, 0]
        assert completion.segment.logprobs == pytest.approx(logprobs.tolist(), abs=0.2)


def test_the_output_layer_may_be_left_out() -> None:
    products = engine(small(), 2, output=False)._products
    assert sum(isinstance(p, PackedProduct) for p in products._owned.values()) == 1
