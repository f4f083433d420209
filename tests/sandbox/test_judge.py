"""Programs on standard input and output, judged through the real sandbox."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from perilune.sandbox.judge import Judge, JudgeSettings
from perilune.sandbox.programs import Limits, Program
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import Case, Checker, StdioTask
from perilune.sandbox.verdicts import Outcome

SQUARES = StdioTask(tuple(Case(f"{n}\n", f"{n * n}\n") for n in (2, 3, 10)))
# Wall time is generous: on a busy machine a right program may wait long for its turn.
LIMITS = Limits(cpu_seconds=1, wall_seconds=60, memory_mb=256, output_bytes=1 << 16)
HALF = StdioTask((Case("", "0.5"),), Checker("floats"))


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Sandbox(workers=2) as sandbox:
        yield Judge(sandbox, JudgeSettings(LIMITS))


def python(source: str) -> Program:
    return Program("python", source)


@pytest.mark.parametrize(
    ("source", "outcome", "detail"),
    [
        ("print(int(input()) ** 2)", Outcome.ACCEPTED, "3 cases passed"),
        ("print(int(input()) ** 2, end='')", Outcome.ACCEPTED, "3 cases passed"),
        ("print(4)", Outcome.WRONG_ANSWER, "case 2 of 3: wrong answer, token 1 is '4' instead of '9'"),
        ("pass", Outcome.WRONG_ANSWER, "case 1 of 3: wrong answer, token 1 is missing"),
        ("n = int(input())\nwhile n > 2: pass\nprint(4)", Outcome.TIME_LIMIT, "case 2 of 3"),
        ("x = 'x' * (1 << 30)\nprint(4)", Outcome.MEMORY_LIMIT, "case 1 of 3"),
        ("while True: print('x' * 1000)", Outcome.OUTPUT_LIMIT, "case 1 of 3"),
        ("print(4)\nraise ValueError('no')", Outcome.RUNTIME_ERROR, "ValueError: no"),
        ("print(4)\nimport sys; sys.exit(3)", Outcome.RUNTIME_ERROR, "exit status 3"),
        ("import os; os.kill(os.getpid(), 11)", Outcome.RUNTIME_ERROR, "case 1 of 3"),
        ("print(4", Outcome.RUNTIME_ERROR, "SyntaxError"),
    ],
)
def test_each_verdict(judge: Judge, source: str, outcome: Outcome, detail: str) -> None:
    judgement = judge.judge(SQUARES, python(source))
    assert (judgement.outcome, detail in judgement.detail) == (outcome, True), judgement


def test_a_program_that_only_waits_is_ended_too(judge: Judge) -> None:
    brief = judge.under(JudgeSettings(replace(LIMITS, wall_seconds=1)))
    judgement = brief.judge(SQUARES, python("import time\ntime.sleep(60)"))
    assert judgement.outcome is Outcome.TIME_LIMIT
    assert len(judgement.cases) == 1


def test_cpp_and_what_does_not_compile(judge: Judge) -> None:
    good = "#include <iostream>\nint main() { long n; std::cin >> n; std::cout << n * n; }"
    assert judge.judge(SQUARES, Program("cpp", good)).outcome is Outcome.ACCEPTED
    bad = judge.judge(SQUARES, Program("cpp", good.replace("long n;", "")))
    assert bad.outcome is Outcome.COMPILE_ERROR
    assert bad.cases == ()


def test_the_first_failure_ends_it_or_all_cases_run(judge: Judge) -> None:
    wrong = python("print(9)")
    assert [case.outcome for case in judge.judge(SQUARES, wrong).cases] == [Outcome.WRONG_ANSWER]
    thorough = judge.under(JudgeSettings(LIMITS, stop_at_first=False)).judge(SQUARES, wrong)
    expected = [Outcome.WRONG_ANSWER, Outcome.ACCEPTED, Outcome.WRONG_ANSWER]
    assert [case.outcome for case in thorough.cases] == expected
    assert thorough.outcome is Outcome.WRONG_ANSWER
    assert thorough.detail.startswith("case 1 of 3")


def test_a_case_says_what_it_cost(judge: Judge) -> None:
    (case, *_) = judge.judge(SQUARES, python("x = [0] * 5_000_000\nprint(int(input()) ** 2)")).cases
    assert case.outcome is Outcome.ACCEPTED
    assert case.peak_memory_mb > 30
    assert 0 < case.wall_seconds < LIMITS.wall_seconds


def test_all_cases_together_have_a_limit(judge: Judge) -> None:
    slow = python("import time\ntime.sleep(0.4)\nprint(int(input()) ** 2)")
    judgement = judge.under(JudgeSettings(LIMITS, total_seconds=0.5)).judge(SQUARES, slow)
    assert judgement.outcome is Outcome.TIME_LIMIT
    assert judgement.detail == "2 of 3 cases took more than 0.5 s together"


def test_a_problem_lowers_the_limits_and_never_raises_them(judge: Judge) -> None:
    busy = python("import time\nwhile time.process_time() < 0.5: pass\nprint(int(input()) ** 2)")
    one = StdioTask(SQUARES.cases[:1], cpu_seconds=0.1, memory_mb=4096)
    assert judge.judge(one, busy).outcome is Outcome.TIME_LIMIT
    assert judge.judge(SQUARES, busy).outcome is Outcome.ACCEPTED
    large = python("x = 'x' * (1 << 29)\nprint(4)")
    assert judge.judge(one, large).outcome is Outcome.MEMORY_LIMIT


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("print(0.5000001)", Outcome.ACCEPTED),
        ("print('1/2')", Outcome.WRONG_ANSWER),
        ("print(float('nan'))", Outcome.WRONG_ANSWER),
    ],
)
def test_floats(judge: Judge, source: str, outcome: Outcome) -> None:
    assert judge.judge(HALF, python(source)).outcome is outcome


def test_a_run_carries_nothing_into_the_next(judge: Judge) -> None:
    source = (
        "import os\n"
        "n = int(input())\n"
        "seen = os.path.exists('/tmp/seen')\n"
        "try: open('/tmp/seen', 'w').write('x')\n"
        "except OSError: pass\n"
        "print(-1 if seen else n * n)"
    )
    assert judge.judge(SQUARES, python(source)).outcome is Outcome.ACCEPTED


def test_the_expected_output_is_nowhere_in_the_sandbox(judge: Judge) -> None:
    # What it can read of itself and around it; the marker is in no program, only among the expected outputs.
    source = (
        "import os, sys\n"
        "found = b''\n"
        "for root in ('/proc/self', '/proc/self/fd', '/tmp', '.'):\n"
        "    for name in os.listdir(root) if os.path.isdir(root) else []:\n"
        "        try: found += os.read(os.open(os.path.join(root, name), os.O_RDONLY | os.O_NONBLOCK), 1 << 16)\n"
        "        except (OSError, ValueError): pass\n"
        "marker = bytes([115, 101, 99]) + b'ret-8231'\n"
        "print('secret-' + '8231' if marker in found else 'nothing')"
    )
    task = StdioTask((Case("", "secret-8231"),))
    judgement = judge.judge(task, python(source))
    assert judgement.outcome is Outcome.WRONG_ANSWER
    assert "'nothing'" in judgement.detail


SUM_OF_TWO = """
import sys
sizes = [int(size) for size in sys.stdin.buffer.readline().split()]
given, output, expected = (sys.stdin.buffer.read(size) for size in sizes)
try:
    a, b = map(int, output.split())
