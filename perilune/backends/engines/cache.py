"""What the local engine asks of a key/value cache; there are two, one for a compiled kernel and one for torch's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

ROWS = 16
"""Rows come in whole blocks of so many at most: plain products of fewer round differently."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What happens to scores before the softmax."""

    scaling: float | None
    """Factor on them; None is 1 / sqrt(head dimension)."""
    window: int | None
    """How many newest positions are seen, if the layer limits them."""
    cap: float | None
    """They are held below it, by cap · tanh(score / cap) (Gemma 2)."""
    sinks: Tensor | None
    """[heads] each head's sink, a score that takes a share and gives nothing (gpt-oss)."""

    @property
    def plain(self) -> bool:
        """Whether torch's own kernels can do it."""
        return self.cap is None and self.sinks is None


class Batch(Protocol):
    """What one forward pass needs to know about its packed tokens."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scores: Scores) -> Tensor:
        """Keep the keys and values, and attend, [1, N, heads, value dimension].

        Args:
            layer: number of the layer.
            query: [1, heads, N, head dimension].
            key: [1, kv heads, N, head dimension].
            value: [1, kv heads, N, value dimension].
            scores: what happens to them.
        """
        ...


class Step(NamedTuple):
    """One forward pass over packed tokens: the newest of each response, then guesses at those that follow, response by
    response, then earlier ones of those just admitted."""

    ids: list[int]
    positions: list[int]
    batch: Batch
    """Given to the model as ``slot_batch``."""


class KeyValueCache(Protocol):
    """Keys and values of the responses that run; they are numbered from 0, and a new one is the last."""

    slots: int
    """Responses that have a place, at most."""
    takes_drafts: bool
    """Whether guesses may be computed beside: where a token is the same to the bit whatever it is computed with."""

    def admit(self, tokens: Sequence[int]) -> int:
        """A response with these tokens begins or goes on; how many of them must be computed in the next step."""
        ...

    @property
    def unread(self) -> int:
        """Earlier tokens of responses just admitted, which the next step computes."""
        ...

    def step(self, contexts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]] = ()) -> Step:
        """The next forward pass, each response with one more token; keys and values of the last ones are kept.

        Args:
            contexts: each response's tokens, its prompt counted.
            drafts: guesses at what follows each of them, where there are any; the next step may say otherwise.
        """
        ...

    def drop(self, row: int) -> None:
        """A response has ended; the last one takes its number."""
        ...
