import itertools
import math
import random

import pytest
from drawings import check, marks, spoken, words

from perilune.report.drawing import draw
from perilune.report.labels import HEIGHT, Box, place_labels
from perilune.report.palette import COLOURS, QUIET, SURFACE, hue
from perilune.report.scatter import SCATTER_HEIGHT, SCATTER_WIDTH, Mark, scatter_chart

EVIL = "</text><script>alert(1)</script>\"'&\x00\ud800"


def marks_around(count):
    """Points that are none as another."""
    return [Mark(f"model {n}", 100 + 40 * math.cos(n), 0.5 + 0.3 * math.sin(n)) for n in range(count)]


ODD = [Mark("nan", math.nan, 0.5), Mark("none", 3, math.nan), Mark("a", 3, 0.5, (math.nan, math.nan), None)]
THREE = [Mark("long", 40, 0.9), Mark("beaten", 30, 0.3), Mark("rl", 20, 0.6)]
CHARTS = {
    "proportion": scatter_chart("t", [Mark("a", 10, 0.2), Mark("b", 20, 0.4), Mark("c", 40, 0.8)]),
    "intervals": scatter_chart("t", [Mark("a", 10, 0.2), Mark("b", 20, 0.4, (15, 25), (0.3, 0.5)), Mark("c", 30, 0.1)]),
    "odd": scatter_chart("t", ODD),
    "front": scatter_chart("t", THREE, front=("long", "rl")),
    "no front": scatter_chart("t", THREE),
    "reference": scatter_chart("t", marks_around(3), reference="model 1"),
    "many": scatter_chart("t", marks_around(2 * COLOURS + 1)),
    "looks": scatter_chart("t", [Mark("a", 1, 0.5, look=3), Mark("b", 2, 0.6, look=1)]),
    "one": scatter_chart("t", [Mark("only", 0, 0.0)], front=("only",), reference="only"),
    "all": scatter_chart("t", [Mark("all", 10, 1.0), Mark("most", 20, 0.9)]),
    "same": scatter_chart("t", [Mark(f"method {n}", 50, 0.5) for n in range(6)]),
    "words": scatter_chart(EVIL[:-2], [Mark(EVIL, 1, 0.5), Mark("word " * 30, 2, 0.6)], front=(EVIL,)),
}


@pytest.fixture(scope="module")
def drawn():
    return dict(zip(CHARTS, draw(list(CHARTS.values())), strict=True))


def layer(chart, name):
    """The rows of a layer's own data; none if the chart has no such layer."""
    return [row for one in chart.spec["layer"] if one["name"] == name for row in one["data"]["values"]]


def pixels(chart):
    """Where each point must be drawn, reckoned from the scales of the specification."""
    x, y = (chart.spec["encoding"][channel]["scale"]["domain"] for channel in "xy")
    width, height = chart.spec["width"], chart.spec["height"]
    left, top = chart.spec["padding"]["left"], chart.spec["padding"]["top"]
    return [
        (left + width * (row["x"] - x[0]) / (x[1] - x[0]), top + height * (y[1] - row["y"]) / (y[1] - y[0]))
        for row in chart.spec["data"]["values"]
    ]


def label_boxes(chart):
    """Where the names are, for letters somewhat narrower than the chart reckons with."""
    left, top = chart.spec["padding"]["left"], chart.spec["padding"]["top"]
    return [
        Box(left + row["x"], top + row["y"] + 5 - HEIGHT, left + row["x"] + len(row["name"]) * 7.9, top + row["y"] + 5)
        for row in layer(chart, "names")
    ]


@pytest.mark.parametrize("name", CHARTS)
def test_every_specification_is_vega_lite(name):
    check(CHARTS[name])


