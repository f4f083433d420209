#!/bin/bash
# reasoning-gym 0.1.25: what some of its tasks' scorers take for right, and do with an answer, beside what they ask.
# Seen with seed 11:
#   coin_flip           "0" earns 1 where the probability is 0.25 or 0.0161...: what agrees from the left with the shorter
#                       of the two is counted, and "0" agrees as a whole
#   complex_arithmetic  "nan" earns 1: the distance is no number, and min(1, exp(-nan)) is 1
#   number_sorting      every number may be off by 1: the list with 0.9 added to each earns 1
#   spiral_matrix       the answer is evaluated: a list whose numbers are written as sums earns its 0.1 as the plain list
#                       does (binary_matrix, n_queens and string_insertion call eval too)
#   prime_factorization "seven" raises ValueError; calendar_arithmetic and coin_flip raise OverflowError on 400 nines
#   boxnet              "7" raises TypeError
#   gsm_symbolic        metadata of some entries hold fractions.Fraction, which json.dumps refuses
#   ab                  some entries have the empty text as their answer
# Exits 0 while all of that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check reasoning-gym==0.1.25 sympy==1.14.0 numpy==2.4.6
cat > "$folder/score.py" <<'P'
import json

import reasoning_gym


def entries(task, size):
    return list(reasoning_gym.create_dataset(task, size=size, seed=11))


def score(task, answer, entry):
    try:
        return reasoning_gym.get_score_answer_fn(task)(answer, entry)
    except Exception as error:
        return type(error).__name__


def is_json(entry):
    try:
        json.dumps(entry)
    except TypeError:
        return False
    return True


seen = {}
flips = [entry for entry in entries("coin_flip", 40) if 0.01 < float(entry["answer"]) < 0.9]
seen["coin_flip"] = len(flips) > 5 and all(score("coin_flip", "0", entry) == 1 for entry in flips)
sums = entries("complex_arithmetic", 9)
seen["complex_arithmetic"] = all(score("complex_arithmetic", "nan", entry) == 1 for entry in sums)
(sorting,) = entries("number_sorting", 1)
off = json.dumps([str(float(number) + 0.9) for number in json.loads(sorting["answer"].replace("'", '"'))])
seen["number_sorting"] = score("number_sorting", off, sorting) == 1
(spiral,) = entries("spiral_matrix", 1)
sums = "[" + ", ".join(f"{number} + 0" for number in spiral["answer"].split()) + "]"
seen["spiral_matrix"] = score("spiral_matrix", sums, spiral) == 0.1
(prime,) = entries("prime_factorization", 1)
seen["prime_factorization"] = score("prime_factorization", "seven", prime) == "ValueError"
seen["calendar_arithmetic"] = "OverflowError" in {
    score("calendar_arithmetic", "9" * 400, entry) for entry in entries("calendar_arithmetic", 20)
}
seen["coin_flip, 400 nines"] = score("coin_flip", "9" * 400, flips[0]) == "OverflowError"
seen["boxnet"] = score("boxnet", "7", entries("boxnet", 1)[0]) == "TypeError"
seen["gsm_symbolic"] = not all(map(is_json, entries("gsm_symbolic", 150)))
seen["ab"] = any(entry["answer"] == "" for entry in entries("ab", 150))
for task, so in seen.items():
    print(task, so)
raise SystemExit(not all(seen.values()))
P
"$folder/venv/bin/python" "$folder/score.py"
