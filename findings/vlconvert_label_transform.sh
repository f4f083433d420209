#!/bin/bash
# vl-convert-python 1.9.0.post1 (Vega 6.2.0): a Vega specification with the transform `label`, which Vega documents and
# the package bundles, is converted without an exception, yet every label lies at (0, 0), one on the other. The
# transform wants a canvas and fails; that is printed on standard error and nowhere else.
# Seen: [('translate(0,0)', 'one'), ('translate(0,0)', 'two')], and on standard error "Cannot read properties of null
# (reading 'getContext')".
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check vl-convert-python==1.9.0.post1
"$folder/venv/bin/python" - 2> "$folder/stderr" <<'P'
import re

import vl_convert

points = {
    "type": "symbol",
    "name": "points",
    "from": {"data": "table"},
    "encode": {"enter": {"x": {"field": "x"}, "y": {"value": 50}}},
}
names = {
    "type": "text",
    "from": {"data": "points"},
    "encode": {"enter": {"text": {"field": "datum.name"}}},
    "transform": [{"type": "label", "size": [200, 100]}],
}
spec = {
    "$schema": "https://vega.github.io/schema/vega/v6.json",
    "width": 200,
    "height": 100,
    "autosize": "none",
    "data": [{"name": "table", "values": [{"x": 50, "name": "one"}, {"x": 150, "name": "two"}]}],
    "marks": [points, names],
}
found = re.findall(r'<text[^>]*transform="([^"]*)"[^>]*>([^<]*)<', vl_convert.vega_to_svg(spec))
print(found)
assert found == [("translate(0,0)", "one"), ("translate(0,0)", "two")], found
P
cat "$folder/stderr"
grep -q "reading 'getContext'" "$folder/stderr"
