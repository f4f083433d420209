"""When a response repeats itself and is stopped early (k1.5, section 2.6.2: "repeat, early stop").

The paper does not publish its rule; ours is :func:`is_repeating`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def is_repeating(tokens: Sequence[int], max_period: int, min_repeats: int, min_tokens: int) -> bool:
    """The rule: the response ends in copies of one block.

    True if for some period p from 1 to ``max_period`` the last max(p * min_repeats, min_tokens) tokens exist and
    each of them equals the one p places before it, as far as that lies within them too.

    This is the definition, slow on purpose; :class:`RepetitionDetector` gives the same answer token by token.
    """
    for period in range(1, max_period + 1):
        span = max(period * min_repeats, min_tokens)
        tail = tokens[len(tokens) - span :] if span <= len(tokens) else ()
        if tail and all(tail[i] == tail[i - period] for i in range(period, span)):
            return True
    return False


class RepetitionDetector:
    """Tells after every token whether :func:`is_repeating` holds, in time independent of the response's length.

    ``run[p-1]`` counts for how many tokens in a row each equalled the one p places before. The answer depends on the
    tokens alone, never on how the response was cut into segments: a continued response passes its ``earlier`` tokens.

    Args:
        max_period: longest block in tokens, at least 1.
        min_repeats: copies in a row that count as repetition, at least 2.
        min_tokens: least tokens that the copies span together.
        earlier: tokens of the response so far; ids are not negative.
    """

    def __init__(self, max_period: int, min_repeats: int, min_tokens: int, earlier: Sequence[int] = ()) -> None:
        if max_period < 1 or min_repeats < 2:
            raise ValueError(f"need max_period >= 1 and min_repeats >= 2, got {max_period} and {min_repeats}")
        periods = np.arange(1, max_period + 1)
        spans = np.maximum(periods * min_repeats, min_tokens)
        self._needed = (spans - periods).astype(np.int64)
        self._run = np.zeros(max_period, dtype=np.int64)
        # Newest token first: a window of max_period walks down this buffer and is copied back to the top at the bottom.
        # -1 is no token, so that what lies before the response matches nothing.
        self._history = np.full(32 * max_period, -1, dtype=np.int64)
        self._start = self._history.size - max_period
        self._max_period = max_period
        self._repeating = False
        # No rule looks further back than the longest span.
        for token in earlier[-int(spans.max()) :]:
            self.push(token)

    @property
    def repeating(self) -> bool:
        """Whether the tokens so far end in a repetition."""
        return self._repeating

    def push(self, token: int) -> bool:
        """Take the next token; True if the response now ends in a repetition."""
        start, run = self._start, self._run
        run += 1
        run *= self._history[start : start + self._max_period] == token
        if start == 0:
            kept = self._max_period - 1
            start = self._history.size - kept
            self._history[start:] = self._history[:kept]
        self._start = start - 1
        self._history[self._start] = token
        self._repeating = bool((run >= self._needed).any())
        return self._repeating
