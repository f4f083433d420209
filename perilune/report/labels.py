"""Where the names of a chart's points go, so that they overlap neither each other nor the points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HEIGHT = 18.0
"""Of a label, in pixels."""

_RINGS = (3.0, 11.0, 22.0, 36.0, 54.0, 76.0, 104.0, 140.0)
_DIRECTIONS = 16
_LED = 8.0
"""A label farther from its point than this has a line to it."""
_PER_STROKE, _PER_PIXEL, _PER_AREA, _PER_LED, _PER_NEARER = 10.0, 0.8, 40.0, 60.0, 45.0


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels; y grows downwards. A line along an axis is a box without breadth."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether they have a point in common."""
        return (
            self.left <= other.right
            and other.left <= self.right
            and self.top <= other.bottom
            and other.top <= self.bottom
        )

    def area_with(self, other: Box) -> float:
        """Area of the overlap."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """Its point nearest to (x, y)."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


@dataclass(frozen=True, slots=True)
class Label:
    """Where a name goes."""

    box: Box
    leader: tuple[float, float, float, float] | None
    """(x1, y1, x2, y2) of the line from the point, if the label is not beside it."""


def place_labels(
    points: Sequence[tuple[float, float, float]], *, radius: float, frame: Box, strokes: Sequence[Box] = ()
) -> list[Label]:
    """A place for each label, one after another, the most crowded point first: the cheapest that is free.

    Args:
        points: (x, y, width of the label).
        radius: of the points.
        frame: labels stay inside, if they fit.
        strokes: lines that labels had better not cover.

    Returns:
        In the order of the points.
    """
    taken = [Box(x - radius, y - radius, x + radius, y + radius) for x, y, _ in points]
    found: dict[int, Label] = {}
    for place in sorted(range(len(points)), key=lambda place: -_crowd(points, place)):
        x, y, width = points[place]
        others = [box for other, box in enumerate(taken) if other != place]
        candidates = list(_candidates(x, y, min(width, frame.right - frame.left), radius, frame))
        _, label = min(
            ((_cost(label, place, points, radius, others, strokes), label) for label in candidates), key=_first
        )
        taken.append(label.box)
        found[place] = label
    return [found[place] for place in range(len(points))]


def _first(pair: tuple[float, Label]) -> float:
    return pair[0]


def _crowd(points: Sequence[tuple[float, float, float]], place: int) -> float:
    x, y, _ = points[place]
    return math.fsum(1 / (20 + math.hypot(x - a, y - b)) for other, (a, b, _) in enumerate(points) if other != place)


def _candidates(x: float, y: float, width: float, radius: float, frame: Box) -> Iterator[Label]:
    """Boxes around the point, moved into the frame, the nearest first."""
    for ring in _RINGS:
        for turn in range(_DIRECTIONS):
            # From the upper right, where nothing of an interval is, around to the right.
            angle = 2 * math.pi * (turn + 2) / _DIRECTIONS
            right, up = round(math.cos(angle), 9), round(math.sin(angle), 9)
            reach = radius + ring
            left = x + reach * right + (0 if right > 0 else -width if right < 0 else -width / 2)
            top = y - reach * up - (HEIGHT if up > 0 else 0 if up < 0 else HEIGHT / 2)
            left = min(max(left, frame.left), frame.right - width)
            top = min(max(top, frame.top), frame.bottom - HEIGHT)
            box = Box(left, top, left + width, top + HEIGHT)
            yield Label(box, _leader(box, x, y, radius))


def _leader(box: Box, x: float, y: float, radius: float) -> tuple[float, float, float, float] | None:
    end_x, end_y = box.nearest(x, y)
    length = math.hypot(end_x - x, end_y - y)
    if length < radius + _LED:
        return None
    share = (radius + 1) / length
    return (x + share * (end_x - x), y + share * (end_y - y), end_x, end_y)


def _cost(
    label: Label,
    place: int,
    points: Sequence[tuple[float, float, float]],
    radius: float,
    others: Sequence[Box],
    strokes: Sequence[Box],
) -> float:
    box, (x, y, _) = label.box, points[place]
    own = Box(x - radius, y - radius, x + radius, y + radius)
    covered = math.fsum(box.area_with(other) for other in (*others, own))
    crossed = sum(box.meets(stroke) for stroke in strokes)
    through = 0
    if label.leader:
        passed = [_along(label.leader, step / 12) for step in range(12)]
        through = sum(any(other.meets(Box(a, b, a, b)) for a, b in passed) for other in others)
    distance = math.dist(box.nearest(x, y), (x, y))
    # A name beside another's point would be taken for that one's.
    nearer = sum(
        math.dist(box.nearest(a, b), (a, b)) <= min(distance, radius + _LED)
        for other, (a, b, _) in enumerate(points)
        if other != place
    )
    cost = _PER_AREA * covered + _PER_LED * through + _PER_STROKE * crossed + _PER_PIXEL * distance
    return cost + _PER_NEARER * nearer + (8.0 if label.leader else 0.0)


def _along(line: tuple[float, float, float, float], share: float) -> tuple[float, float]:
    x1, y1, x2, y2 = line
    return x1 + share * (x2 - x1), y1 + share * (y2 - y1)
