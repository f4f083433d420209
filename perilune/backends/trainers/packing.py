"""Packing: samples that share a prompt are one tree, whose prompt goes through the model once.

A micro-batch is one row of N tokens, [prompt][response 1][response 2]…[prompt][response 1]…, without padding. Each
response attends to its prompt and to itself; its positions follow the prompt's. A group of k responses so costs
P + sum(R_j) tokens in place of k·P + sum(R_j), with the same log-probabilities and the same gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface

from perilune.backends.trainers.tree_attention import Branch, Tree, tree_attention
from perilune.errors import TrainerError
from perilune.types import Sample

ATTENTION_NAME = "perilune_packed"


@dataclass(frozen=True, slots=True)
class Pack:
    """One micro-batch of N packed tokens that predict M response tokens."""

    tokens: tuple[int, ...]
    """[N]"""
    positions: tuple[int, ...]
    """[N] position of each token in its own sample."""
    trees: tuple[Tree, ...]
    predictors: tuple[int, ...]
    """[M] which packed token predicts each response token: the prompt's last token predicts k first ones."""
    targets: tuple[int, ...]
    """[M] the response tokens, sample after sample."""
    spans: tuple[tuple[int, int, int], ...]
    """(sample, first, last + 1): where each sample's response tokens lie among the M."""


def pack(samples: Sequence[Sample], indices: Sequence[int], token_budget: int) -> list[Pack]:
    """Pack the samples at ``indices`` into micro-batches of at most ``token_budget`` tokens.

    A sample longer than the budget gets a micro-batch of its own. Spans name samples by their index in ``samples``.
    """
    families: dict[tuple[int, ...], list[int]] = {}
    for index in indices:
        sample = samples[index]
        families.setdefault(sample.tokens[: sample.prompt_length], []).append(index)
    batches: list[list[tuple[tuple[int, ...], list[int]]]] = [[]]
    used = 0
    for prompt, members in families.items():
        open_family: list[int] | None = None
        for index in members:
            length = len(samples[index].tokens) - len(prompt) - 1
            cost = length if open_family is not None else length + len(prompt)
            if used and used + cost > token_budget:
                batches.append([])
                used, open_family, cost = 0, None, length + len(prompt)
            if open_family is None:
                open_family = []
                batches[-1].append((prompt, open_family))
            open_family.append(index)
            used += cost
    return [_lay_out(samples, families) for families in batches if families]


def pack_pairs(samples: Sequence[Sample], pairs: Sequence[tuple[int, int]], token_budget: int) -> list[Pack]:
    """Like :func:`pack`, but both samples of a pair lie in one micro-batch; one pair may exceed the budget."""
    batches: list[list[int]] = []
    used = 0
    for pair in pairs:
        first = samples[pair[0]]
        cost = sum(len(samples[index].tokens) for index in pair) - first.prompt_length
        if not batches or used + cost > token_budget:
            batches.append([])
            used = 0
        batches[-1] += pair
        used += cost
    return [packed for batch in batches for packed in pack(samples, batch, _size(samples, batch))]


def _size(samples: Sequence[Sample], indices: Sequence[int]) -> int:
    return sum(len(samples[index].tokens) for index in indices)


def _lay_out(samples: Sequence[Sample], families: Sequence[tuple[tuple[int, ...], list[int]]]) -> Pack:
    tokens: list[int] = []
    positions: list[int] = []
    predictors: list[int] = []
    targets: list[int] = []
    trees: list[Tree] = []
    spans: list[tuple[int, int, int]] = []
    for prompt, members in families:
        start, length = len(tokens), len(prompt)
        tokens += prompt
        positions += range(length)
        branches: list[Branch] = []
        for index in members:
            response = samples[index].tokens[length:]
            branch = Branch(index, len(tokens), len(response) - 1)
            spans.append((index, len(targets), len(targets) + len(response)))
            predictors += [start + length - 1, *range(branch.start, branch.start + branch.length)]
            targets += response
            tokens += response[:-1]
            positions += range(length, length + branch.length)
            branches.append(branch)
        trees.append(Tree(start, length, tuple(branches)))
    return Pack(tuple(tokens), tuple(positions), tuple(trees), tuple(predictors), tuple(targets), tuple(spans))


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    trees: Sequence[Tree],
    scaling: float | None = None,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Attention within each tree, in the form that transformers calls.

    Args:
        module: unused.
        query: [1, heads, N, head dimension].
        key: [1, kv heads, N, head dimension].
        value: like ``key``.
        attention_mask: unused; the trees know who sees what.
        trees: what the trainer passed to the model.
        scaling: factor on the scores.
        sliding_window: how many newest positions are seen, if the layer limits them.
        rest: refused where it would change the result (soft-capped or sink attention).

    Returns:
        [1, N, heads, head dimension], and no attention weights.
    """
    for name in ("softcap", "s_aux", "position_bias"):
        if rest.get(name) is not None:
            raise TrainerError(f"the torch trainer cannot compute packed attention with {name!r}")
    out = tree_attention(query[0], key[0], value[0], trees, scaling, sliding_window)
    return out.transpose(0, 1)[None], None


AttentionInterface.register(ATTENTION_NAME, packed_attention)
