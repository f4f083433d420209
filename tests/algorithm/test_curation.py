"""Bands and sizes, worked out by hand."""

from __future__ import annotations

import pytest

from perilune.algorithm.curation import Band, band_of, quota_sizes, temperature_sizes


@pytest.mark.parametrize(
    ("right", "band"),
    [(0, "hopeless"), (1, "hard"), (3, "hard"), (4, "medium"), (6, "medium"), (7, "easy"), (8, "easy"), (9, "trivial"),
     (10, "trivial")],
)  # fmt: skip
def test_bands_of_ten_answers(right: int, band: str) -> None:
    assert band_of(right / 10, easy_rate=0.7, hard_rate=0.3, trivial_rate=0.9) is Band(band)


def test_a_rate_that_is_rounded_reaches_its_edge() -> None:
    assert band_of(0.1 + 0.2, 0.7, 0.3, 0.9) is Band.HARD
    assert band_of(0.7 - 1e-16, 0.7, 0.3, 0.9) is Band.EASY


def test_nothing_is_trivial_above_one() -> None:
    assert band_of(1.0, 0.7, 0.3, 1.1) is Band.EASY


def test_a_quota_cuts_the_large_ones_alone() -> None:
    assert quota_sizes({"a": 10, "b": 3}, 5) == {"a": 5, "b": 3}


def test_temperature_one_keeps_the_distribution() -> None:
    assert temperature_sizes({"a": 60, "b": 30, "c": 10}, 10, 1.0) == {"a": 6, "b": 3, "c": 1}


def test_temperature_two_takes_square_roots() -> None:
    # Shares 8 : 4 : 2 of 14.
    assert temperature_sizes({"a": 64, "b": 16, "c": 4}, 14, 2.0) == {"a": 8, "b": 4, "c": 2}


def test_what_a_tag_lacks_goes_to_the_others() -> None:
    # Even shares would be 20 each; b has 3, so a and c share the other 57.
    assert temperature_sizes({"a": 100, "b": 3, "c": 100}, 60, 1e9) == {"a": 29, "b": 3, "c": 28}


def test_never_more_than_there_are() -> None:
    counts = {"a": 7, "b": 2, "c": 0}
    assert temperature_sizes(counts, 100, 2.0) == {"a": 7, "b": 2}
    for size in range(10):
        found = temperature_sizes(counts, size, 3.0)
        assert sum(found.values()) == size and all(found[tag] <= counts[tag] for tag in found)
