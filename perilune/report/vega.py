"""The process that draws: ``python -m perilune.report.vega`` makes SVG of Vega-Lite specifications.

Standard input is a JSON list of the fields of :class:`perilune.report.chart.Chart`. Standard output has a line for
each, written as soon as it is known: ``{"svg": …}``, or ``{"why": …}`` where vl-convert refuses.

It is a process of its own because what happens to vl-convert happens to the process that it is in, and because it keeps
memory and threads. For a quick start it imports nothing of the package's.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

_VERSION = "6.4"
_SVG = "http://www.w3.org/2000/svg"
_MOST_TOLD = 30
"""Marks with words of a chart that a screen reader still goes through one by one."""
_NUMBERS = ("transform", "d", "x2", "y2")
_NO_USE = ("font-family", "pointer-events", "aria-roledescription")
_DEFAULTS = {"opacity": "1", "x2": "0", "y2": "0", "transform": "translate(0,0)"}


def main() -> None:
    """Draw what standard input asks for."""
    try:
        import vl_convert
    except ImportError as error:
        sys.exit(f"vl-convert-python cannot be imported ({error})")
    # What the library prints would lie between the answers.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as answers:
        os.dup2(2, 1)
        for chart in json.load(sys.stdin):
            try:
                text = vl_convert.vegalite_to_svg(chart["spec"], vl_version=_VERSION, allowed_base_urls=[])
                answer = {"svg": tidied(text, chart)}
            except Exception as error:
                # Below its second line is the library's own way to the fault.
                answer = {"why": " ".join(str(error).splitlines()[:2]) or type(error).__name__}
            print(json.dumps(answer), file=answers, flush=True)


def tidied(text: str, chart: Mapping[str, Any]) -> str:
    """Vega's SVG as a page wants it: scalable, named, and without what neither shows nor tells anything.

    Args:
        text: as vl-convert gives it.
        chart: ``summary``, ``width``, ``height`` and ``hues``.

    Raises:
        ValueError: the drawing has not the size that was asked for.
    """
    root = ElementTree.fromstring(text)
    drawn, asked = (root.get("width"), root.get("height")), (str(chart["width"]), str(chart["height"]))
    if drawn != asked:
        raise ValueError(f"it came out {' by '.join(map(str, drawn))} pixels large, not {' by '.join(asked)}")
    for one in root.iter():
        _tidy(one)
    root[:] = _unwrapped(root)
    speaking = sum(one.get("role") == "img" for one in root.iter())
    root.attrib = {
        "class": "chart",
        "viewBox": f"0 0 {chart['width']} {chart['height']}",
        # Of too many to listen to, the summary tells all.
        "role": "group" if speaking <= _MOST_TOLD else "img",
        "aria-label": chart["summary"],
        "data-hues": " ".join(map(str, chart["hues"])),
    }
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _tidy(one: ElementTree.Element) -> None:
    for name in _NUMBERS:
        if found := one.get(name):
            one.set(name, re.sub(r"\d+\.\d+(?:e-?\d+)?", _rounded, found))
    for name in _NO_USE:
        one.attrib.pop(name, None)
    for name, value in _DEFAULTS.items():
        if one.get(name) == value:
            del one.attrib[name]
    # A screen reader takes what has words for an image, and nothing else for anything.
    role = one.attrib.pop("role", None)
    if role and one.get("aria-label"):
        one.set("role", "img")
    kind = one.get("class", "").split()
    if kind:
        one.set("class", kind[-1])


def _unwrapped(parent: ElementTree.Element) -> list[ElementTree.Element]:
    """The children, without those that show nothing, and with the content of groups that say nothing in their place."""
    found = []
    for child in parent:
        tag, kind = child.tag.removeprefix(f"{{{_SVG}}}"), child.get("class")
        inner = _unwrapped(child)
        if tag == "g" and not child.attrib:
            found += inner
        elif (tag == "g" and not inner) or (tag == "text" and not child.text) or kind in ("background", "foreground"):
            continue
        else:
            child[:] = inner
            found.append(child)
    return found


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found.group()):.2f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    main()
