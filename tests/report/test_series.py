import itertools
import math

import pytest
from drawings import check, elements, marks, spoken, told, words

from perilune.report.drawing import draw
from perilune.report.formats import duration, percent
from perilune.report.palette import COLOURS, hue
from perilune.report.series import HEIGHT, WIDTH, Series, line_chart, stacked_bars

EVIL = "<script>\"&'\x00"
HELD = Series("policy", 1, ((0, 0.5), (5, 0.6)), ((0.4, 0.6), None), dots=True)
NAMES = [f"a rather long name {number}" for number in range(5)]
SHARES = [Series("a", 0, ((1, 0.75), (2, 0.5))), Series("b", 1, ((1, 0.25), (2, None)))]
CHARTS = {
    "proportion": line_chart("t", [Series("a", 0, ((1, 0.0), (2, 1.0), (3, 4.0)))]),
    "gaps": line_chart("t", [Series("a", 0, ((1, 1.0), (2, 2.0), (3, None), (4, 1.0), (5, math.nan), (6, 3.0)))]),
    "log": line_chart("t", [Series("a", 0, ((1, 0.001), (2, 0.0), (3, 0.1), (4, 0.01)))], log=True),
    "intervals": line_chart("t", [HELD], form=percent),
    "odd intervals": line_chart(
        "t", [Series("a", 0, ((1, 1.0), (2, 2.0), (3, 3.0)), ((0.0, 2.0), (math.nan, 3.0), (1.0, 4.0)))], log=True
    ),
    "two": line_chart(
        "t", [Series("one", 0, ((1, 1.0),)), Series("<two>", 1, ((2, 2.0),)), Series("no", 2, ((1, None),))]
    ),
    "many": line_chart("t", [Series(str(n), n, ((1, n), (2, n))) for n in range(COLOURS + 1)]),
    "constant": line_chart("t", [Series("a", 0, ((1, 0.0), (2, 0.0)))]),
    "constant, not from 0": line_chart("t", [Series("a", 0, ((1, 5.0), (2, 5.0)))], zero=False),
    "a point": line_chart("t", [Series("a", 0, ((7, 0.5),))]),
    "negative": line_chart("t", [Series("a", 0, ((1, -1.0), (2, 3.0)))]),
    "not from 0": line_chart("t", [Series("a", 0, ((1, 101.0), (2, 102.0)))], zero=False),
    "tiny": line_chart("t", [Series("a", 0, ((1, 1e-6), (2, 3e-6)))]),
    "30 xs": line_chart("t", [Series("a", 0, tuple((float(x), 1.0 + x) for x in range(30)))]),
    "31 xs": line_chart("t", [Series("a", 0, tuple((float(x), 1.0 + x) for x in range(31)))]),
    "words": line_chart(EVIL, [Series(EVIL, 0, ((1, 1.0),)), Series("null", 1, ((1, 1.0),))], x_name=EVIL),
    "legend": stacked_bars("t", [Series(name, place, ((1, 1.0),)) for place, name in enumerate(NAMES)]),
    "bars": stacked_bars("t", SHARES, form=percent, top=1.0),
    "bars apart": stacked_bars("t", [Series("a", 0, ((4, 1.0), (8, 3.0), (12, 2.0)))]),
    "bars, evil": stacked_bars(EVIL, [Series(EVIL, 0, ((1, 1.0),))], x_name=EVIL),
    "bars, odd": stacked_bars("t", [Series("a", 3, ((1, -1.0), (2, math.inf), (3, 2.0)))]),
    "seconds": stacked_bars("t", [Series("a", 0, ((1, 40.0), (2, 20.0)))], form=duration),
}


@pytest.fixture(scope="module")
def drawn():
    return dict(zip(CHARTS, draw(list(CHARTS.values())), strict=True))


def line(svg):
    return [stroke for one in marks(svg, "line") for stroke in one.strokes]


@pytest.mark.parametrize("name", CHARTS)
def test_every_specification_is_vega_lite(name):
    check(CHARTS[name])


@pytest.mark.parametrize("name", CHARTS)
def test_the_drawing_says_what_the_chart_tells(drawn, name):
    (layer,) = [one for one in CHARTS[name].spec["layer"] if one["name"] == "hover"]
    assert spoken(drawn[name]) == [value["told"] for value in layer["data"]["values"]]


