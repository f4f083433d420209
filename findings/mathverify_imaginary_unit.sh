#!/bin/bash
# math-verify 0.9.0 (latex2sympy2_extended 1.11.0): i is a variable like others, so complex numbers are equal only
# where algebra without i^2 = -1 says so. The capital I is the imaginary unit.
# Seen with the default settings: for 2i the answer (1+i)^2 is wrong, -i for \frac{1}{i}, -1 for e^{i\pi}; i+1 for 1+i
# is right, and (1+I)^2 for 2I.
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
    ("2i", "(1+i)^2"): False,
    (r"\frac{1}{i}", "-i"): False,
    (r"e^{i\pi}", "-1"): False,
    ("1+i", "i+1"): True,
    ("2I", "(1+I)^2"): True,
}

for (reference, answer), seen in SEEN.items():
    found = equal(reference, answer)
    print(f"{reference:40} {answer:40} {found}")
    assert found is seen, (reference, answer, found)
P
