import pytest

from perilune.report.axes import (
    Scale,
    decades,
    duration,
    linear_bounds,
    log_bounds,
    nice_ticks,
    number,
    percent,
    whole_ticks,
)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 87, [0, 20, 40, 60, 80]),
        (-0.03, 0.03, [-0.02, 0, 0.02]),
        (0, 3e-6, [0, 1e-6, 2e-6, 3e-6]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round_numbers_within_the_range(low, high, ticks):
    assert nice_ticks(low, high) == pytest.approx(ticks)


def test_whole_ticks_leave_out_fractions():
    assert whole_ticks(1, 3) == [1, 2, 3]
    assert whole_ticks(1, 1) == [1]
    assert whole_ticks(0, 300) == [0, 50, 100, 150, 200, 250, 300]


def test_scales_map_their_ends_and_middle():
    assert [Scale(0, 10, 100, 0)(value) for value in (0, 5, 10)] == [100, 50, 0]
    assert [Scale(0.01, 100, 0, 80, log=True)(value) for value in (0.01, 1, 100)] == pytest.approx([0, 40, 80])


def test_bounds_hold_the_values():
    assert linear_bounds([0.2, 0.7], zero=True) == pytest.approx((0, 0.742))
    assert linear_bounds([-1, 3], zero=True) == pytest.approx((-1.24, 3.24))
    low, high = linear_bounds([2.0], zero=False)
    assert low < 2 < high
    low, high = linear_bounds([0.0, 0.0], zero=True)
    assert (low, high) == (0, 1)
    assert log_bounds([0.002, 0.3]) == pytest.approx((0.001, 1))
    assert log_bounds([0.01]) == pytest.approx((0.01, 0.1))
    assert decades(1e-3, 1) == pytest.approx([1e-3, 1e-2, 0.1, 1])
    assert len(decades(1e-12, 1)) <= 5


def test_numbers_are_told_shortly():
    assert [percent(v) for v in (0, 0.5, 0.0375, 1)] == ["0%", "50%", "3.8%", "100%"]
    assert [number(v) for v in (0, 0.00123456, 12.345, 1234.5, 56789)] == ["0", "0.00123", "12.3", "1234", "56.8k"]
    assert [duration(v) for v in (5, 90, 150, 7200)] == ["5 s", "90 s", "2.5 min", "2.0 h"]
