#!/bin/bash
# verl 0.9.1, the reward of PRIME's math (verl/utils/reward_score/prime_math, from the graders of PRM800K and ToRA):
# several comparisons are tried, and one that fits is enough. Whole numbers may be off by a ten-thousandth, or a
# hundred times too large or too small; braces and parentheses are taken away, and texts without them compared; a base
# is cut off; numbers below 1e-7 are 0; hours, days and minutes are nothing.
# Seen as right: 10001 for 10000, 2024.1 for 2024, 7200 and 0.72 for 72, \frac{1}{23} for \frac{12}{3}, 2(x+3) for
# 2x+3, 2516_9 for 2516_8, 1.6e-19 for 6.63e-34 and for 0, 10 hours for 10 minutes, 314 for 100\pi.
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.3.5 sympy==1.14.0 pylatexenc==2.10 \
    antlr4-python3-runtime==4.11.0
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps verl==0.9.1
"$folder/venv/bin/python" - <<'P'
import importlib
import sys
import types
from importlib.metadata import files

# The packages above the grader import torch and Ray in their __init__, and it has no use for them; nor for the metrics.
(path,) = (f.locate() for f in files("verl") if str(f).endswith("reward_score/prime_math/__init__.py"))
for depth, name in enumerate(("verl.utils.reward_score", "verl.utils", "verl")):
    package = types.ModuleType(name)
    package.__path__ = [str(path.parents[depth + 1])]
    sys.modules[name] = package
sys.modules["verl.utils.metric"] = types.ModuleType("verl.utils.metric")
sys.modules["verl.utils.metric"].Metric = object
grader = importlib.import_module("verl.utils.reward_score.prime_math")
SEEN = {
    ("10000", "10001"): True,
    ("2024", "2024.1"): True,
    ("72", "7200"): True,
    ("72", "0.72"): True,
    (r"\frac{12}{3}", r"\frac{1}{23}"): True,
    ("2x+3", "2(x+3)"): True,
    ("2516_8", "2516_9"): True,
    ("6.63e-34", "1.6e-19"): True,
    ("0", "1.6e-19"): True,
    ("10 minutes", "10 hours"): True,
    (r"100\pi", "314"): True,
    ("72", "73"): False,
}
for (reference, answer), seen in SEEN.items():
    found = grader.compute_score(rf"\boxed{{{answer}}}", reference)[0]
    print(f"{reference:14} {answer:14} {found}")
    assert found is seen, (reference, answer, found)
P
