"""What the local engine asks of a key/value cache; there are two, one for a compiled kernel and one for torch's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

ATTENTION_NAME = "perilune_slots"
"""Under which transformers finds the attention of both."""
ROWS = 16
"""Rows come in whole blocks of so many: products of fewer round differently."""


class Step(NamedTuple):
    """One forward pass over packed tokens: the newest of each response, then guesses at those that follow, response by
    response, then earlier ones of those just admitted."""

    ids: list[int]
    positions: list[int]
    batch: object
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
