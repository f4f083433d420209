#!/bin/bash
# math-verify 0.9.0 (latex2sympy2_extended 1.11.0): words after a number are dropped with all that follows them, also
# where they make another number of it, or deny it; a reference loses them in the same way.
# Seen with the default settings: for 18 the answers "18 is wrong" and "18 squared", each in \text, are right; for the
# reference 1.5 million the answer 1.5 is right and 1500000 wrong; for 3 hours 20 minutes the answer 3 hours 40
# minutes is right, and so is 3; 10 cm and 10 m are equal, and so are 5 cents and 5 dollars.
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
    ("18", r"18\text{ is wrong}"): True,
    ("18", r"18\text{ squared}"): True,
    (r"1.5\text{ million}", "1.5"): True,
    (r"1.5\text{ million}", "1500000"): False,
    (r"3\text{ hours }20\text{ minutes}", r"3\text{ hours }40\text{ minutes}"): True,
    (r"3\text{ hours }20\text{ minutes}", "3"): True,
    (r"10\text{ cm}", r"10\text{ m}"): True,
    (r"5\text{ cents}", r"5\text{ dollars}"): True,
}

for (reference, answer), seen in SEEN.items():
    found = equal(reference, answer)
    print(f"{reference:40} {answer:40} {found}")
    assert found is seen, (reference, answer, found)
P
