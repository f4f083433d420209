import json
import math
import re
from xml.etree import ElementTree

import pytest

from perilune.report.axes import percent
from perilune.report.charts import CHART_CSS, COLOURS, HEIGHT, WIDTH, Series, interval_bar, line_chart, stacked_bars

SVG = "{http://www.w3.org/2000/svg}"


def elements(svg, kind, name):
    """Elements of a tag that have the class."""
    return [e for e in ElementTree.fromstring(svg).iter(SVG + kind) if name in e.get("class", "").split()]


def hover(svg):
    return json.loads(ElementTree.fromstring(svg).get("data-hover"))


def path_points(path):
    """Strokes of a path, each a list of (x, y)."""
    strokes = [stroke for stroke in path.get("d").split("M") if stroke]
    return [[tuple(map(float, point.split())) for point in stroke.split("L")] for stroke in strokes]


def test_a_line_goes_through_its_points_in_proportion():
    svg = line_chart("t", [Series("a", 0, ((1, 0.0), (2, 1.0), (3, 4.0)))])
    ((first, second, third),) = path_points(elements(svg, "path", "line")[0])
    assert second[0] - first[0] == pytest.approx(third[0] - second[0], abs=0.2)
    assert third[1] < second[1] < first[1]
    assert (first[1] - third[1]) == pytest.approx(4 * (first[1] - second[1]), abs=0.5)
    assert third[1] >= 0 and first[1] <= HEIGHT and first[0] >= 0 and third[0] <= WIDTH


def test_a_line_breaks_where_there_is_nothing_and_lone_points_are_seen():
    svg = line_chart("t", [Series("a", 0, ((1, 1.0), (2, 2.0), (3, None), (4, 1.0), (5, math.nan), (6, 3.0)))])
    assert [len(stroke) for stroke in path_points(elements(svg, "path", "line")[0])] == [2, 1, 1]
    assert len(elements(svg, "circle", "dot")) == 2
    assert hover(svg)["rows"][0]["values"] == ["1", "2", None, "1", None, "3"]


def test_a_log_axis_leaves_out_what_it_cannot_show():
    svg = line_chart("t", [Series("a", 0, ((1, 0.001), (2, 0.0), (3, 0.1)))], log=True)
    strokes = path_points(elements(svg, "path", "line")[0])
    assert [len(stroke) for stroke in strokes] == [1, 1]
    assert line_chart("t", [Series("a", 0, ((1, 0.0), (2, -1.0)))], log=True) == ""


def test_intervals_are_drawn_and_told():
    series = Series("a", 1, ((0, 0.5), (5, 0.6)), ((0.4, 0.6), None), dots=True)
    svg = line_chart("t", [series], form=percent)
    bars = elements(svg, "line", "interval")
    assert len(bars) == 3  # one bar with two caps
    (value,) = [float(e.get("cy")) for e in elements(svg, "circle", "dot")][:1]
    assert float(bars[0].get("y2")) < value < float(bars[0].get("y1"))
    assert hover(svg)["rows"][0]["values"] == ["50% (40% to 60%)", "60%"]


def test_several_series_share_their_xs_and_have_a_legend():
    svg = line_chart(
        "t", [Series("one", 0, ((1, 1.0),)), Series("<two>", 1, ((2, 2.0),)), Series("no", 2, ((1, None),))]
    )
    assert hover(svg)["labels"] == ["iteration 1", "iteration 2"]
    assert [row["values"] for row in hover(svg)["rows"]] == [["1", None], [None, "2"]]
    words = [e.text for e in ElementTree.fromstring(svg).iter(SVG + "text")]
    assert "one" in words and "<two>" in words and "no" not in words


def test_a_long_legend_goes_on_in_a_second_line():
    layers = [Series(f"a rather long name {i}", i, ((1, 1.0),)) for i in range(5)]
    svg = stacked_bars("t", layers)
    swatches = [e for e in elements(svg, "rect", "bar") if e.get("width") == "11.0"]
    assert len({e.get("y") for e in swatches}) > 1
    bars = [e for e in elements(svg, "rect", "bar") if e not in swatches and e.get("width") != "11.0"]
    assert min(float(e.get("y")) for e in bars) > max(float(e.get("y")) for e in swatches)


def test_bars_stand_on_one_another_and_heights_are_shares():
    layers = [Series("a", 0, ((1, 0.75), (2, 0.5))), Series("b", 1, ((1, 0.25), (2, None)))]
    svg = stacked_bars("t", layers, form=percent, top=1.0)
    first, alone, upper = [e for e in elements(svg, "rect", "bar") if e.get("width") != "11.0"]
    assert float(first.get("height")) == pytest.approx(3 * float(upper.get("height")), rel=0.05)
    assert float(upper.get("y")) + float(upper.get("height")) == pytest.approx(float(first.get("y")), abs=1)
    assert float(alone.get("x")) > float(first.get("x"))
    assert hover(svg)["rows"][1]["values"] == ["25%", None]


def test_nothing_to_draw_is_no_chart():
    assert line_chart("t", []) == ""
    assert line_chart("t", [Series("a", 0, ((1, None), (2, math.inf)))]) == ""
    assert stacked_bars("t", [Series("a", 0, ((1, 0.0), (2, None)))]) == ""


def test_text_is_escaped_in_markup_and_attributes():
    name = "<script>\"&'"
    for svg in (
        line_chart(name, [Series(name, 0, ((1, 1.0),)), Series("b", 1, ((1, 1.0),))], x_name=name),
        stacked_bars(name, [Series(name, 0, ((1, 1.0),))], x_name=name),
    ):
        assert "<script" not in svg
        assert ElementTree.fromstring(svg).get("aria-label").startswith(name)
        assert hover(svg)["rows"][0]["name"] == name


def test_an_interval_bar_holds_its_dot():
    svg = interval_bar(0.5, 0.4, 0.7)
    (band,) = elements(svg, "line", "line")
    (dot,) = elements(svg, "circle", "dot")
    assert float(band.get("x1")) < float(dot.get("cx")) < float(band.get("x2"))
    assert float(dot.get("cx")) == pytest.approx(100)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_the_contrast_that_wcag_asks_for():
    roots = re.findall(r":root\{([^}]*)\}", CHART_CSS)
    assert len(roots) == 2
    for root in roots:
        colours = dict(part.removeprefix("--").split(":") for part in root.rstrip(";").split(";"))
        surface = luminance(colours["surface"])
        contrast = {
            name: (max(luminance(c), surface) + 0.05) / (min(luminance(c), surface) + 0.05)
            for name, c in colours.items()
        }
        assert min(contrast[f"hue-{i}"] for i in range(COLOURS)) >= 3.0
        assert contrast["quiet"] >= 4.5 and contrast["ink"] >= 7.0