@pytest.mark.parametrize("name", CHARTS)
def test_points_and_names_are_drawn_where_they_were_reckoned(drawn, name):
    chart, svg = CHARTS[name], drawn[name]
    points = marks(svg, "points")
    assert [(one.x, one.y) for one in points] == [pytest.approx(at, abs=0.02) for at in pixels(chart)]
    names = marks(svg, "names")
    assert [(one.x, one.y + 5) for one in names] == [
        pytest.approx((box.left, box.bottom), abs=0.02) for box in label_boxes(chart)
    ]
    leaders = marks(svg, "leaders")
    assert len(leaders) == len(layer(chart, "leaders"))
    assert spoken(svg) == [row["told"] for row in chart.spec["data"]["values"]]


def test_points_lie_in_proportion(drawn):
    (ax, ay), (bx, by), (cx, cy) = [(one.x, one.y) for one in marks(drawn["proportion"], "points")]
    assert cx - bx == pytest.approx(2 * (bx - ax), abs=0.3) and by - cy == pytest.approx(2 * (ay - by), abs=0.3)
    assert ax < bx and ay > by


def test_intervals_go_both_ways_in_the_hue_of_the_point(drawn):
    svg = drawn["intervals"]
    _, point, _ = marks(svg, "points")
    (across,), (up,) = marks(svg, "interval_x"), marks(svg, "interval_y")
    assert across.y == across.end[1] == pytest.approx(point.y, abs=0.1)
    assert sorted([across.x, point.x, across.end[0]]) == [across.x, point.x, across.end[0]]
    assert up.x == up.end[0] == pytest.approx(point.x, abs=0.1)
    assert min(up.y, up.end[1]) < point.y < max(up.y, up.end[1])
    caps = [cap for end in ("left", "right", "low", "high") for cap in marks(svg, f"cap_{end}")]
    assert len(caps) == 4 and {one.colour for one in (across, up, *caps)} == {hue(1)}
    assert spoken(svg)[1] == "b: 40% (30% to 50%) accuracy, 20 (15 to 25) tokens a response"


def test_what_is_not_finite_is_left_out(drawn):
    svg = drawn["odd"]
    assert len(marks(svg, "points")) == 1
    assert marks(svg, "interval_x") == marks(svg, "interval_y") == []
    assert scatter_chart("t", ODD[:2]) is scatter_chart("t", []) is None


def fills(svg):
    return [one.element.get("fill") for one in marks(svg, "points")]


def test_the_front_is_filled_and_joined_by_steps(drawn):
    svg = drawn["front"]
    long, _, rl = marks(svg, "points")
    assert fills(svg) == [hue(0), SURFACE, hue(2)]
    (front,) = marks(svg, "front")
    (way,) = front.strokes
    right = SCATTER_WIDTH - 18
    corners = [(rl.x, rl.y), (long.x, rl.y), (long.x, long.y), (right, long.y)]
    # Vega writes some corners twice.
    assert [pytest.approx(at, abs=0.02) for at in corners] == [at for at, _ in itertools.groupby(way)]
    assert (front.element.get("stroke-dasharray"), front.element.get("stroke")) == ("6,4", QUIET)
    assert marks(drawn["no front"], "front") == [] and fills(drawn["no front"]) == [SURFACE] * 3


def shapes(svg):
    return [one.element.get("d") for one in marks(svg, "points")]


def test_the_reference_has_a_shape_of_its_own(drawn):
    first, reference, last = shapes(drawn["reference"])
    assert first == last != reference and "A" not in reference


def test_hues_come_again_with_another_shape(drawn):
    svg = drawn["many"]
    circles, squares, (triangle,) = (shapes(svg)[at : at + COLOURS] for at in (0, COLOURS, 2 * COLOURS))
    assert len({*circles}) == len({*squares}) == 1 and len({circles[0], squares[0], triangle}) == 3
    looks = {(one.element.get("stroke"), one.element.get("d")) for one in marks(svg, "points")}
    assert len(looks) == 2 * COLOURS + 1
    assert CHARTS["many"].hues == tuple(number % COLOURS for number in range(2 * COLOURS + 1))


