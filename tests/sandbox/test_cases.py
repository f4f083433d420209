"""Test-case generation with planted submissions, through the real sandbox."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from perilune.recipe.cases import CasesConfig
from perilune.sandbox.cases import CaseMaker, Hurdle, Made, SolvedProblem, funnel
from perilune.sandbox.cyaron import GENERATOR, generator_language
from perilune.sandbox.judge import Judge
from perilune.sandbox.languages import LANGUAGES
from perilune.sandbox.programs import Limits, Program
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import Case, Checker
from perilune.sandbox.verdicts import Outcome

# The range of the sums over sliding windows: first line n and w, second line n numbers.
RIGHT = """
n, w = map(int, input().split())
a = list(map(int, input().split()))
best = [sum(a[i:i + w]) for i in range(n - w + 1)]
print(max(best) - min(best))
"""
SAME_BUG = RIGHT.replace("range(n - w + 1)", "range(max(1, n - w))")
CRASHES_ON_LARGE = RIGHT.replace("best =", "assert n < 60\nbest =")
SILENT_ON_LARGE = RIGHT.replace("print(", "if n < 60: print(")
GENERATOR_PROGRAM = """
from cyaron import *
k = int(input())
n = 2 * k
print(n, max(1, n - 1 - k % 3) if k > 2 else 1)
print(*[v[0] for v in Vector.random(n, [(-100, 100)], 1)])
"""
VALIDATOR = """
import sys
lines = sys.stdin.read().split("\\n")
n, w = map(int, lines[0].split())
assert 1 <= w <= n <= 200 and len(lines[1].split()) == n
"""


@pytest.fixture(scope="module")
def maker() -> Iterator[CaseMaker]:
    with ExitStack() as stack:
        language = stack.enter_context(generator_language())
        sandbox = stack.enter_context(Sandbox(workers=2, languages={**LANGUAGES, GENERATOR: language}))
        yield CaseMaker(sandbox, CasesConfig(), Limits(cpu_seconds=5, wall_seconds=60, memory_mb=1024))


def problem(right: int, wrong: int = 0, bug: str = SAME_BUG) -> SolvedProblem:
    """So many right submissions, told apart by a comment, and so many with the same bug."""
    sources = [f"# {n}\n{RIGHT}" for n in range(right)] + [f"# {n}\n{bug}" for n in range(wrong)]
    return SolvedProblem("window", "…", tuple(Program("python", source) for source in sources))


def made(maker: CaseMaker, given: SolvedProblem, generator: str | None = GENERATOR_PROGRAM) -> Made:
    result = maker.make(given, generator)
    assert not result.error
    return result


def test_all_right_is_kept_and_its_tests_judge(maker: CaseMaker) -> None:
    result = made(maker, problem(10))
    assert (result.failed, result.inputs, result.valid_cases, result.right_submissions) == (None, 50, 50, 10)
    assert result.task is not None
    assert len({case.input for case in result.task.cases}) == 50
    judge = Judge(maker.sandbox)
    assert judge.judge(result.task, Program("python", RIGHT)).outcome is Outcome.ACCEPTED
    assert judge.judge(result.task, Program("python", SAME_BUG)).outcome is Outcome.WRONG_ANSWER


@pytest.mark.parametrize("bug", [SAME_BUG, CRASHES_ON_LARGE, SILENT_ON_LARGE], ids=["wrong", "crashes", "silent"])
def test_one_of_ten_wrong_is_kept_and_two_are_not(maker: CaseMaker, bug: str) -> None:
    one = made(maker, problem(9, 1, bug))
    assert (one.failed, one.valid_cases, one.right_submissions) == (None, 50, 9)
    two = made(maker, problem(8, 2, bug))
    assert (two.failed, two.valid_cases, two.right_submissions) == (Hurdle.KEPT, 50, 8)
    assert two.task is None


def test_six_with_the_same_bug_against_four_fail_by_the_floor_of_valid_cases(maker: CaseMaker) -> None:
    result = made(maker, problem(4, 6))
    assert result.failed is Hurdle.VALID
    assert result.valid_cases < 40
    # On what is left, all ten agree: without the floor the problem would have been kept.
    assert result.right_submissions == 10


def test_cpp_submissions_vote_with_python_ones(maker: CaseMaker) -> None:
    cpp = """
    #include <bits/stdc++.h>
    using namespace std;
    int main() {
        int n, w; cin >> n >> w; vector<int> a(n); for (int &x : a) cin >> x;
        int low = INT_MAX, high = INT_MIN;
        for (int i = 0; i + w <= n; i++) {
            int m = accumulate(a.begin() + i, a.begin() + i + w, 0); low = min(low, m); high = max(high, m);
        }
        cout << high - low;
    }
    """
    broken = Program("cpp", "int main() { no }")
    given = problem(8)
    result = made(maker, replace(given, submissions=(*given.submissions, Program("cpp", cpp), broken)))
    assert (result.failed, result.right_submissions) == (None, 9)


@pytest.mark.parametrize(
    ("generator", "hurdle", "detail"),
    [
        (None, Hurdle.WRITTEN, "no program"),
        ("import time\nprint(1, 1)\nprint(time.time_ns())", Hurdle.REPEATABLE, "case 1 came out differently"),
        ("import random, os\nrandom.seed(os.urandom(8))\nprint(1, 1)\nprint(random.random())", Hurdle.REPEATABLE, ""),
        ("print(1, 1)\nprint(int(input()) % 30)", Hurdle.VARIED, "50 made, 30 different, 30 valid"),
        ("pass", Hurdle.VARIED, "0 made"),
        ("import no_such_module", Hurdle.VARIED, "ModuleNotFoundError"),
        ("import sys\nsys.stdout.buffer.write(b'\\xff' * int(input()))", Hurdle.VARIED, "0 different"),
        (
            GENERATOR_PROGRAM.replace("n = 2 * k", "n = 2 * k\nif k % 3 == 0: n, k = 500, 3"),
            Hurdle.VARIED,
            "50 made, 50 different, 34 valid",
        ),
    ],
    ids=["none", "clock", "own seed", "duplicates", "silent", "crashes", "no text", "invalid"],
)
def test_generators_that_will_not_do(maker: CaseMaker, generator: str | None, hurdle: Hurdle, detail: str) -> None:
    validated = replace(problem(10), validator=Program("python", VALIDATOR))
    result = made(maker, validated if "500" in (generator or "") else problem(10), generator)
    assert (result.failed, detail in result.detail) == (hurdle, True), result


def test_invalid_inputs_are_left_out_and_the_rest_is_kept(maker: CaseMaker) -> None:
    sometimes = GENERATOR_PROGRAM.replace("n = 2 * k", "n = 2 * k\nif k % 10 == 0: n = 500")
    result = made(maker, replace(problem(10), validator=Program("python", VALIDATOR)), sometimes)
    assert (result.failed, result.inputs, result.valid_cases) == (None, 45, 45)


def test_a_generator_uses_the_library_as_it_was_explained(maker: CaseMaker) -> None:
    generator = """
    from cyaron import *
    k = int(input())
    tree = Graph.tree(k + 1)
    print(k + 1)
    print(tree.to_str(output=Edge.unweighted_edge))
    graph = Graph.connected(5, 7, weight_limit=(1, 9), self_loop=False, repeated_edges=False)
    print(graph)
    print(*(e.weight for e in graph.iterate_edges()))
    print(Vector.random(2, [(1, 3)]), String.random(4, charset="ab"), String.random((2, 3)))
    print(len(Polygon.convex_hull(8, fx=lambda x: int(x * 100), fy=lambda y: int(y * 100)).points) > 2)
    print(Graph.DAG(4, 3, weight_limit=5).edge_count(), randint(1, 6), choice([1, 2]))
    """
    lines = "import textwrap\n" + f"exec(textwrap.dedent({generator!r}))"
    echo = "import sys\nprint(sys.stdin.read())"
    given = SolvedProblem("echo", "…", tuple(Program("python", f"{echo}  # {n}") for n in range(10)))
    result = made(maker, replace(given, checker=Checker("lines")), lines)
    assert result.task is not None
    third = result.task.cases[2].input.split("\n")
    assert [len(line.split()) for line in third[:4]] == [1, 2, 2, 2]
    assert [len(line.split()) for line in third[4:11]] == [3] * 7
    assert third[12].startswith("[[") and third[13] == "True"


def edges_of(line: str) -> list[tuple[int, int]]:
    return [(int(start), int(end)) for start, end in (edge.split() for edge in line.split(","))]


def is_tree(edges: list[tuple[int, int]], size: int) -> bool:
    reached = {1}
    while more := {end for edge in edges for end in edge if reached & set(edge)} - reached:
        reached |= more
    return len(edges) == size - 1 and reached == set(range(1, size + 1))


def test_labels_are_in_order_until_they_are_shuffled_as_explained(maker: CaseMaker) -> None:
    generator = """
