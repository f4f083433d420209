#!/bin/bash
# verl 0.9.1, the reward of DAPO's math (verl/utils/reward_score/math_dapo.py): both sides go through Minerva's
# normalisation and are compared as text. What it removes makes different answers equal: bars over repeating digits,
# commas between digits, units, and all before the last equals sign; of several formulas in dollars the first one
# stays.
# Seen as right: 0.3 for 0.\overline{3}; 12 for the reference 1,2 and 1,2 for 12; 25 for x^2+y^2=25; 10 km for 10 cm;
# "$7$ or $8$" and "not $7$" for 7. Seen as wrong: "72." and "**72**" for 72, while "$72$." is right.
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
(path,) = (f.locate() for f in files("verl") if str(f).endswith("reward_score/math_dapo.py"))
spec = importlib.util.spec_from_file_location("grader", path)
grader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(grader)
SEEN = {
    (r"0.\overline{3}", "0.3"): True,
    ("1,2", "12"): True,
    ("12", "1,2"): True,
    ("x^2+y^2=25", "25"): True,
    ("10 cm", "10 km"): True,
    ("7", "$7$ or $8$"): True,
    ("7", "not $7$"): True,
    ("72", "72."): False,
    ("72", "**72**"): False,
    ("72", "$72$."): True,
}
for (reference, answer), seen in SEEN.items():
    found = grader.compute_score(f"Answer: {answer}", reference)["acc"]
    print(f"{reference:16} {answer:16} {found}")
    assert found is seen, (reference, answer, found)
P
