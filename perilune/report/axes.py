"""Scales and ticks: where a value lies in a chart, and which values its axis names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values between ``low`` and ``high`` to pixels between ``start`` and ``end``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high], at most ``most`` + 1 of them."""
    if not low < high:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def whole_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Like :func:`nice_ticks`, of whole numbers alone."""
    return [tick for tick in nice_ticks(low, max(high, low + 1), most) if tick == int(tick) and tick <= high]


def decades(low: float, high: float, most: int = 5) -> list[float]:
    """Powers of ten within [low, high], thinned to about ``most``."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / most))
    return [10.0**power for power in range(first, last + 1, step)]


def linear_bounds(values: Sequence[float], *, zero: bool) -> tuple[float, float]:
    """Ends of an axis that holds the values with some room, from 0 if asked and possible."""
    low, high = min(values), max(values)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        room = abs(high) * 0.1 or 1.0
        return (low if zero and low == 0 else low - room, high + room)
    room = (high - low) * 0.06
    return (low if zero and low == 0 else low - room, high if zero and high == 0 else high + room)


def log_bounds(values: Sequence[float]) -> tuple[float, float]:
    """Whole decades around positive values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return (10.0**low, 10.0 ** max(high, low + 1))


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


def number(value: float) -> str:
    """A number in three digits or so."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        return f"{value / 1000:.3g}k"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """Seconds in the unit that people would use."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