from cyaron import *
import random
k = int(input())
n = k + 40
for graph in Graph.tree(n), Graph.chain(n), Graph.binary_tree(n), Graph.DAG(n, 2 * n, self_loop=False):
    for shuffle in False, True:
        print(graph.to_str(shuffle=shuffle, output=Edge.unweighted_edge).replace("\\n", ","))
tree = Graph.tree(n)
new = [0, 1] + random.sample(range(2, n + 1), n - 1)
parent = [0] * (n + 1)
for e in tree.iterate_edges(): parent[new[e.end]] = new[e.start]
print(*parent[2:])
"""
    echo = "import sys\nprint(sys.stdin.read())"
    given = SolvedProblem("echo", "…", tuple(Program("python", f"{echo}  # {n}") for n in range(10)))
    task = made(maker, replace(given, checker=Checker("lines")), generator).task
    assert task is not None
    for case in (task.cases[0], task.cases[-1]):
        lines = case.input.strip().split("\n")
        plain, shuffled = [edges_of(line) for line in lines[:-1:2]], [edges_of(line) for line in lines[1:-1:2]]
        size = len(plain[0]) + 1
        for before, after in zip(plain, shuffled, strict=True):
            assert all(start < end for start, end in before) and before == sorted(before, key=min)
            assert any(start > end for start, end in after) and after != sorted(after, key=min)
            assert len(after) == len(before)
        assert all(is_tree(edges, size) for edges in (*plain[:3], *shuffled[:3]))
        parents = list(map(int, lines[-1].split()))
        assert is_tree(list(enumerate(parents, 2)), size)
        assert any(parent > node for node, parent in enumerate(parents, 2))


def test_problems_that_cannot_be_voted_on(maker: CaseMaker) -> None:
    assert made(maker, replace(problem(10), special_judge=True)).failed is Hurdle.PLAIN
    few = made(maker, problem(9))
    assert (few.failed, few.detail) == (Hurdle.SOLVED, "9 submissions, 10 are needed")


def test_an_error_of_ours_is_no_refusal(maker: CaseMaker) -> None:
    given = replace(problem(10), validator=Program("cpp", "int main() { no }"))
    result = maker.make(given, GENERATOR_PROGRAM)
    assert result.failed is None and result.task is None
    assert "does not compile" in result.error


def test_the_funnel_counts_who_passed_each_hurdle() -> None:
    given = problem(10)
    fates = [*(Made(given, failed=hurdle) for hurdle in Hurdle), Made(given, error="x"), Made(given), Made(given)]
    assert funnel(fates) == {
        "problems": 10,
        "without a special judge": 8,
        "with enough submissions": 7,
        "a generator was written": 6,
        "the generator repeats itself": 5,
        "enough different valid inputs": 4,
        "enough valid cases": 3,
        "enough submissions pass them all": 2,
        "errors": 1,
    }


def test_a_problem_s_limits_hold_for_its_submissions(maker: CaseMaker) -> None:
    slow = replace(problem(10), cpu_seconds=0.05, submissions=tuple(
        Program("python", f"import time\nwhile time.process_time() < 0.4: pass\n# {n}\n{RIGHT}") for n in range(10)
    ))  # fmt: skip
    few = replace(maker, config=CasesConfig(cases=4, valid_cases=4))
    result = made(few, slow)
    assert (result.failed, result.valid_cases) == (Hurdle.VALID, 0)
    assert made(few, replace(slow, cpu_seconds=None)).task is not None


def test_the_task_carries_what_the_problem_says(maker: CaseMaker) -> None:
    few = replace(maker, config=CasesConfig(cases=4, valid_cases=4))
    result = made(few, replace(problem(10), checker=Checker("lines"), language="cpp", cpu_seconds=2.0, memory_mb=300))
    assert result.task is not None
    assert (result.task.checker.kind, result.task.language) == ("lines", "cpp")
    assert (result.task.cpu_seconds, result.task.memory_mb) == (2.0, 300)
    assert all(isinstance(case, Case) and case.output.strip() for case in result.task.cases)