except ValueError:
    print("wrong not two numbers")
else:
    print("accepted" if a + b == int(given) else f"wrong {a} + {b} is not {int(given)}")
"""
TWO_TERMS = StdioTask((Case("7", "3 4"), Case("10", "5 5")), Checker("special", program=SUM_OF_TWO))


@pytest.mark.parametrize(
    ("source", "outcome", "detail"),
    [
        ("print(1, int(input()) - 1)", Outcome.ACCEPTED, "2 cases passed"),
        ("print(3, 4)", Outcome.WRONG_ANSWER, "case 2 of 2: wrong answer, 3 + 4 is not 10"),
        ("print('accepted')", Outcome.WRONG_ANSWER, "case 1 of 2: wrong answer, not two numbers"),
        ("print(1, int(input()) - 1)\nraise SystemExit(1)", Outcome.RUNTIME_ERROR, "case 1 of 2"),
    ],
)
def test_a_special_judge_decides(judge: Judge, source: str, outcome: Outcome, detail: str) -> None:
    judgement = judge.judge(TWO_TERMS, python(source))
    assert (judgement.outcome, judgement.detail.startswith(detail)) == (outcome, True), judgement


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        ("raise ValueError('broken')", "ValueError: broken"),
        ("print('fine')", "said 'fine' and neither"),
        ("", "said ''"),
        ("print('accepted'); raise SystemExit(2)", "the special judge failed"),
        ("while True: pass", "the special judge failed"),
    ],
)
def test_a_special_judge_that_fails_says_nothing_about_the_program(judge: Judge, program: str, detail: str) -> None:
    task = StdioTask((Case("7", ""),), Checker("special", program=program or "pass"))
    judgement = judge.judge(task, python("print(3, 4)"))
    assert judgement.outcome is Outcome.INFRASTRUCTURE_ERROR
    assert detail in judgement.detail


def test_the_programs_own_failure_counts_before_an_error_of_ours(judge: Judge) -> None:
    fails_on_ten = SUM_OF_TWO.replace("try:", "assert given != b'10'\ntry:", 1)
    task = StdioTask((Case("10", ""), Case("7", "")), Checker("special", program=fails_on_ten))
    wrong = python("print(0, 0)")
    assert judge.judge(task, wrong).outcome is Outcome.WRONG_ANSWER
    assert judge.judge(task, python("print(1, int(input()) - 1)")).outcome is Outcome.INFRASTRUCTURE_ERROR


def test_many_threads_share_a_judge(judge: Judge) -> None:
    programs = [(python(f"print(int(input()) ** 2 + {n % 3 // 2})"), n % 3 // 2) for n in range(24)]
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda pair: judge.judge(SQUARES, pair[0]).outcome, programs))
    assert outcomes == [Outcome.WRONG_ANSWER if off else Outcome.ACCEPTED for _, off in programs]