def test_a_line_goes_through_its_points_in_proportion(drawn):
    ((first, second, third),) = line(drawn["proportion"])
    assert second[0] - first[0] == pytest.approx(third[0] - second[0], abs=0.2)
    assert third[1] < second[1] < first[1]
    assert (first[1] - third[1]) == pytest.approx(4 * (first[1] - second[1]), abs=0.5)
    assert third[1] >= 0 and first[1] <= HEIGHT and first[0] >= 0 and third[0] <= WIDTH


def test_a_line_breaks_where_there_is_nothing_and_lone_points_are_seen(drawn):
    assert [len(stroke) for stroke in line(drawn["gaps"]) if len(stroke) > 1] == [2]
    first, last = marks(drawn["gaps"], "dots")
    assert told(CHARTS["gaps"])[1] == {"a": ["1", "2", None, "1", None, "3"]}
    at = {one.element.get("aria-label"): one.x for one in marks(drawn["gaps"], "hover")}
    assert (first.x, last.x) == (at["iteration 4; a: 1"], at["iteration 6; a: 3"])


def test_a_log_axis_leaves_out_what_it_cannot_show(drawn):
    (stroke,) = [stroke for stroke in line(drawn["log"]) if len(stroke) > 1]
    (lone,) = marks(drawn["log"], "dots")
    high, middle = (y for _, y in stroke)
    assert middle - high == pytest.approx(lone.y - middle, abs=0.1)
    assert words(drawn["log"], "axis-label")[-3:] == ["0.001", "0.01", "0.1"]
    assert told(CHARTS["log"])[1] == {"a": ["0.001", None, "0.1", "0.01"]}
    assert line_chart("t", [Series("a", 0, ((1, 0.0), (2, -1.0)))], log=True) is None


def test_intervals_are_drawn_and_told(drawn):
    svg = drawn["intervals"]
    (bar,) = marks(svg, "interval")
    value, other = marks(svg, "dots")
    ends = sorted([bar.y, bar.end[1]])
    assert ends[0] < value.y < ends[1] and bar.x == pytest.approx(value.x, abs=0.1) and other.x > value.x
    caps = [cap.box for end in ("cap_low", "cap_high") for cap in marks(svg, end)]
    middles = sorted(top + height / 2 for _, top, _, height in caps)
    assert middles == pytest.approx(ends, abs=0.1) and {width for _, _, width, _ in caps} == {8}
    assert {one.colour for one in (bar, value, other)} == {hue(1)}
    assert told(CHARTS["intervals"])[1] == {"policy": ["50% (40% to 60%)", "60%"]}


def test_intervals_that_cannot_be_drawn_are_left_out(drawn):
    assert len(marks(drawn["odd intervals"], "interval")) == 1
    assert told(CHARTS["odd intervals"])[1] == {"a": ["1", "2", "3 (1 to 4)"]}


def test_several_series_share_their_xs_and_have_a_legend(drawn):
    assert told(CHARTS["two"]) == (["iteration 1", "iteration 2"], {"one": ["1", None], "<two>": [None, "2"]})
    assert words(drawn["two"], "legend-label") == ["one", "<two>"]
    assert [one.colour for one in marks(drawn["two"], "dots")] == [hue(0), hue(1)]
    assert words(drawn["gaps"], "legend-label") == []


@pytest.mark.parametrize("name", ["two", "many", "bars", "legend"])
def test_swatches_have_the_hues_of_what_they_name(drawn, name):
    swatches = [one for one in elements(drawn[name]) if "role-legend-symbol" in one.layers]
    assert [one.colour for one in swatches] == [hue(number) for number in CHARTS[name].hues]
    assert len(swatches) == len(words(drawn[name], "legend-label"))


def test_hues_come_round_again(drawn):
    strokes = [one.element.get("stroke") for one in marks(drawn["many"], "line")]
    assert strokes == [hue(number) for number in range(COLOURS + 1)] and strokes[-1] == strokes[0]


def test_a_long_legend_goes_on_in_a_second_line(drawn):
    svg = drawn["legend"]
    swatches = [one for one in elements(svg) if "role-legend-symbol" in one.layers]
    assert words(svg, "legend-label") == NAMES
    assert len({one.y for one in swatches}) > 1
    assert min(one.box[1] for one in marks(svg, "bars")) > max(one.y for one in swatches)


