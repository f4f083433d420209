from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from perilune.backends.trainers.tree_attention import Branch, Tree, tree_attention

HEADS, KV_HEADS, WIDTH = 4, 2, 8
SHORT = (Tree(0, 5, (Branch(0, 5, 7), Branch(1, 12, 0), Branch(2, 12, 3))), Tree(15, 4, (Branch(3, 19, 6),)))
LONG = (Tree(0, 300, (Branch(0, 300, 900), Branch(1, 1200, 40))), Tree(1240, 3, (Branch(2, 1243, 1000),)))
"""Long enough for several blocks of queries in the backward pass."""


def seen_by_definition(trees: Sequence[Tree], window: int | None) -> Tensor:
    """[N, N] bool: each token sees its own prompt and response up to itself, the newest ``window`` of them."""
    seen = torch.zeros(trees[-1].end, trees[-1].end, dtype=torch.bool)
    for tree in trees:
        prompt = list(range(tree.start, tree.start + tree.length))
        for branch in tree.branches:
            path = prompt + list(range(branch.start, branch.start + branch.length))
            for place, token in enumerate(path):
                first = 0 if window is None else max(0, place + 1 - window)
                seen[token, path[first : place + 1]] = True
    return seen


def plain(query: Tensor, key: Tensor, value: Tensor, seen: Tensor, scaling: float) -> Tensor:
    key, value = (x.repeat_interleave(HEADS // KV_HEADS, 0) for x in (key, value))
    scores = (query @ key.transpose(1, 2) * scaling).masked_fill(~seen, float("-inf"))
    return scores.softmax(-1) @ value


@pytest.mark.parametrize("window", [None, 3, 450])
@pytest.mark.parametrize("trees", [SHORT, LONG], ids=["short", "long"])
def test_attention_and_its_gradient_are_those_of_the_definition(trees: Sequence[Tree], window: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = trees[-1].end
    inputs = [torch.randn(h, tokens, WIDTH, generator=generator) for h in (HEADS, KV_HEADS, KV_HEADS)]
    ours = [x.clone().requires_grad_() for x in inputs]
    theirs = [x.double().requires_grad_() for x in inputs]
    upstream = torch.randn(HEADS, tokens, WIDTH, generator=generator)

    out = tree_attention(*ours, trees, 0.3, window)
    out.backward(upstream)  # type: ignore[no-untyped-call]
    expected = plain(*theirs, seen_by_definition(trees, window), 0.3)
    expected.backward(upstream.double())  # type: ignore[no-untyped-call]

    assert torch.allclose(out, expected.float(), atol=1e-5)
    for mine, right in zip(ours, theirs, strict=True):
        assert mine.grad is not None and right.grad is not None
        assert torch.allclose(mine.grad, right.grad.float(), atol=1e-5)


def test_bf16_gradients_keep_bf16s_precision() -> None:
    generator = torch.Generator().manual_seed(1)
    tokens = SHORT[-1].end
    inputs = [torch.randn(h, tokens, WIDTH, generator=generator).bfloat16() for h in (HEADS, KV_HEADS, KV_HEADS)]
    ours = [x.clone().requires_grad_() for x in inputs]
    theirs = [x.double().requires_grad_() for x in inputs]
    upstream = torch.randn(HEADS, tokens, WIDTH, generator=generator).bfloat16()
    tree_attention(*ours, SHORT, None, None).backward(upstream)  # type: ignore[no-untyped-call]
    right = plain(*theirs, seen_by_definition(SHORT, None), WIDTH**-0.5)
    right.backward(upstream.double())  # type: ignore[no-untyped-call]
    for mine, exact in zip(ours, theirs, strict=True):
        assert mine.grad is not None and exact.grad is not None
        error = (mine.grad.double() - exact.grad).norm() / exact.grad.norm()
        assert error < 2**-7
