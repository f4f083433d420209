"""The labels, built in and of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from perilune.curation.tagging import by_rules, keyword_evidence
from perilune.curation.taxonomy import load_taxonomy
from perilune.errors import RecipeError


def test_the_built_in_one_has_domains_and_disciplines() -> None:
    taxonomy = load_taxonomy()
    assert len({d.tag for d in taxonomy}) == len(taxonomy) > 20
    assert {"mathematics", "science", "computer science"} <= {d.domain for d in taxonomy}
    assert all(d.keywords for d in taxonomy)


def test_ones_own_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[kitchen]\nbaking = ["oven"]\n"soups and stews" = []\n', encoding="utf-8")
    assert [d.tag for d in load_taxonomy(str(path))] == ["kitchen/baking", "kitchen/soups and stews"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[kitchen\n", "not valid TOML"),
        ("kitchen = 3\n", "'kitchen' must be a table of disciplines"),
        ('[kitchen]\nbaking = "oven"\n', "keywords of kitchen/baking must be a list"),
        ('[kitchen]\nbaking = ["oven"]\n', "at least two disciplines"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        load_taxonomy(str(path))
    with pytest.raises(RecipeError, match="cannot read"):
        load_taxonomy(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("question", "tag"),
    [
        ("Find the area of a triangle with a right angle.", "mathematics/geometry"),
        ("求三角形的面积和周长。", "mathematics/geometry"),
        ("A fair die is rolled. What is the probability of a six?", "mathematics/probability and statistics"),
        ("Write a Python function that returns the largest number.", "computer science/programming"),
    ],
)
def test_rules_go_by_keywords(question: str, tag: str) -> None:
    found = by_rules(question, load_taxonomy())
    assert found is not None and found.discipline.tag == tag and found.by == "rules"


def test_rules_know_when_they_do_not_know() -> None:
    taxonomy = load_taxonomy()
    assert by_rules("Hello there.", taxonomy) is None
    # Within another word it is none: "sin" in "using", "cos" in "costs".
    assert by_rules("using costumes", taxonomy) is None


def test_keywords_are_evidence_up_to_a_bound() -> None:
    taxonomy = load_taxonomy()
    place = [d.tag for d in taxonomy].index("mathematics/geometry")
    none, one, many = (
        keyword_evidence(text, taxonomy)[place]
        for text in ("a hat", "a triangle", "triangle, circle, rectangle, square, angle, perimeter, radius")
    )
    assert none == 0 and 0 < one < many == 3 * one
