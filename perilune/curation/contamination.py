"""Contamination: problems that stand in an evaluation set, word for word or nearly (n-gram overlap)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from fractions import Fraction

from perilune.curation.fates import Dropped, Reason
from perilune.curation.words import numbers, operators, tokens, without_lead_in
from perilune.recipe.curation import ContaminationConfig
from perilune.types import Problem

_SHORTEST_GRAM = 3
_SHORTEST_TEXT = 5
"""Questions of fewer words are compared as a whole only."""
_QUOTED = 12
"""Words quoted of a common passage."""

_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+\b")

Gram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Text:
    """A question as it is compared."""

    name: str
    """'<evaluation set>: <id>', or the id."""
    words: Gram
    nameless: Gram
    """The words with a mark for each name: a person renamed throughout leaves few n-grams whole."""
    images: tuple[str, ...]
    numbers: Counter[Fraction]
    operators: Counter[str]
    answer: str
    size: int
    """Words of its n-grams."""


def find_contaminated(
    problems: Sequence[Problem], sets: Mapping[str, Sequence[Problem]], config: ContaminationConfig
) -> list[Dropped]:
    """Problems that an evaluation set holds, in the order given.

    A problem is dropped if its normalised text equals that of an evaluation problem, or if the two share at least
    ``overlap`` of the shorter one's word n-grams (names may differ) and the longer has all numbers and arithmetic
    signs of the shorter: another instance of the same template is no contamination. An n-gram has ``ngram`` words, but
    at most a quarter of the shorter question's, and at least 3. N-grams that stand in a tenth of the evaluation
    problems are a common wording ('Give your answer as …') and count for nothing. Problems with different images are
    different.

    The evaluation sets are indexed once, about 20 kB for a question of 60 words; a problem then costs about 1 ms.

    Args:
        problems: of unique ids.
        sets: the evaluation problems by the name of their set.
        config: n-gram size and overlap.

    Returns:
        What is dropped: ``match`` is '<set>: <id>', ``detail`` 'exact', or the share and the longest common passage.
    """
    held = [_text(f"{name}: {problem.id}", problem, config.ngram) for name, pile in sets.items() for problem in pile]
    index = _Index(held)
    found = []
    for problem in problems:
        text = _text(problem.id, problem, config.ngram)
        if (same := index.same(text)) is not None:
            found.append(Dropped(problem, Reason.CONTAMINATED, "exact", same.name))
        elif (near := index.nearest(text, config.overlap)) is not None:
            share, other = near
            detail = f"{share:.2f} of the n-grams: '{_passage(text.words, other.words)}'"
            found.append(Dropped(problem, Reason.CONTAMINATED, detail, other.name))
    return found


class _Index:
    """The evaluation problems by their texts and n-grams.

    Two questions are compared by n-grams of the shorter one's size. So ``_of_size[n]`` holds, by n-gram of n words,
    those whose own size is n, for longer problems to look into, and ``_at_least[n]`` all whose own size is n or more.
    """

    def __init__(self, held: Sequence[_Text]) -> None:
        self._held = held
        self._exact: dict[tuple[Gram, tuple[str, ...]], _Text] = {}
        for text in held:
            self._exact.setdefault((text.words, text.images), text)
        sizes = sorted({text.size for text in held if text.size})
        self._of_size = {size: self._indexed(size, exactly=True) for size in sizes}
        self._at_least: dict[int, dict[Gram, list[int]]] = {}
        self._common_from = max(10, len(held) // 10)

    def same(self, text: _Text) -> _Text | None:
        """The first of the same words."""
        return self._exact.get((text.words, text.images))

    def nearest(self, text: _Text, overlap: float) -> tuple[float, _Text] | None:
        """(share, evaluation problem) of the largest overlap, if it is enough; the first of several."""
        if not text.size:
            return None
        if text.size not in self._at_least:
            self._at_least[text.size] = self._indexed(text.size, exactly=False)
        best: tuple[float, int] | None = None
        tables = [(size, table) for size, table in self._of_size.items() if size < text.size]
        for size, table in [*tables, (text.size, self._at_least[text.size])]:
            for place, share in self._shares(text, size, table):
                other = self._held[place]
                if share < overlap / 4 or not _same_task(text, other):
                    continue
                # What is enough as it stands is not looked at again: the second look costs much more.
                value = share if share >= overlap else _share(text.nameless, other.nameless, size)
                if value >= overlap:
                    best = max(best or (0.0, -place), (value, -place))
        return None if best is None else (best[0], self._held[-best[1]])

    def _shares(self, text: _Text, size: int, table: Mapping[Gram, Sequence[int]]) -> list[tuple[int, float]]:
        """(place, share of the shorter one's n-grams that are in both) of all that share any."""
        grams = self._telling(_grams(text.words, size), table)
        counts = Counter(place for gram in grams for place in table.get(gram, ()))
        shares = []
        for place, count in counts.items():
            other = self._held[place]
            shorter = len(grams)
            if len(other.words) < len(text.words):
                shorter = len(self._telling(_grams(other.words, size), table))
            shares.append((place, count / shorter))
        return shares

    def _telling(self, grams: set[Gram], table: Mapping[Gram, Sequence[int]]) -> set[Gram]:
        return {gram for gram in grams if len(table.get(gram, ())) < self._common_from}

    def _indexed(self, size: int, exactly: bool) -> dict[Gram, list[int]]:
        table: dict[Gram, list[int]] = defaultdict(list)
        for place, text in enumerate(self._held):
            if text.size == size or (text.size > size and not exactly):
                for gram in _grams(text.words, size):
                    table[gram].append(place)
        return dict(table)


def _text(name: str, problem: Problem, ngram: int) -> _Text:
    text = without_lead_in(problem.text)
    words = tokens(text)
    names = {name.lower() for name in _NAME.findall(text)}
    nameless = tuple("<name>" if word.removesuffix("'s") in names else word for word in words)
    images = tuple(image for message in problem.messages for image in message.images)
    size = 0 if len(words) < _SHORTEST_TEXT else min(ngram, max(_SHORTEST_GRAM, len(words) // 4))
    answer = " ".join(tokens(problem.answer))
    return _Text(name, words, nameless, images, numbers(text, words), operators(words), answer, size)


def _grams(words: Gram, size: int) -> set[Gram]:
    return {words[start : start + size] for start in range(len(words) - size + 1)}


def _share(one: Gram, other: Gram, size: int) -> float:
    left, right = _grams(one, size), _grams(other, size)
    return len(left & right) / min(len(left), len(right))


def _same_task(one: _Text, other: _Text) -> bool:
    """Whether the longer has whatever numbers and signs the shorter has, and they have the same images."""
    shorter, longer = sorted((one, other), key=lambda text: len(text.words))
    inside = shorter.numbers <= longer.numbers and shorter.operators <= longer.operators
    # Of about equal length, neither is a part of the other: then both have the same numbers.
    alike = len(shorter.words) * 1.2 < len(longer.words) or shorter.numbers == longer.numbers
    return inside and alike and one.images == other.images and not _swapped(one, other)


def _swapped(one: _Text, other: _Text) -> bool:
    """Whether they have the same numbers in another order, and so another answer."""
    left, right = ([word for word in text.words if word[0].isdecimal()] for text in (one, other))
    return left != right and sorted(left) == sorted(right) and one.answer != other.answer


def _passage(one: Gram, other: Gram) -> str:
    match = SequenceMatcher(None, one, other, autojunk=False).find_longest_match()
    words = one[match.a : match.a + match.size]
    return " ".join(words[:_QUOTED]) + (" …" if len(words) > _QUOTED else "")
