import itertools
import math
import random
import re
from xml.etree import ElementTree

import pytest
from test_charts import elements, hover

from perilune.report.charts import COLOURS
from perilune.report.labels import HEIGHT, Box, place_labels
from perilune.report.scatter import SCATTER_CSS, SCATTER_HEIGHT, SCATTER_WIDTH, Mark, scatter_chart

EVIL = "</text><script>alert(1)</script>\"'&\x00\ud800"


def marks_around(count):
    """Points that are none as another."""
    return [Mark(f"model {n}", 100 + 40 * math.cos(n), 0.5 + 0.3 * math.sin(n)) for n in range(count)]


def label_boxes(svg):
    """Where the names are, for letters somewhat narrower than the chart reckons with."""
    found = []
    for e in elements(svg, "text", "name"):
        left, bottom = float(e.get("x")), float(e.get("y")) + 5
        found.append(Box(left, bottom - HEIGHT, left + len(e.text) * 7.9, bottom))
    return found


def centres(svg):
    """(x, y) of each mark, in the order drawn."""
    found = []
    for e in ElementTree.fromstring(svg).iter():
        if "mark" not in e.get("class", "").split():
            continue
        if e.get("points") is None:
            found.append((float(e.get("cx")), float(e.get("cy"))))
            continue
        corners = [tuple(map(float, pair.split(","))) for pair in e.get("points").split()]
        xs, ys = zip(*corners, strict=True)
        found.append(((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2))
    return found


def test_points_lie_in_proportion():
    svg = scatter_chart("t", [Mark("a", 10, 0.2), Mark("b", 20, 0.4), Mark("c", 40, 0.8)])
    (ax, ay), (bx, by), (cx, cy) = centres(svg)
    assert cx - bx == pytest.approx(2 * (bx - ax), abs=0.3) and by - cy == pytest.approx(2 * (ay - by), abs=0.3)
    assert ax < bx and ay > by


def test_intervals_go_both_ways_in_the_hue_of_the_point():
    svg = scatter_chart("t", [Mark("a", 10, 0.2), Mark("b", 20, 0.4, (15, 25), (0.3, 0.5)), Mark("c", 30, 0.1)])
    (_, (x, y), _) = centres(svg)
    drawn = elements(svg, "line", "interval")
    assert len(drawn) == len(elements(svg, "line", "h1")) == 6
    (across, up) = [[float(e.get(end)) for end in ("x1", "y1", "x2", "y2")] for e in (drawn[0], drawn[3])]
    assert across[1] == across[3] == pytest.approx(y) and across[0] < x < across[2]
    assert up[0] == up[2] == pytest.approx(x) and up[1] < y < up[3]
    assert hover(svg)["rows"][1]["values"][1] == "40% (30% to 50%) accuracy, 20 (15 to 25) tokens a response"


def test_what_is_not_finite_is_left_out():
    odd = [Mark("nan", math.nan, 0.5), Mark("none", 3, math.nan), Mark("a", 3, 0.5, (math.nan, math.nan), None)]
    svg = scatter_chart("t", odd)
    assert len(centres(svg)) == 1 and elements(svg, "line", "interval") == []
    assert scatter_chart("t", odd[:2]) == scatter_chart("t", []) == ""


def test_the_front_is_filled_and_joined_by_steps():
    marks = [Mark("long", 40, 0.9), Mark("beaten", 30, 0.3), Mark("rl", 20, 0.6)]
    svg = scatter_chart("t", marks, front=("long", "rl"))
    (long, _, rl) = centres(svg)
    assert [e.get("class").split()[1] for e in elements(svg, "circle", "mark")] == ["full", "hollow", "full"]
    (front,) = elements(svg, "path", "front")
    start, *way = re.findall(r"[MHV][\d. ]+", front.get("d"))
    assert tuple(map(float, start[1:].split())) == rl
    assert way == [f"H{long[0]}", f"V{long[1]}", "H742"]
    assert "stroke-dasharray" in SCATTER_CSS
    assert elements(scatter_chart("t", marks), "path", "front") == []


def test_the_reference_has_a_shape_of_its_own():
    svg = scatter_chart("t", marks_around(3), reference="model 1")
    assert len(elements(svg, "polygon", "diamond")) == 1 and len(elements(svg, "circle", "mark")) == 2


def test_hues_come_again_with_another_shape():
    svg = scatter_chart("t", marks_around(2 * COLOURS + 1))
    assert len(elements(svg, "circle", "mark")) == len(elements(svg, "polygon", "square")) == COLOURS
    looks = {e.get("class") for e in ElementTree.fromstring(svg).iter() if "mark" in e.get("class", "")}
    assert len(looks) == 2 * COLOURS + 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 2, 5, 8, 12])