def test_bars_stand_on_one_another_and_heights_are_shares(drawn):
    bars = {(one.colour, index): one.box for index, one in enumerate(marks(drawn["bars"], "bars"))}
    (first, alone), (upper,) = ([box for (colour, _), box in bars.items() if colour == hue(h)] for h in (0, 1))
    assert first[3] == pytest.approx(3 * upper[3], rel=0.01)
    assert upper[1] + upper[3] == pytest.approx(first[1], abs=0.1)
    assert alone[0] > first[0] and alone[3] == pytest.approx(first[3] * 2 / 3, rel=0.01)
    assert told(CHARTS["bars"])[1] == {"a": ["75%", "50%"], "b": ["25%", None]}


def test_bars_keep_apart_and_inside(drawn):
    boxes = [one.box for one in marks(drawn["bars apart"], "bars")]
    for (left, _, width, _), (after, *_) in itertools.pairwise(boxes):
        assert left + width < after
    assert boxes[0][0] > 0 and boxes[-1][0] + boxes[-1][2] < WIDTH


def test_bars_show_no_less_than_nothing(drawn):
    assert len(marks(drawn["bars, odd"], "bars")) == 1
    assert told(CHARTS["bars, odd"]) == (["iteration 1", "iteration 3"], {"a": ["−1", "2"]})


def test_nothing_to_draw_is_no_chart():
    assert line_chart("t", []) is None
    assert line_chart("t", [Series("a", 0, ((1, None), (2, math.inf)))]) is None
    assert stacked_bars("t", [Series("a", 0, ((1, 0.0), (2, None)))]) is None
    assert stacked_bars("t", []) is None


@pytest.mark.parametrize(
    ("name", "xs", "ys"),
    [
        ("proportion", ["1", "2", "3"], ["0", "1", "2", "3", "4"]),
        ("a point", ["7"], ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        ("constant", ["1", "2"], ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ("negative", ["1", "2"], ["−1", "0", "1", "2", "3"]),
        ("tiny", ["1", "2"], ["0", "1e−6", "2e−6", "3e−6"]),
        ("bars apart", ["4", "6", "8", "10", "12"], ["0", "1", "2", "3"]),
        ("bars", ["1", "2"], ["0%", "20%", "40%", "60%", "80%", "100%"]),
        ("seconds", ["1", "2"], ["0 s", "10 s", "20 s", "30 s", "40 s"]),
    ],
)
def test_axes_name_round_values_and_whole_xs_that_there_are(drawn, name, xs, ys):
    labels = words(drawn[name], "axis-label")
    assert (labels[: len(xs)], labels[len(xs) :]) == (xs, ys)


def test_what_is_all_the_same_lies_within_its_axis(drawn):
    for name in ("constant", "constant, not from 0"):
        ((first, last),) = line(drawn[name])
        assert first[1] == last[1] and 8 <= first[1] <= HEIGHT - 38 and last[0] - first[0] > WIDTH / 2


def test_an_axis_need_not_begin_at_0(drawn):
    ((first, last),) = line(drawn["not from 0"])
    assert first[1] - last[1] > HEIGHT / 2


def test_one_label_tells_all_where_there_are_too_many_to_listen_to(drawn):
    assert 'role="group"' in drawn["30 xs"] and 'role="img" aria-label="t: a from 1 to 31"' in drawn["31 xs"]
    assert len(spoken(drawn["31 xs"])) == 31


def test_titles_and_values_are_summed_up():
    assert CHARTS["two"].summary == "t: one from 1 to 1; <two> from 2 to 2"
    assert CHARTS["intervals"].summary == "t: policy from 50% (40% to 60%) to 60%"


def test_hostile_words_are_words(drawn):
    safe = EVIL.replace("\x00", "?")
    assert words(drawn["words"], "legend-label") == [safe, "null"]
    for name in ("words", "bars, evil"):
        assert "<script" not in drawn[name] and safe in words(drawn[name], "axis-title")
        assert CHARTS[name].summary.startswith(safe)
        assert spoken(drawn[name])[0].startswith(f"{safe} 1; {safe}: 1")
