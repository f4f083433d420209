#!/bin/bash
# lm-eval 0.4.13, minerva_math (lm_eval/tasks/minerva_math/utils.py), metric exact_match: answers are compared by
# sympy's parse_latex, which without strict=True reads as far as it can and drops the rest (sympy 1.14.0). Of answers
# in a list only the first one is compared.
# Seen: for the reference 1,2 the answers 1,3 and 1 have exact_match 1, and 2,1 has 0; \sqrt{2} for \sqrt{2},\sqrt{3}
# has 1. Besides, a bar over repeating digits is removed, so that 0.3 for 0.\overline{3} has 1, and \ln 100 for \log
# 100.
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check math-verify==0.9.0 \
    'latex2sympy2_extended[antlr4-11-0]==1.11.0' sympy==1.14.0 antlr4-python3-runtime==4.11.0
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps lm-eval==0.4.13
"$folder/venv/bin/python" - <<'P'
import importlib.util
from importlib.metadata import files

# By its path: the package itself imports data sets and torch.
(path,) = (f.locate() for f in files("lm-eval") if str(f).endswith("tasks/minerva_math/utils.py"))
spec = importlib.util.spec_from_file_location("grader", path)
grader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(grader)


def exact_match(reference, answer):
    problem = {"solution": rf"$\boxed{{{reference}}}$", "answer": grader.normalize_final_answer(reference)}
    response = f"Final Answer: The final answer is ${answer}$. I hope it is correct."
    return grader.process_results(problem, [response])["exact_match"]


SEEN = {
    ("1,2", "1,3"): 1,
    ("1,2", "1"): 1,
    ("1,2", "2,1"): 0,
    (r"\sqrt{2},\sqrt{3}", r"\sqrt{2}"): 1,
    (r"0.\overline{3}", "0.3"): 1,
    (r"\log 100", r"\ln 100"): 1,
    ("2", "3"): 0,
}
for (reference, answer), seen in SEEN.items():
    found = exact_match(reference, answer)
    print(f"{reference:20} {answer:20} {found}")
    assert found == seen, (reference, answer, found)
P
