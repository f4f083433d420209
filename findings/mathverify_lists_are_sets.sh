#!/bin/bash
# math-verify 0.9.0 (latex2sympy2_extended 1.11.0): what is listed with commas is a set, so values that repeat count
# once; and a reference without parentheses takes a pair of the same numbers in any order, or an interval between
# them. The other way round a pair does not take the list.
# Seen with the default settings: for 1, 1, 2 the answer 1, 2 is right, and 2, 2, 2 for 2; for the reference 1,2 the
# answer (2,1) is right, and for 3,1 the answer (1,3), which is read as an open interval; for the reference (2,1) the
# answer 1,2 is wrong.
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
    ("1, 1, 2", "1, 2"): True,
    ("2", "2, 2, 2"): True,
    ("1,2", "(2,1)"): True,
    ("3,1", "(1,3)"): True,
    ("(2,1)", "1,2"): False,
    ("1,2", "1,3"): False,
}

for (reference, answer), seen in SEEN.items():
    found = equal(reference, answer)
    print(f"{reference:40} {answer:40} {found}")
    assert found is seen, (reference, answer, found)
P
