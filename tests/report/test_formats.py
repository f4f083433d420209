import re

import pytest
from drawings import check, words

from perilune.report.chart import framed
from perilune.report.drawing import draw
from perilune.report.formats import count, duration, number, percent


def test_numbers_are_told_shortly():
    assert [percent(v) for v in (0, 0.5, 0.0375, 1)] == ["0%", "50%", "3.8%", "100%"]
    assert [number(v) for v in (0, 0.00123456, 12.345, 1234.5, 56789)] == ["0", "0.00123", "12.3", "1234", "56.8k"]
    assert [number(v) for v in (0.0001, 0.00002, 1.234e-9, 2.5e6)] == ["0.0001", "2e−5", "1.23e−9", "2.5M"]
    assert [duration(v) for v in (5, 90, 150, 7200)] == ["5 s", "90 s", "2.5 min", "2.0 h"]
    assert [count(v) for v in (3, 1234, 0.5)] == ["3", "1,234", "0.5"]


def test_minus_is_one_sign_everywhere():
    assert [number(v) for v in (-0.25, -12345, -2e-5)] == ["−0.25", "−12.3k", "−2e−5"]
    assert (percent(-0.02), duration(-3), count(-1200)) == ("−2%", "−3 s", "−1,200")
    assert number(-0.0) == "0"


VALUES = {
    "number": (number, [-25000, -0.25, -2e-5, 0, 3e-6, 0.0001, 0.002, 0.5, 20, 1500, 20000, 2.5e6]),
    "percent": (percent, [-0.5, 0, 0.125, 0.2, 1]),
    "duration": (duration, [0, 0.5, 20, 99, 150, 600, 6300, 14400]),
    "count": (count, [-1500, 0, 0.5, 20, 1500, 20000]),
}


@pytest.fixture(scope="module")
def ticks():
    """What an axis writes at the values."""
    charts = []
    for form, values in VALUES.values():
        axis = {"values": values, "labelExpr": form.tick, "labelOverlap": False}
        scale = {"type": "symlog", "constant": 1e-7, "domain": [values[0], values[-1]]}
        y = {"field": "y", "type": "quantitative", "scale": scale, "axis": axis}
        spec = {"data": {"values": [{"y": 0}]}, "mark": "point", "encoding": {"y": y}}
        charts.append(framed(spec, "t", (200, 600), ()))
    for chart in charts:
        check(chart)
    return dict(zip(VALUES, draw(charts), strict=True))


@pytest.mark.parametrize("name", VALUES)
def test_an_axis_tells_values_as_text_does_but_for_zeros_at_the_end(ticks, name):
    form, values = VALUES[name]
    told = [re.sub(r"(\.\d*?)0+(?=\D|$)", r"\1", form(value)).replace(". ", " ") for value in values]
    assert words(ticks[name], "axis-label") == told
