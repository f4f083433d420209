#!/bin/bash
# Vega 6.2.0, as in vl-convert-python 1.9.0.post1: an axis leaves out some of the values that it is told to show, where
# tickCount is smaller than their number, although there is room and labelOverlap is off. The comment on AxisTicks in
# vega-encode 5.0.0 says that a count has no say where values are given; the thinning was asked for at one time
# (vega/vega-parser, issue 59), so it is that comment which is out of date.
# Seen: values 0 to 5 without tickCount show 0 1 2 3 4 5; with tickCount 3 they show 0 2 4.
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check vl-convert-python==1.9.0.post1
"$folder/venv/bin/python" - <<'P'
import re

import vl_convert


def shown(**axis):
    y = {"field": "y", "type": "quantitative", "axis": {"labelOverlap": False, **axis}}
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": 200,
        "height": 300,
        "data": {"values": [{"y": 0}, {"y": 5}]},
        "mark": "point",
        "encoding": {"y": y},
    }
    svg = vl_convert.vegalite_to_svg(spec, vl_version="6.4")
    return re.findall(r'text-anchor="end"[^>]*>([^<]*)<', svg)


whole, thinned = shown(values=[0, 1, 2, 3, 4, 5]), shown(values=[0, 1, 2, 3, 4, 5], tickCount=3)
print("without tickCount:", *whole)
print("with tickCount 3: ", *thinned)
assert whole == ["0", "1", "2", "3", "4", "5"], whole
assert thinned == ["0", "2", "4"], thinned
P
