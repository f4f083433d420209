#!/bin/bash
# verl 0.9.1, the reward of GSM8K (verl/utils/reward_score/gsm8k.py): a number takes the full stop or comma after it
# along, and is then compared as text. method="flexible", which takes the last number of the response, keeps grouping
# commas too.
# Seen for the reference 72: "The answer is 72." earns 0 by flexible, "The answer is 72" 1; "#### 72." earns 0 by
# strict and flexible, "#### 72" 1; "#### $72" earns 0 by strict and 1 by flexible, "#### 72.00" 0 by both. For 1000,
# "It is 1,000" earns 0 by flexible, and "#### 1,000" 1 by strict.
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps verl==0.9.1
"$folder/venv/bin/python" - <<'P'
import importlib.util
from importlib.metadata import files

# By its path: the package itself imports torch.
(path,) = (f.locate() for f in files("verl") if str(f).endswith("reward_score/gsm8k.py"))
spec = importlib.util.spec_from_file_location("grader", path)
grader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(grader)
SEEN = {
    ("72", "The answer is 72."): (0, 0),
    ("72", "The answer is 72"): (0, 1),
    ("72", "#### 72."): (0, 0),
    ("72", "#### 72"): (1, 1),
    ("72", "#### $72"): (0, 1),
    ("72", "#### 72.00"): (0, 0),
    ("1000", "It is 1,000"): (0, 0),
    ("1000", "#### 1,000"): (1, 0),
}
for (reference, response), seen in SEEN.items():
    found = tuple(grader.compute_score(response, reference, method) for method in ("strict", "flexible"))
    print(f"{reference:5} {response:20} strict {found[0]:g}, flexible {found[1]:g}")
    assert found == seen, (reference, response, found)
P
