"""How alike two texts are: character n-grams, their MinHash, and the Jaccard similarity that decides."""

from __future__ import annotations

from datasketch import MinHash


def ngrams(text: str, size: int) -> frozenset[str]:
    """The text's runs of ``size`` characters; the text itself if it is shorter."""
    return frozenset(text[start : start + size] for start in range(max(1, len(text) - size + 1)))


def sketch(grams: frozenset[str], permutations: int) -> MinHash:
    """Their MinHash; the same in every process."""
    found = MinHash(num_perm=permutations)
    found.update_batch([gram.encode("utf-8", "replace") for gram in sorted(grams)])
    return found


def similarity(left: frozenset[str], right: frozenset[str]) -> float:
    """Jaccard similarity of two sets, in [0, 1]; two empty ones are equal."""
    return len(left & right) / len(left | right) if left or right else 1.0
