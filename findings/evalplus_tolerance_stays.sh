#!/bin/bash
# EvalPlus 0.3.1 (evalplus/eval/__init__.py, unsafe_execute): the tolerance for floating-point numbers is set at the first
# expected value that is one, and stays for all inputs after it. A wrong whole number is then taken for right if it is near
# (np.allclose, relative 1e-7), or not, depending on the order of the inputs.
# Seen: a function that gives 10000001 where 10000000 is expected fails; with an input before it whose value is 0.5, it
# passes.
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.3.5 psutil==7.1.3
# Without its dependencies: grading needs none of the clients of model providers.
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps evalplus==0.3.1
"$folder/venv/bin/python" - <<'P'
from evalplus.eval import untrusted_check

PROGRAM = "def f(x):\n    return {'half': 0.5}.get(x) or 10_000_001\n"


def checked(inputs, expected):
    return untrusted_check("humaneval", PROGRAM, inputs, "f", expected, 0, [0.1] * len(inputs))[0]


alone, after = checked([["n"]], [10_000_000]), checked([["half"], ["n"]], [0.5, 10_000_000])
print("10000001 for 10000000, alone:           ", alone)
print("10000001 for 10000000, after 0.5 for 0.5:", after)
assert (alone, after) == ("fail", "pass"), (alone, after)
P
