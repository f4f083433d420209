#!/bin/bash
# math-verify 0.9.0 (latex2sympy2_extended 1.11.0): a letter at the end of a formula that is also the name of a unit
# is dropped, however it is written. c, d, g, h, l, m, s and t are; so in a problem whose answer is told in m or t,
# the number alone is right, and a right answer can be wrong.
# Seen with the default settings: for the reference 5m the answer 5 is right (so for 2t, x^2h and \frac{3}{2}m; not
# for 5x or 2n); for m+5m the answer 6m is wrong, since they become m+5 and 6.
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check math-verify==0.9.0 \
    latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2
"$folder/venv/bin/python" - <<'P'
from math_verify import parse, verify


def equal(reference, answer):
    return verify(parse(f"${reference}$"), parse(rf"Thus \boxed{{{answer}}}."))


SEEN = {
    ("5m", "5"): True,
    ("2t", "2"): True,
    ("x^2h", "x^2"): True,
    (r"\frac{3}{2}m", r"\frac{3}{2}"): True,
    ("5x", "5"): False,
    ("2n", "2"): False,
    ("m+5m", "6m"): False,
    ("n+5n", "6n"): True,
}

for (reference, answer), seen in SEEN.items():
    found = equal(reference, answer)
    print(f"{reference:40} {answer:40} {found}")
    assert found is seen, (reference, answer, found)
P
