#!/bin/bash
# TRL 1.16.0 with math-verify 0.9.0: accuracy_reward hands the solution to math-verify as it is, which reads LaTeX
# only between delimiters. The example in its docstring has no dollars and works, for a lone \frac is read; of most
# other formulas the number at their beginning is taken for the solution. The right answer earns 0 and that number 1,
# without a word. Columns of answers such as MATH's have no dollars.
# Seen: solution 2\sqrt{3}: \boxed{2\sqrt{3}} earns 0 and \boxed{2} earns 1; the same with 10^{-5} and 10, 3+2i and 3,
# 5! and 5, 2x+3 and 2, x \le 5 and 5, 1e-05 and 1. \sqrt{2} earns None. With dollars around the solution all are
# right.
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check math-verify==0.9.0 \
    latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2 packaging==25.0
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps trl==1.16.0
"$folder/venv/bin/python" - <<'P'
import logging

from trl.rewards import accuracy_reward

logging.disable(logging.WARNING)


def reward(solution, answer):
    completion = [{"role": "assistant", "content": rf"Thus the answer is $\boxed{{{answer}}}$."}]
    return accuracy_reward([completion], [solution])[0]


assert reward(r"\frac{1}{3}", r"\frac{1}{3}") == 1.0
for solution, other in [
    (r"2\sqrt{3}", "2"),
    ("10^{-5}", "10"),
    ("3+2i", "3"),
    ("5!", "5"),
    ("2x+3", "2"),
    (r"x \le 5", "5"),
    ("1e-05", "1"),
]:
    found = reward(solution, solution), reward(solution, other), reward(f"${solution}$", solution)
    print(f"{solution:12} itself {found[0]}, {other} {found[1]}; with dollars itself {found[2]}")
    assert found == (0.0, 1.0, 1.0), (solution, found)
assert reward(r"\sqrt{2}", r"\sqrt{2}") is None
P
