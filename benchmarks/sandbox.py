"""Judge runs in the sandbox against naive ``subprocess.run`` without isolation, and against a bare fork: all in one.

Two workers here, two threads there; the ways take turns in short rounds, so that a machine that is busy for a while is
busy for all of them, and medians over the rounds are compared. Usage:

    python benchmarks/sandbox.py [--rounds 9] [--runs 100] [--mode namespaces]
    python benchmarks/sandbox.py --soak [--judgements 2000] [--threads 8]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from perilune.sandbox import process_tree
from perilune.sandbox.jobs import Setup
from perilune.sandbox.judge import Judge, JudgeSettings
from perilune.sandbox.memory_files import memory_file, read_from
from perilune.sandbox.programs import Limits, Program
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import Case, StdioTask
from perilune.sandbox.verdicts import Outcome
from perilune.sandbox.worker import Worker

THREADS = 2
CONTAINERS_PER_SECOND_AND_CORE = 7.5  # of the paper
PYTHON_SOURCE = """import sys
from collections import Counter
n = int(input())
numbers = list(map(int, sys.stdin.readline().split()))
counts = Counter(numbers)
print(sum(numbers), max(numbers), counts.most_common(1)[0][1], len(numbers) == n)
"""
CPP_SOURCE = """#include <bits/stdc++.h>
int main() {
    long long n, total = 0, x; std::cin >> n; std::map<long long, int> counts;
    for (int i = 0; i < n; ++i) { std::cin >> x; total += x; ++counts[x]; }
    std::cout << total << " " << counts.rbegin()->first << " " << counts.size() << std::endl;
}
"""
INPUT = b"50\n" + b" ".join(str(i * 7919 % 101).encode() for i in range(50)) + b"\n"


Way = Callable[[int], bytes]
"""Runs the program so many times, one after the other, and gives the last output."""


def rate(way: Way, runs: int, expected: bytes) -> float:
    """Runs a second from two threads."""

    def some(_: int) -> None:
        assert way(runs // THREADS) == expected

    begun = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(some, range(THREADS)))
    return runs / (time.perf_counter() - begun)


def in_sandbox(sandbox: Sandbox, program: Program) -> Way:
    def way(count: int) -> bytes:
        for _ in range(count):
            said = sandbox.run(program, [INPUT]).runs[0].stdout
        return said

    return way


def naively(command: list[str]) -> Way:
    def way(count: int) -> bytes:
        for _ in range(count):
            said = subprocess.run(command, input=INPUT, capture_output=True, check=True).stdout
        return said

    return way


class Floor:
    """Processes that start the program again and again and do nothing else, one for each thread.

    Python is forked from a warm interpreter; other programs are spawned. Nothing is isolated, limited or looked at.
    """

    def __init__(self, source: bytes, command: list[str]) -> None:
        self._local = threading.local()
        self._source = source
        self._command = command

    def __call__(self, count: int) -> bytes:
        if not hasattr(self._local, "pipes"):
            root, here = str(Path(__file__).parent.parent), str(Path(__file__).parent)
            boot = f"import sys; sys.path += [{root!r}, {here!r}]; import sandbox_floor; sandbox_floor.main()"
            command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", boot, *self._command]
            self._local.pipes = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        pipes = self._local.pipes
        with memory_file(INPUT) as stdin, memory_file() as stdout, memory_file(self._source) as source:
            own = f"/proc/{os.getpid()}/fd"
            pipes.stdin.write(f"{count} {own}/{stdin} {own}/{stdout} {own}/{source}\n".encode())
            pipes.stdin.flush()
            assert pipes.stdout.readline() == b"done\n"
            return read_from(stdout, 1 << 20)


def compare(title: str, ways: dict[str, Way], runs: int, rounds: int) -> None:
    answers = {name: way(1) for name, way in ways.items()}
    (expected,) = set(answers.values())
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(rate(way, runs, expected))
    ours, *others = (statistics.median(found) for found in rates.values())
    print(f"{title}: {ours:.0f} runs/s in the sandbox; medians of {rounds} rounds of {runs}")
    for name, theirs in zip(list(ways)[1:], others, strict=True):
        print(f"  {ours / theirs:.2f} x {name} ({theirs:.0f} runs/s)")


def start_rate(sandbox: Sandbox, count: int) -> None:
    """Sandboxes a second and core: one core's worth of CPU time, whatever else the machine does."""
    setup = Setup(sandbox.mode)
    begun, before = time.perf_counter(), _cpu_seconds()
    for _ in range(count):
        Worker(setup).close()
    cpu, wall = (_cpu_seconds() - before) / count, (time.perf_counter() - begun) / count
    print(f"sandboxes started from nothing: {1 / wall:.1f}/s one after the other, {1 / cpu:.1f} per second of CPU time")
    print(f"  (the paper's containers: {CONTAINERS_PER_SECOND_AND_CORE} per second and core)")


def _cpu_seconds() -> float:
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def compile_times(sandbox: Sandbox, repeats: int, folder: Path) -> None:
    ours, naive = [], []
    sandbox.run(Program("cpp", CPP_SOURCE + "// header\n"), [INPUT])
    for index in range(repeats):
        source = f"{CPP_SOURCE}// {index} {time.time()}\n"
        begun = time.perf_counter()
        assert sandbox.run(Program("cpp", source), []).compiled
        ours.append(time.perf_counter() - begun)
        (folder / "one.cpp").write_text(source)
        begun = time.perf_counter()
        subprocess.run(["g++", "-std=gnu++20", "-O2", "-pipe", "-o", folder / "one", folder / "one.cpp"], check=True)
        naive.append(time.perf_counter() - begun)
    print(
        f"C++ compilation: {statistics.median(ours):.2f} s in the sandbox, {statistics.median(naive):.2f} s plain g++"
    )


