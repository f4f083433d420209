"""Guesses at how responses go on, from what their group has written: n-gram look-up.

Seer (arXiv 2511.14617) drafts from a group's own responses as well.

A forward pass of few rows costs nearly as much as one of some more, since most of it is reading the weights; and it has
whole blocks of rows. So guesses take the places that are free, and further ones as long as they are likely to pay. A
guess is kept only if it is the token that is drawn there anyway, so responses do not change.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

_ORDERS = (3, 2, 1)
"""How many newest tokens are looked up, the most first."""


_FIXED_ROWS = 20
"""What a step costs besides its rows, in rows: measured 20 to 36 (fp32 with AVX2, bf16 with AVX-512), two cores."""
_DEEPEST = 8
"""Guesses that a response may have besides those in free places: the chances of later ones are the least known."""
_KEPT = 0.95
"""How much of what was observed counts after a further step."""


class Drafts:
    """What the groups have written, looked up by the newest tokens of a response."""

    def __init__(self) -> None:
        self._written: dict[int, list[Sequence[int]]] = {}
        self._tables: dict[int, _Table] = {}
        # As if a few had been tried already.
        self._reached, self._drawn = 10.0, 3.0

    @property
    def rate(self) -> float:
        """Share of late of the guesses that were drawn, among those whose predecessors were."""
        return self._drawn / self._reached

    def observe(self, guessed: Sequence[int], drawn: Sequence[int]) -> None:
        """A step's guesses, and how many of them were drawn, response by response."""
        reached = sum(min(made, kept + 1) for made, kept in zip(guessed, drawn, strict=True))
        self._reached = max(_KEPT * self._reached + reached, 1.0)
        self._drawn = _KEPT * self._drawn + sum(drawn)

    def places(self, left: Sequence[int], block: int) -> list[int]:
        """How many guesses each response is to have.

        The next guess is worth a token times its chance, and costs a row; it pays where that is more than the step's
        tokens for all that the step costs.

        Args:
            left: tokens that each response may have after the next one.
            block: rows are computed in whole blocks of so many.
        """
        rows, tokens, depth, paying = len(left), float(len(left)), 1, 0
        chance = min(self.rate, 1.0)
        while depth <= _DEEPEST and chance * (_FIXED_ROWS + rows) > tokens:
            open_ = sum(most >= depth for most in left)
            if not open_:
                break
            paying, rows, tokens = paying + open_, rows + open_, tokens + open_ * chance
            depth, chance = depth + 1, chance * self.rate
        return share_places(paying + -rows % block, left)

    def begin(self, group: int, tokens: Sequence[int]) -> None:
        """A response begins or goes on.

        Args:
            group: the same for all that answer one prompt.
            tokens: prompt and response; the list grows as tokens are drawn, and is read when a guess is asked for.
        """
        self._written.setdefault(group, []).append(tokens)

    def forget(self, group: int) -> None:
        """All responses of a group have ended."""
        self._written.pop(group, None)
        self._tables.pop(group, None)

    def guess(self, group: int, tokens: Sequence[int], count: int) -> list[int]:
        """Up to ``count`` tokens that may follow."""
        table = self._tables.setdefault(group, _Table())
        table.read(self._written[group])
        newest = list(tokens[-_ORDERS[0] :])
        found: list[int] = []
        while len(found) < count:
            token = table.likeliest(newest)
            if token is None:
                break
            found.append(token)
            newest.append(token)
        return found


class _Table:
    """How often each token followed each n-gram."""

    def __init__(self) -> None:
        self._followed: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        self._read: list[int] = []

    def read(self, written: Sequence[Sequence[int]]) -> None:
        """Take in what has been written since the last time."""
        self._read += [1] * (len(written) - len(self._read))
        for number, tokens in enumerate(written):
            for place in range(self._read[number], len(tokens)):
                for order in _ORDERS:
                    if place >= order:
                        self._followed[tuple(tokens[place - order : place])][tokens[place]] += 1
            self._read[number] = max(self._read[number], len(tokens))

    def likeliest(self, newest: Sequence[int]) -> int | None:
        """The token that followed the longest known end of ``newest`` most often, the first of them at a tie."""
        for order in _ORDERS:
            followed = self._followed.get(tuple(newest[-order:])) if len(newest) >= order else None
            if followed:
                return max(followed, key=followed.__getitem__)
        return None


def share_places(free: int, wanted: Sequence[int]) -> list[int]:
    """Divide free places evenly among responses.

    Args:
        free: places.
        wanted: how many each response can use.

    Returns:
        how many each gets; the first ones get what cannot be divided.
    """
    given = [0] * len(wanted)
    while free > 0:
        open_ = [place for place, most in enumerate(wanted) if given[place] < most]
        if not open_:
            break
        each = max(1, free // len(open_))
        for place in open_:
            more = min(each, wanted[place] - given[place], free)
            given[place] += more
            free -= more
    return given
