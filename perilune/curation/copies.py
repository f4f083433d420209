"""What a demonstration must not hold: another question's story, a next question, or what another demonstration says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from datasketch import MinHashLSH

from perilune.curation.similarity import ngrams, similarity, sketch
from perilune.rewards.answers import AnswerForm, find_answers

_RUN = 5
"""Words in a row that two stories do not share by chance, if there is a number among them."""
_WORD = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+\b")
_ASKS_ON = re.compile(
    r"^[\s*#>_-]*(?:(?:next |new |another )?(?:question|problem|exercise|example)|user|human|assistant|q"
    r"|题目|问题|例题|用户)\s*\d*[*_]*\s*[:：.]",
    re.IGNORECASE | re.MULTILINE,
)


class Stories:
    """Questions that a response may have been copied from.

    Args:
        questions: their texts.
    """

    def __init__(self, questions: Iterable[str]) -> None:
        texts = list(questions)
        self._runs = {run for text in texts for run in _runs(text)}

    def copied(self, response: str, own: str) -> str | None:
        """The first run of words that the response shares with a question other than its own; None if there is none.

        A run counts if it holds a number that the own question does not: only then does it tell another story.

        Args:
            response: the text.
            own: the question that it answers.
        """
        numbers = {word for word in _words(own) if word.isdigit()}
        for run in _runs(response):
            if run in self._runs and any(word.isdigit() and word not in numbers for word in run):
                return " ".join(run)
        return None


def foreign_name(response: str, own: str, others: Iterable[str]) -> str | None:
    """A name of other questions that the response speaks of and its own question does not; None if there is none."""
    names = {name for text in others for name in _NAME.findall(text)}
    known = set(_words(own))
    found = sorted(name for name in names if name.lower() not in known and re.search(rf"\b{name}\b", response))
    return found[0] if found else None


def next_question(response: str, form: AnswerForm) -> str | None:
    """Where a response goes on to another question after its answer, as a short quotation; None if it does not."""
    answers = find_answers(response, form)
    behind = response[answers[0].end :] if answers else ""
    last = response[answers[-1].end :] if answers else ""
    match = _ASKS_ON.search(behind) or re.search(r"[^\n.!。！]*[?？]", last)
    if match is None:
        # Before the answer, a line that opens a question is the response's own retelling unless there are two.
        openings = list(_ASKS_ON.finditer(response))
        match = openings[1] if len(openings) > 1 else None
    return None if match is None else match.group(0).strip()[:80]


class NearDuplicates:
    """Texts by their character n-grams: MinHash finds candidates, the exact Jaccard similarity decides.

    Args:
        threshold: similarity from which two texts are near-duplicates.
        ngram: characters of an n-gram; case and runs of white space do not matter.
        permutations: of MinHash.
    """

    def __init__(self, threshold: float, ngram: int = 5, permutations: int = 128) -> None:
        self._threshold, self._ngram, self._permutations = threshold, ngram, permutations
        # Looked for a little below the threshold, since what MinHash estimates may fall short of what is true.
        self._index = MinHashLSH(threshold=min(0.95, max(0.05, 0.85 * threshold)), num_perm=permutations)
        self._grams: dict[str, frozenset[str]] = {}

    def add(self, name: str, text: str) -> str | None:
        """Take a text in, unless one that is in is near it: then its name is returned, the nearest first."""
        grams = ngrams(" ".join(text.casefold().split()), self._ngram)
        hashed = sketch(grams, self._permutations)
        candidates: list[str] = self._index.query(hashed)
        near = [(similarity(grams, self._grams[other]), other) for other in candidates]
        matches = [(value, other) for value, other in near if value >= self._threshold]
        if matches:
            _, nearest = max(matches)
            return nearest
        self._index.insert(name, hashed)
        self._grams[name] = grams
        return None


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = _words(text)
    for start in range(len(words) - _RUN + 1):
        run = tuple(words[start : start + _RUN])
        if any(word.isdigit() for word in run):
            yield run
