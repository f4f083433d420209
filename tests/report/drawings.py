"""What a chart tells, and what its drawing holds and where."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

import altair

SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Drawn:
    """An element with its place in the whole drawing."""

    element: ElementTree.Element
    x: float
    y: float
    layers: tuple[str, ...]
    """Classes of the groups that it is in."""

    @property
    def end(self):
        """Where a rule ends."""
        return self.x + float(self.element.get("x2", 0)), self.y + float(self.element.get("y2", 0))

    @property
    def strokes(self):
        """The unbroken stretches of a path, each a list of (x, y); the curves of a symbol are none."""
        stretches = [stroke.strip("Z") for stroke in self.element.get("d").split("M") if stroke]
        points = [[point.split(",") for point in stroke.split("L")] for stroke in stretches]
        return [[(self.x + float(x), self.y + float(y)) for x, y in stretch] for stretch in points]

    @property
    def box(self):
        """(left, top, width, height) of a bar."""
        left, top, width, height = map(
            float, re.fullmatch(r"M([-\d.]+),([-\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+Z", self.element.get("d")).groups()
        )
        return self.x + left, self.y + top, width, height

    @property
    def colour(self):
        return self.element.get("stroke") if self.element.tag == SVG + "line" else self.element.get("fill")


def elements(svg):
    """All that is drawn, in its order."""
    return list(_walk(ElementTree.fromstring(svg), 0.0, 0.0, ()))


def _walk(element, x, y, layers):
    moved = re.fullmatch(r"translate\(([-\d.]+),([-\d.]+)\)", element.get("transform", ""))
    if moved:
        x, y = x + float(moved[1]), y + float(moved[2])
    if element.tag != SVG + "g":
        yield Drawn(element, x, y, layers)
    for child in element:
        yield from _walk(child, x, y, (*layers, element.get("class", "")))


def marks(svg, layer):
    """The marks of a layer of the specification."""
    return [one for one in elements(svg) if f"{layer}_marks" in one.layers]


def words(svg, kind=""):
    """Texts, those of a kind such as 'axis-label', 'axis-title' and 'legend-label' or all, in their order."""
    found = [one for one in elements(svg) if one.element.tag == SVG + "text"]
    return [one.element.text for one in found if not kind or f"role-{kind}" in one.layers]


def spoken(svg):
    """What a screen reader is told of marks, and the page's script shows."""
    return [one.element.get("aria-label") for one in elements(svg)[1:] if one.element.get("aria-label")]


def sentence(svg):
    """All its text as one."""
    return " ".join("".join(ElementTree.fromstring(svg).itertext()).split())


def told(chart):
    """(head at each x, {series: its value at each x}): what the hover marks of a chart say."""
    (layer,) = [one for one in chart.spec["layer"] if one.get("name") == "hover"]
    heads, rows = [], {}
    for label in layer["data"]["values"]:
        head, *parts = label["told"].split("; ")
        heads.append(head)
        for part in parts:
            name, _, value = part.rpartition(": ")
            rows.setdefault(name, []).append(None if value == "–" else value)
    return heads, rows


def check(chart):
    """Fail unless Vega-Lite's schema allows the specification: the library that draws passes over a misspelt word."""
    altair.Chart.from_dict(chart.spec)
