import copy
from dataclasses import replace

import pytest
from drawings import check
from jsonschema import ValidationError

from perilune.report.chart import colour, framed, plain, told
from perilune.report.series import Series, line_chart

EVIL = "a\x00b\x1b\ud800\u202e\n"


def test_no_string_of_a_specification_holds_what_ends_the_process_that_draws():
    spec = {"data": {"values": [{"series": EVIL}]}, "layer": [{"name": EVIL}], "encoding": {"x": {"title": EVIL}}}
    chart = framed(spec, EVIL, (100, 50), (0,))
    assert chart.spec["data"]["values"] == [{"series": "a?b????"}]
    assert (chart.spec["layer"], chart.spec["encoding"]) == ([{"name": "a?b????"}], {"x": {"title": "a?b????"}})
    assert chart.summary == plain(EVIL) == "a?b????"


def test_a_frame_has_a_size_and_one_look():
    chart = framed({"padding": 3}, "t", (100, 50), (0, 4))
    assert (chart.width, chart.height, chart.hues) == (100, 50, (0, 4))
    assert (chart.spec["width"], chart.spec["height"], chart.spec["padding"]) == (100, 50, 3)
    assert chart.spec["config"]["background"] == "transparent"


def test_semicolons_part_what_is_told_and_nothing_else():
    assert told("step 3; so", [("a;b", "1"), ("c", None)]) == "step 3, so; a,b: 1; c: –"


def legend(names, width=390):
    found = colour([(name, place) for place, name in enumerate(names)], width)
    return found["legend"] and found["legend"]["columns"]


def test_a_legend_takes_as_few_lines_as_it_can():
    moments = ["trainer gave way", "engine started", "weights there", "rolled out", "engine gone", "trainer back"]
    assert legend(moments) == 3
    assert legend(["rollout", "train", "grade wait", "evaluate", "save"]) == 5
    assert legend(["x" * 80, "y"]) == 1
    assert legend(["alone"]) is None


def test_colours_are_custom_properties_and_come_round_again():
    found = colour([("a", 0), ("b", 5), ("c", 6)], 390)["scale"]
    assert found == {"domain": ["a", "b", "c"], "range": ["var(--hue-0)", "var(--hue-5)", "var(--hue-0)"]}


@pytest.mark.parametrize(
    "way", [(), ("encoding", "x"), ("encoding", "x", "axis"), ("layer", 0, "mark"), ("config", "axis")]
)
def test_the_check_of_specifications_finds_a_misspelt_word(way):
    chart = line_chart("t", [Series("a", 0, ((1, 1.0), (2, 2.0)), ((0.5, 1.5), None))])
    check(chart)
    part = spec = copy.deepcopy(chart.spec)
    for step in way:
        part = part[step]
    part["strokWidth"] = 2
    with pytest.raises(ValidationError):
        check(replace(chart, spec=spec))
