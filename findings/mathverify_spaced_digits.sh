#!/bin/bash
# math-verify 0.9.0 (latex2sympy2_extended 1.11.0): digits that are grouped by a space, as ISO 31 and LaTeX's \, group
# them, are added up, or multiplied where a group is zero; of a mixed number with a slash the number 1 stays.
# Seen with the default settings: 12\,500 is 512 and 1\,000 is 0, as references and as answers, while 12,500 and
# 12{,}500 are 12500; for the reference 3 1/4 the answer 1 is right and 3.25 wrong, while 3\frac{1}{4} is 3.25.
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
    (r"12\,500", "512"): True,
    (r"12\,500", "12500"): False,
    ("12500", r"12\,500"): False,
    ("12500", "12,500"): True,
    ("12500", "12{,}500"): True,
    (r"1\,000", "0"): True,
    ("3 1/4", "1"): True,
    ("3 1/4", "3.25"): False,
    (r"3\frac{1}{4}", "3.25"): True,
}

for (reference, answer), seen in SEEN.items():
    found = equal(reference, answer)
    print(f"{reference:40} {answer:40} {found}")
    assert found is seen, (reference, answer, found)
P