def test_a_look_can_be_asked_for(drawn):
    assert [one.element.get("stroke") for one in marks(drawn["looks"], "points")] == [hue(3), hue(1)]
    assert CHARTS["looks"].hues == (3, 1)


def test_axes_name_shares_that_there_can_be(drawn):
    labels = words(drawn["all"], "axis-label")
    assert "100%" in labels and not {"102%", "104%"} & {*labels}
    assert words(drawn["all"], "axis-title") == ["tokens a response", "accuracy"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 2, 5, 8, 12])
def test_names_lie_inside_and_over_nothing(seed, count):
    draw = random.Random(seed)
    names = ["long", "short", "merge", "shortest", "dpo", "rl", "merge+shortest", "merge+dpo", "dpo+rl", "merge+rl"]
    names += ["shortest+rl", "merge+shortest+rl"]
    found = []
    for name in names[:count]:
        x, y = draw.uniform(40, 120), draw.uniform(0.3, 0.7)
        found.append(Mark(name, x, y, (x - 4, x + 4), (y - 0.06, y + 0.06)))
    apart(scatter_chart("t", found))


def test_points_that_are_nearly_the_same_have_names_of_their_own():
    apart(scatter_chart("t", [Mark(f"method {n}", 50 + 0.01 * n, 0.5) for n in range(8)]))
    apart(CHARTS["same"])
    assert len(layer(CHARTS["same"], "leaders")) >= 2


def apart(chart):
    boxes = label_boxes(chart)
    for first, second in itertools.combinations(boxes, 2):
        assert not first.meets(second)
    for box in boxes:
        assert box.left >= 0 and box.right <= SCATTER_WIDTH and box.top >= 0 and box.bottom <= SCATTER_HEIGHT
        for x, y in pixels(chart):
            assert not box.meets(Box(x - 5, y - 5, x + 5, y + 5))


def test_a_label_goes_beside_a_lone_point_and_gets_a_line_only_when_moved():
    frame = Box(0, 0, 400, 300)
    (alone,) = place_labels([(200, 150, 60)], radius=6, frame=frame)
    assert alone.leader is None and math.dist(alone.box.nearest(200, 150), (200, 150)) < 12
    labels = place_labels([(200, 150, 60)] * 9, radius=6, frame=frame)
    assert any(label.leader for label in labels)


def test_a_label_at_the_edge_stays_inside():
    frame = Box(0, 0, 400, 300)
    for x, y in itertools.product((0, 400), (0, 300)):
        box = place_labels([(x, y, 90)], radius=6, frame=frame)[0].box
        assert box.left >= 0 and box.right <= 400 and box.top >= 0 and box.bottom <= 300
        assert not box.meets(Box(x - 5, y - 5, x + 5, y + 5))


def test_a_lone_point_without_intervals_is_a_chart(drawn):
    ((x, y),) = [(one.x, one.y) for one in marks(drawn["one"], "points")]
    assert 0 < x < SCATTER_WIDTH and 0 < y < SCATTER_HEIGHT
    assert not any(label.startswith("−") for label in words(drawn["one"], "axis-label"))


def test_all_values_are_told_in_words():
    chart = scatter_chart("Trade-off", [Mark("long", 40, 0.9), Mark("rl", 20, 0.6)], front=("rl",))
    assert chart.summary == (
        "Trade-off: long: 90% accuracy, 40 tokens a response; rl, on the front: 60% accuracy, 20 tokens a response"
    )


def test_names_are_escaped_and_long_ones_cut(drawn):
    svg = drawn["words"]
    assert "<script" not in svg and fills(svg) == [hue(0), SURFACE]
    first, second = [one.element.text for one in marks(svg, "names")]
    assert first == "</text><script>alert(1)</sc…"
    assert len(second) == 28 and "word word word word word word" in spoken(svg)[1]
