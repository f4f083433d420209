"""Expected outputs by vote, where nobody has written them down (k1.5, section 2.3.5).

Known right submissions run on each case. A case on which enough of them agree is valid, and what they agree on is its
expected output; the problem is kept if enough submissions pass all valid cases, and enough cases are valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perilune.recipe.cases import CasesConfig

Same = Callable[[bytes, bytes], bool]
"""Whether two outputs count as equal: what the problem's checker says of (expected, actual)."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """What a vote came to."""

    expected: tuple[bytes | None, ...]
    """Of each case: the output agreed on, or None where the case is not valid."""
    passed: tuple[int, ...]
    """Of each submission: how many of the valid cases it passes."""

    @property
    def valid(self) -> int:
        """How many cases are valid."""
        return sum(output is not None for output in self.expected)

    @property
    def right(self) -> int:
        """How many submissions pass all valid cases."""
        return sum(count == self.valid for count in self.passed)

    def keeps(self, config: CasesConfig) -> bool:
        """Whether the problem is kept."""
        return self.valid >= config.valid_cases and self.right >= config.passing


def vote(outputs: Sequence[Sequence[bytes | None]], config: CasesConfig, same: Same) -> Consensus:
    """Let submissions vote on cases.

    Args:
        outputs: [submission][case]; None where the run did not end well or printed nothing, which has no vote.
        config: how much agreement is needed.
        same: when two outputs are equal.
    """
    expected = [_agreed(case, config.agreeing, same) for case in zip(*outputs, strict=True)]
    passed = tuple(
        sum(
            want is not None and got is not None and same(want, got)
            for want, got in zip(expected, submission, strict=True)
        )
        for submission in outputs
    )
    return Consensus(tuple(expected), passed)


def _agreed(outputs: Sequence[bytes | None], agreeing: int, same: Same) -> bytes | None:
    """The output that enough others equal: the one with the most, the first of them where several tie."""
    votes = [output for output in outputs if output is not None]
    counts = [sum(same(candidate, other) for other in votes) for candidate in votes]
    most = max(counts, default=0)
    return votes[counts.index(most)] if most >= agreeing else None
