"""Gradients that linear layers and embeddings add in place, against autograd's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from perilune.backends.trainers.gradient import Gradient, add_in_place


class Network(nn.Module):
    """An embedding, a layer with a bias, and an output layer that may be the embedding."""

    def __init__(self, *, tied: bool, padding: int | None = None):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(300, 8, padding_idx=padding)
        self.norm = nn.LayerNorm(8)
        self.middle = nn.Linear(8, 8)
        self.head = nn.Linear(8, 300, bias=False)
        self.unused = nn.Linear(3, 3)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.head(self.middle(self.norm(self.embedding(ids))).relu())
        return logits


def micro_batches() -> list[Tensor]:
    return [torch.tensor([[5, 1, 299, 5, 5, 0]]), torch.tensor([[1, 7]])]


def in_place(network: nn.Module, micros: list[Tensor], gradient: Gradient) -> list[Tensor]:
    parameters = list(network.parameters())
    gradient.begin(torch.zeros(sum(p.numel() for p in parameters)))
    for ids in micros:
        network(ids).square().sum().backward()
        for place, parameter in enumerate(parameters):
            if parameter.grad is not None:
                gradient.add(place, parameter.grad)
                parameter.grad = None
    gradient.finish()
    return gradient.parts


def made_for(network: nn.Module) -> Gradient:
    parameters = list(network.parameters())

    def views(block: Tensor) -> list[Tensor]:
        parts = block.split([p.numel() for p in parameters])
        return [part.view(p.shape) for part, p in zip(parts, parameters, strict=True)]

    gradient = Gradient(views)
    add_in_place(network, parameters, gradient)
    return gradient


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("padding", [None, 5])
@pytest.mark.parametrize("tied", [False, True])
def test_the_sums_are_autograds(tied: bool, padding: int | None, dtype: torch.dtype) -> None:
    network = Network(tied=tied, padding=padding).to(dtype)
    plain = copy.deepcopy(network).float()
    for ids in micro_batches():
        plain(ids).square().sum().backward()
    gradient = made_for(network)
    error = 1e-5 if dtype == torch.float32 else 3e-2
    for _ in range(2):
        found = in_place(network, micro_batches(), gradient)
        for mine, parameter in zip(found, plain.parameters(), strict=True):
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            assert mine.dtype == torch.float32
            assert torch.allclose(mine, expected, rtol=error, atol=error * float(expected.abs().max()) + 1e-12)
        gradient.clear()


def test_one_micro_batch_has_autograds_bits() -> None:
    network = Network(tied=False)
    plain = copy.deepcopy(network)
    (ids, *_) = micro_batches()
    plain(ids).square().sum().backward()
    for mine, parameter in zip(in_place(network, [ids], made_for(network)), plain.parameters(), strict=True):
        assert parameter.grad is None or torch.equal(mine, parameter.grad)


def test_layers_have_no_gradient_of_their_own() -> None:
    network = Network(tied=True)
    gradient = made_for(network)
    gradient.begin(torch.zeros(sum(p.numel() for p in network.parameters())))
    (ids, *_) = micro_batches()
    network(ids).sum().backward()
    assert network.head.weight.grad is None and network.middle.weight.grad is None
    assert network.norm.weight.grad is not None and network.middle.bias.grad is not None


def test_memory_is_given_back() -> None:
    network = Network(tied=True)
    gradient = made_for(network)
    in_place(network, micro_batches(), gradient)
    gradient.free()
    assert gradient.block is None and gradient.parts == []


def test_an_embedding_with_rules_of_its_own_stays_as_it_is() -> None:
    network = nn.Sequential(nn.Embedding(10, 4, max_norm=1.0))
    made_for(network)
    assert "forward" not in vars(network[0])
