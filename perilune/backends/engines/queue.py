"""The order in which requests get a place: those that are expected to be longest first (Seer, arXiv 2511.14617).

What is long and begins late is what a batch waits for at its end. How long a response will be is told by how far it is
already and by its siblings that have ended; a group of which nothing is known counts as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from perilune.types import Request


class LongestFirst:
    """Requests that wait for a place; each belongs to a group, which all that answer one prompt share."""

    def __init__(self, requests: Sequence[Request]):
        numbers: dict[tuple[int, ...], int] = {}
        self._waiting: dict[int, list[tuple[int, Request]]] = {}
        self._ended: defaultdict[int, list[int]] = defaultdict(list)
        for number, request in enumerate(requests):
            group = numbers.setdefault(request.prompt_tokens, len(numbers))
            self._waiting.setdefault(group, []).append((number, request))
        self._next: dict[int, tuple[int, int, int]] = {}
        self._left = len(requests)
        for group in self._waiting:
            self._look(group)

    def __len__(self) -> int:
        return self._left

    def pop(self) -> tuple[int, Request]:
        """The number of its group and the request with most tokens to come; at a tie the one that was asked first."""
        group = min(self._next, key=self._next.__getitem__)
        _, _, place = self._next[group]
        _, request = self._waiting[group].pop(place)
        self._left -= 1
        if self._waiting[group]:
            self._look(group)
        else:
            del self._waiting[group], self._next[group]
        return group, request

    def ended(self, group: int, length: int) -> None:
        """A response of a group has come to its own end after so many tokens."""
        self._ended[group].append(length)
        if group in self._waiting:
            self._look(group)

    def remain(self, group: int) -> bool:
        """Whether others of a group wait."""
        return group in self._waiting

    def _look(self, group: int) -> None:
        """Find a group's longest."""
        waiting = enumerate(self._waiting[group])
        self._next[group] = min(
            (-self._expected(request, group), number, place) for place, (number, request) in waiting
        )

    def _expected(self, request: Request, group: int) -> int:
        """Tokens that the response will take in this call."""
        done = len(request.response_tokens)
        most = min(request.segment_tokens, request.max_response_tokens - done)
        if not self._ended[group]:
            return most
        longer = [length for length in self._ended[group] if length > done]
        # Past all its siblings: as far again.
        total = sum(longer) // len(longer) if longer else 2 * done
        return min(most, max(total - done, 1))
