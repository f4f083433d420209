"""Texts by their sketches: which of those of a group are near another one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from datasketch import MinHashLSH
from numpy.typing import NDArray

from perilune.curation.similarity import ngrams, similarity, sketch

_WORDS = 32
"""Words of 64 bits that a text's n-grams set bits in: 2,048, so that those of a question seldom meet."""


@dataclass(frozen=True, slots=True)
class Sketched:
    """A text as it is looked for."""

    text: str
    grams: frozenset[str]
    bands: tuple[bytes, ...]
    """Its sketch in parts: two texts are compared if they have one in common."""
    hashes: NDArray[np.int64]
    """Of the n-grams, in order."""
    bits: NDArray[np.uint64]
    """[WORDS]; for each n-gram one bit is set, that of its hash."""


class NearIndex:
    """Texts in groups, each compared with those of a group alone.

    Args:
        threshold: least Jaccard similarity of character n-grams.
        ngram: characters of an n-gram.
        permutations: of MinHash.
    """

    def __init__(self, threshold: float, ngram: int, permutations: int) -> None:
        self._threshold, self._ngram, self._permutations = threshold, ngram, permutations
        # Missing a pair is what cannot be mended later: candidates that are none cost only a comparison.
        index = MinHashLSH(threshold=min(0.95, max(0.05, threshold)), num_perm=permutations, weights=(0.1, 0.9))
        self._ranges: Sequence[tuple[int, int]] = index.hashranges
        self._groups: dict[Hashable, int] = {}
        self._places: defaultdict[tuple[int, int, bytes], list[int]] = defaultdict(list)
        self._texts: dict[int, str] = {}
        self._hashes: dict[int, NDArray[np.int64]] = {}
        # A row for each text, so that many are looked at together.
        self._rows: dict[int, int] = {}
        self._bits = np.zeros((64, _WORDS), np.uint64)
        self._sizes = np.zeros(64, np.int64)

    def sketched(self, text: str) -> Sketched:
        """The text with its n-grams and its sketch."""
        grams = ngrams(text, self._ngram)
        values = sketch(grams, self._permutations).hashvalues
        bands = tuple(values[start:end].tobytes() for start, end in self._ranges)
        hashes = np.sort(np.fromiter(map(hash, grams), np.int64, len(grams)))
        bits = np.zeros(64 * _WORDS, np.bool_)
        bits[hashes % bits.size] = True
        return Sketched(text, grams, bands, hashes, np.packbits(bits).view(np.uint64))

    def nearest(self, sought: Sketched, group: Hashable) -> tuple[float, int] | None:
        """(similarity, place) of the nearest text of a group, the first of several; None if none is near enough."""
        number = self._groups.get(group)
        if number is None:
            return None
        keys = ((number, place, band) for place, band in enumerate(sought.bands))
        candidates = sorted({place for key in keys for place in self._places.get(key, ())})
        found = [
            (similarity(sought.grams, ngrams(self._texts[place], self._ngram)), -place)
            for place in self._worth_comparing(sought, self._near_by_bits(sought, candidates))
        ]
        value, place = max(found, default=(-1.0, 0))
        return (value, -place) if value >= self._threshold else None

    def add(self, sketched: Sketched, place: int, groups: Iterable[Hashable]) -> None:
        """Take a text in under its groups.

        Args:
            sketched: the text.
            place: names it, a number of its own.
            groups: in which it is looked for.
        """
        self._texts[place], self._hashes[place] = sketched.text, sketched.hashes
        row = self._rows[place] = len(self._rows)
        if row == len(self._sizes):
            self._bits = np.concatenate([self._bits, np.zeros_like(self._bits)])
            self._sizes = np.concatenate([self._sizes, np.zeros_like(self._sizes)])
        self._bits[row], self._sizes[row] = sketched.bits, sketched.hashes.size
        for group in groups:
            number = self._groups.setdefault(group, len(self._groups))
            for index, band in enumerate(sketched.bands):
                self._places[number, index, band].append(place)

    def _near_by_bits(self, sought: Sketched, places: Sequence[int]) -> Sequence[int]:
        """Those that may be near enough, going by the bits of their n-grams; a few bytes of each are looked at.

        Each bit that one text sets and the other does not is an n-gram at least that they have not in common.
        """
        if not places:
            return ()
        rows = np.array([self._rows[place] for place in places])
        theirs, sizes, size = self._bits[rows], self._sizes[rows], sought.hashes.size
        only_mine = np.bitwise_count(sought.bits & ~theirs).sum(axis=1, dtype=np.int64)
        only_theirs = np.bitwise_count(theirs & ~sought.bits).sum(axis=1, dtype=np.int64)
        common = np.minimum(size - only_mine, sizes - only_theirs)
        likely = common / np.maximum(1, size + sizes - common) >= self._threshold
        return [places[number] for number in np.flatnonzero(likely).tolist()]

    def _worth_comparing(self, sought: Sketched, places: Sequence[int]) -> Sequence[int]:
        """Those that may be near enough, going by the hashes of their n-grams.

        Two n-grams may have one hash, so one more in common is allowed for.
        """
        if not places:
            return ()
        sizes = np.array([self._hashes[place].size for place in places])
        others, mine = np.concatenate([self._hashes[place] for place in places]), sought.hashes
        nearest = mine[np.minimum(np.searchsorted(mine, others), mine.size - 1)]
        common = np.add.reduceat(nearest == others, np.cumsum(sizes) - sizes, dtype=np.int64) + 1
        likely = common / np.maximum(1, mine.size + sizes - common) >= self._threshold
        return [places[number] for number in np.flatnonzero(likely).tolist()]
