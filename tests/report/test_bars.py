import re
from xml.etree import ElementTree

import pytest

from perilune.report.bars import AFTER_HUE, BEFORE_HUE, Part, Row, Track, horizontal_bars, interval_bar, paired_rows


def row(label, *values, told=""):
    return Row(label, (Track(tuple(Part(hue, value, told) for hue, value in enumerate(values)), "so many"),))


def widths(markup):
    return [float(width) for width in re.findall(r"width:([\d.]+)%", markup)]


def test_all_bars_have_one_scale():
    assert widths(horizontal_bars("t", [row("a", 30, 10), row("b", 20)])) == [75.0, 25.0, 50.0]
    assert widths(horizontal_bars("t", [row("a", 30)], longest=120)) == [25.0]


def test_an_empty_part_is_not_drawn_but_its_bar_is_told():
    markup = horizontal_bars("t", [row("a", 0), row("b", 4)])
    assert widths(markup) == [100.0] and markup.count("so many") == 2


@pytest.mark.parametrize("rows", [[], [row("a", 0)]])
def test_nothing_to_draw_is_no_markup(rows):
    assert horizontal_bars("t", rows) == ""


def test_labels_and_words_are_escaped():
    evil = "\"><script>'&"
    markup = horizontal_bars(evil, [row(evil, 1, told=evil)], legend=[(evil, 0)])
    assert "<script" not in markup and markup.count("&quot;&gt;&lt;script&gt;&#x27;&amp;") == 4


def test_a_label_links_to_its_section():
    linked = horizontal_bars("t", [Row("forms", row("x", 1).tracks, "step-forms")])
    assert '<a href="#step-forms">forms</a>' in linked


def told(rows):
    return [(r.label, *(track.figure for track in r.tracks)) for r in rows]


def test_pairs_come_the_largest_first_with_their_shares():
    rows = paired_rows({"a": 10, "b": 30}, {"b": 5, "c": 15})
    assert told(rows) == [
        ("b", "30 (75%)", "5 (25%)"),
        ("a", "10 (25%)", "0 (0%)"),
        ("c", "0 (0%)", "15 (75%)"),
    ]
    assert [track.parts[0].hue for track in rows[0].tracks] == [BEFORE_HUE, AFTER_HUE]


def test_what_is_beyond_the_most_is_summed():
    before = {f"tag {number:03}": 100 - number for number in range(100)}
    rows = paired_rows(before, {"tag 000": 7, "tag 099": 2, "tag 098": 1}, most=10)
    assert len(rows) == 10 and rows[8].label == "tag 008"
    assert rows[9].label == "91 others"
    assert [track.parts[0].value for track in rows[9].tracks] == [sum(range(1, 92)), 3]


def test_an_order_is_kept_and_unknown_names_come_last():
    rows = paired_rows({"odd": 9, "hard": 1, "easy": 2}, {}, order=("easy", "hard"))
    assert told(rows) == [("easy", "2 (16.7%)", "0"), ("hard", "1 (8.3%)", "0"), ("odd", "9 (75%)", "0")]


def test_an_interval_bar_holds_its_dot():
    rail, band, dot = ElementTree.fromstring(interval_bar(0.5, 0.4, 0.7))
    assert float(rail.get("x1")) < float(band.get("x1")) < float(dot.get("cx")) < float(band.get("x2"))
    assert float(band.get("x2")) < float(rail.get("x2")) and float(dot.get("cx")) == 100
