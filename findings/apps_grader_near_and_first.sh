#!/bin/bash
# APPS' grader as verl 0.9.1 has it (verl/utils/reward_score/prime_code/testing_util.py; the original in hendrycks/apps,
# eval/testing_util.py, reads the same): outputs are compared in several ways, and one that fits is enough.
# Seen, with the grader's own run_test:
#   expected 1000000, printed 1000000.4: right (np.allclose, relative 1e-5), although a whole number is asked for
#   a function that is expected to give [1, 2, 3] and gives 1: right (the first value of the list is enough)
#   expected [[1, 2], [3, 4]], given [(1, 2), (3, 4)]: wrong, and ([1, 2], [3, 4]): right (tuples count as lists at the
#   top alone)
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.3.5
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps verl==0.9.1
"$folder/venv/bin/python" - <<'P'
import importlib.util
import multiprocessing
from importlib.metadata import files

# By its path: the package itself imports torch.
(path,) = (f.locate() for f in files("verl") if str(f).endswith("reward_score/prime_code/testing_util.py"))
spec = importlib.util.spec_from_file_location("grader", path)
grader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(grader)


def in_a_process(task, program, pipe):
    pipe.send(grader.run_test(task, test=program)[0])


def graded(task, program):
    """In a process of its own: the grader takes functions of os away."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=in_a_process, args=(task, program, theirs))
    process.start()
    found = ours.recv() if ours.poll(60) else None
    process.join()
    return found


def printed(expected, text):
    return graded({"inputs": ["x\n"], "outputs": [expected]}, f"print({text!r})")


def given(expected, value):
    task = {"fn_name": "f", "inputs": ["1"], "outputs": [expected]}
    return graded(task, f"def f(x):\n    return {value!r}\n")


seen = {
    "1000000.4 for 1000000": printed("1000000", "1000000.4"),
    "1000001 for 1000": printed("1000", "1000001"),
    "1 for [1, 2, 3]": given("[1, 2, 3]", 1),
    "[(1, 2), (3, 4)] for lists": given("[[1, 2], [3, 4]]", [(1, 2), (3, 4)]),
    "([1, 2], [3, 4]) for lists": given("[[1, 2], [3, 4]]", ([1, 2], [3, 4])),
}
for what, found in seen.items():
    print(f"{what}: {found}")
assert [found == [True] for found in seen.values()] == [True, False, True, False, True], seen
P
