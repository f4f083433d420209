from __future__ import annotations

import math
import warnings

import pytest
import torch

from perilune.algorithm.merging import weighted_average

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mergekit.merge_methods import merge_tensors


def test_the_plain_average() -> None:
    merged = weighted_average([torch.tensor([1.0, -2.0]), torch.tensor([3.0, 4.0])], [0.5, 0.5])
    assert merged.tolist() == [2.0, 1.0]


def test_only_the_ratios_of_weights_count() -> None:
    tensors = [torch.tensor([0.0]), torch.tensor([4.0]), torch.tensor([8.0])]
    assert weighted_average(tensors, [1, 1, 2]).tolist() == [5.0]
    assert weighted_average(tensors, [4, 4, 8]).tolist() == [5.0]
    assert weighted_average(tensors, [0, 3, 0]).tolist() == [4.0]


def test_rounding_comes_last() -> None:
    # In bfloat16 1 + 2^-8 is 1; summed there, both small ones would be lost.
    small = [torch.tensor([value], dtype=torch.bfloat16) for value in (1.0, 2.0**-8, 2.0**-8)]
    merged = weighted_average(small, [1, 1, 1])
    assert merged.dtype == torch.bfloat16
    assert merged.item() == torch.tensor((1 + 2.0**-7) / 3).bfloat16().item()


def test_double_precision_stays() -> None:
    tensors = [torch.tensor([1.0], dtype=torch.float64), torch.tensor([1 + 2.0**-40], dtype=torch.float64)]
    assert weighted_average(tensors, [0.5, 0.5]).item() == 1 + 2.0**-41


def test_the_inputs_stay_as_they_are() -> None:
    first = torch.ones(3)
    weighted_average([first, torch.zeros(3)], [0.5, 0.5])
    assert first.tolist() == [1, 1, 1]


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.3, 0.7), (1 / 3, 2 / 3), (1.0, 3.0), (0.1, 0.2, 0.7)])
@pytest.mark.parametrize("shape", [(), (7,), (33, 65), (3, 5, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_it_is_mergekits_linear_merge_to_the_bit(
    weights: tuple[float, ...], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    source = torch.Generator().manual_seed(1)
    tensors = [torch.randn(shape, generator=source).to(dtype) for _ in weights]
    expected = merge_tensors(tensors, "linear", parameters={"weight": list(weights)})
    merged = weighted_average(tensors, weights)
    assert merged.dtype == expected.dtype == dtype
    assert torch.equal(merged, expected)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1.0,), r"1 weight\(s\) were given for 2 model\(s\)"),
        ((1.0, -0.5), r"not negative \(got -0\.5\)"),
        ((1.0, math.nan), r"not negative \(got nan\)"),
        ((0.0, 0.0), "all weights are zero"),
    ],
)
def test_weights_that_cannot_be_used(weights: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weighted_average([torch.ones(1), torch.ones(1)], weights)


def test_whole_numbers_have_no_average() -> None:
    with pytest.raises(ValueError, match=r"only floating-point numbers can be averaged, not torch\.int64"):
        weighted_average([torch.tensor([1]), torch.tensor([2])], [1, 1])
