#!/bin/bash
# Pint 0.25.3: a text with two quantities is their product, for a space multiplies; and times of day are lengths, for
# pm is the picometre and am the attometre. Nothing is raised.
# Seen, UnitRegistry()(text): "3 hours 20 minutes" is 60 hour * minute, "5 feet 3 inches" is 15 foot * inch, "1 1/2
# hours" is 0.5 hour, "4 pm" is 4 picometer, "10 am" is 10 attometer.
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pint==0.25.3
"$folder/venv/bin/python" - <<'P'
import pint

units = pint.UnitRegistry()
SEEN = {
    "3 hours 20 minutes": "60 hour * minute",
    "5 feet 3 inches": "15 foot * inch",
    "1 1/2 hours": "0.5 hour",
    "4 pm": "4 picometer",
    "10 am": "10 attometer",
}
for text, seen in SEEN.items():
    found = str(units(text))
    print(f"{text:20} {found}")
    assert sorted(found.split()) == sorted(seen.split()), (text, found)
P