HOSTILE: list[tuple[str, set[Outcome]]] = [
    ("import os\nwhile 1:\n try: os.fork()\n except OSError: pass", {Outcome.TIME_LIMIT}),
    ("x = [bytearray(1 << 26) for _ in range(1000)]", {Outcome.MEMORY_LIMIT}),
    ("while True: pass", {Outcome.TIME_LIMIT}),
    ("import sys\nwhile True: sys.stdout.write('x' * 65536)", {Outcome.OUTPUT_LIMIT}),
    ("import os\nfor s in (2, 9, 15, 19):\n os.kill(os.getppid(), s)", {Outcome.WRONG_ANSWER, Outcome.RUNTIME_ERROR}),
    ("import os, time\nif os.fork() == 0: time.sleep(99)", {Outcome.WRONG_ANSWER}),
    ("for i in range(10**6): open(f'{i}', 'w').write('x' * 999)", {Outcome.RUNTIME_ERROR}),
    ("import ctypes\nctypes.string_at(1)", {Outcome.RUNTIME_ERROR}),
    ("print(open('/etc/shadow').read())", {Outcome.RUNTIME_ERROR}),
    ("import os\nprint('accepted', flush=True)\nos._exit(0)", {Outcome.WRONG_ANSWER}),
]


def soak(sandbox: Sandbox, judgements: int, threads: int) -> None:
    """Many judgements, a tenth of them hostile and a tenth wrong: every verdict right, and nothing left."""
    limits = Limits(cpu_seconds=1, wall_seconds=30, memory_mb=256)
    judge = Judge(sandbox, JudgeSettings(limits))
    tmp = Path(tempfile.gettempdir())

    def one(index: int) -> None:
        task = StdioTask((Case("1000\n", f"{1000 + index}\n"),))
        source, outcomes = f"print(int(input()) + {index})", {Outcome.ACCEPTED}
        if index % 10 == 9:
            source, outcomes = HOSTILE[index // 10 % len(HOSTILE)]
        elif index % 10 == 4:
            source, outcomes = f"print(int(input()) - {index})", {Outcome.WRONG_ANSWER}
        judgement = judge.judge(task, Program("python", source))
        assert judgement.outcome in outcomes, (source, judgement)

    seen = []
    for part in range(4):
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, range(part * judgements // 4, (part + 1) * judgements // 4)))
        time.sleep(0.2)
        seen.append(_state(tmp))
        print(f"after {(part + 1) * judgements // 4}: {seen[-1]}", flush=True)
    assert seen[0][:3] == seen[-1][:3], "processes, descriptors or temporary files leak"
    assert seen[-1][3] < seen[0][3] + 16, "memory grows"
    assert sandbox.replaced == 0, f"{sandbox.replaced} workers were lost"
    print(f"{judgements} judgements from {threads} threads: all verdicts right, nothing left, no worker lost")


def _state(tmp: Path) -> tuple[int, int, int, int]:
    """Descendants, open descriptors, temporary files, resident MiB of this process and its descendants."""
    pids = [os.getpid(), *process_tree.descendants(os.getpid())]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return len(pids), descriptors, sum(1 for _ in tmp.glob("perilune-*")), pages * os.sysconf("SC_PAGE_SIZE") >> 20


def bench(sandbox: Sandbox, runs: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / "main.py"
        script.write_text(PYTHON_SOURCE)
        ways: dict[str, Way] = {
            "the sandbox": in_sandbox(sandbox, Program("python", PYTHON_SOURCE)),
            "subprocess.run": naively([sys.executable, "-I", str(script)]),
            "the floor, a bare fork": Floor(PYTHON_SOURCE.encode(), []),
        }
        compare("Python", ways, runs, rounds)
        (folder / "main.cpp").write_text(CPP_SOURCE)
        commands = {}
        for kind, flags in (("plain", []), ("static", ["-static"])):
            commands[kind] = [str(folder / kind)]
            build = ["g++", "-std=gnu++20", "-O2", *flags, "-o", *commands[kind], str(folder / "main.cpp")]
            subprocess.run(build, check=True)
        ways = {
            "the sandbox": in_sandbox(sandbox, Program("cpp", CPP_SOURCE)),
            "subprocess.run": naively(commands["plain"]),
            "subprocess.run, linked statically as we do": naively(commands["static"]),
            "the floor, a bare spawn": Floor(b"", commands["static"]),
        }
        compare("C++", ways, runs, rounds)
        compile_times(sandbox, 3, folder)
    start_rate(sandbox, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["auto", "namespaces", "landlock"], default="auto")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--soak", action="store_true", help="many judgements, a tenth of them hostile, instead")
    parser.add_argument("--judgements", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        Path(own).chmod(0o711)
        tempfile.tempdir = own  # so that only our own temporary files are counted
        run(arguments)


def run(arguments: argparse.Namespace) -> None:
    with Sandbox(workers=THREADS, mode=arguments.mode) as sandbox:
        print(f"isolated by {sandbox.mode}, {THREADS} workers, {os.cpu_count()} cores")
        if arguments.soak:
            soak(sandbox, arguments.judgements, arguments.threads)
        else:
            bench(sandbox, arguments.runs, arguments.rounds)


if __name__ == "__main__":
    main()
