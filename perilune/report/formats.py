"""How values are told: in words by Python, and on an axis by Vega, which chooses the ticks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """One way to tell a value, written down twice."""

    tell: Callable[[float], str]
    """For text; may write '-' where people see '−'."""
    tick: str
    """For an axis: a Vega expression over ``datum.value``. Unlike text, a tick has no zeros that end a fraction."""

    def __call__(self, value: float) -> str:
        """The value in words."""
        return self.tell(value).replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


def _number(value: float) -> str:
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    if size >= 1e3:
        return f"{value:.0f}"
    if 0 < size < 1e-4:
        digits, _, power = f"{value:.2e}".partition("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value + 0.0:.3g}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.3g} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


_V = "datum.value"
percent = Format(_percent, f"format(100 * {_V}, '.1~f') + '%'")
"""A share in [0, 1] as a percentage."""
number = Format(
    _number,
    f"abs({_V}) >= 1e6 ? format({_V} / 1e6, '.3~r') + 'M' : abs({_V}) >= 1e4 ? format({_V} / 1e3, '.3~r') + 'k' : "
    f"abs({_V}) >= 1e3 ? format({_V}, '.0f') : "
    f"{_V} && abs({_V}) < 1e-4 ? replace(format({_V}, '.2~e'), '-', '−') : format({_V}, '.3~r')",
)
"""A number in three digits or so."""
duration = Format(
    _duration,
    f"{_V} < 100 ? format({_V}, '.3~r') + ' s' : {_V} < 5400 ? format({_V} / 60, '.1~f') + ' min' : "
    f"format({_V} / 3600, '.1~f') + ' h'",
)
"""Seconds in the unit that people would use."""
count = Format(_count, f"format({_V}, ',.1~f')")
"""A number of things, whole."""