def test_names_lie_inside_and_over_nothing(seed, count):
    draw = random.Random(seed)
    names = ["long", "short", "merge", "shortest", "dpo", "rl", "merge+shortest", "merge+dpo", "dpo+rl", "merge+rl"]
    names += ["shortest+rl", "merge+shortest+rl"]
    marks = []
    for name in names[:count]:
        x, y = draw.uniform(40, 120), draw.uniform(0.3, 0.7)
        marks.append(Mark(name, x, y, (x - 4, x + 4), (y - 0.06, y + 0.06)))
    apart(scatter_chart("t", marks))


def test_points_that_are_nearly_the_same_have_names_of_their_own():
    apart(scatter_chart("t", [Mark(f"method {n}", 50 + 0.01 * n, 0.5) for n in range(8)]))
    same = scatter_chart("t", [Mark(f"method {n}", 50, 0.5) for n in range(6)])
    apart(same)
    assert len(elements(same, "line", "leader")) >= 2


def apart(svg):
    boxes = label_boxes(svg)
    for first, second in itertools.combinations(boxes, 2):
        assert not first.meets(second)
    for box in boxes:
        assert box.left >= 0 and box.right <= SCATTER_WIDTH and box.top >= 0 and box.bottom <= SCATTER_HEIGHT
        for x, y in centres(svg):
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


def test_a_lone_point_without_intervals_is_a_chart():
    svg = scatter_chart("t", [Mark("only", 0, 0.0)], front=("only",), reference="only")
    ((x, y),) = centres(svg)
    assert 0 < x < SCATTER_WIDTH and 0 < y < SCATTER_HEIGHT
    assert all(not text.startswith("-") for text in re.findall(r">([^<>]+)%<", svg))


def test_all_values_are_told_in_words():
    svg = scatter_chart("Trade-off", [Mark("long", 40, 0.9), Mark("rl", 20, 0.6)], front=("rl",))
    label = ElementTree.fromstring(svg).get("aria-label")
    assert label == (
        "Trade-off: long: 90% accuracy, 40 tokens a response; rl, on the front: 60% accuracy, 20 tokens a response"
    )


def test_points_above_each_other_are_told_together():
    rows = hover(scatter_chart("t", [Mark("a", 10, 0.2), Mark("b", 10.01, 0.8), Mark("c", 20, 0.5)]))["rows"]
    assert [[value is not None for value in row["values"]] for row in rows] == [
        [True, True, False],
        [True, True, False],
        [False, False, True],
    ]


def test_names_are_escaped_and_long_ones_cut():
    svg = scatter_chart(EVIL[:-2], [Mark(EVIL, 1, 0.5), Mark("word " * 30, 2, 0.6)], front=(EVIL,))
    assert "<script" not in svg and len(elements(svg, "circle", "full")) == 1
    first, second = elements(svg, "text", "name")
    assert first.text == "</text><script>alert(1)</sc…"
    assert len(second.text) == 28 and "word word word word word word" in hover(svg)["rows"][1]["name"]
