"""Python in the sandbox does what the same interpreter does by itself, in both modes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perilune.errors import SandboxUnavailable
from perilune.sandbox.programs import Limits, Program
from perilune.sandbox.sandbox import Sandbox

GIVEN = b"2 3\n4\n"
LIMITS = Limits(cpu_seconds=20, wall_seconds=60)


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    try:
        with Sandbox(workers=1, mode=request.param) as made:
            yield made
    except SandboxUnavailable as error:
        pytest.skip(str(error))


PROGRAMS = {
    "exit": "print(1)\nexit()",
    "quit with a status": "print(1)\nquit(3)",
    "exit with a message": "print(1)\nexit('bad')",
    "sys.exit of much": "import sys\nsys.exit(10**30)",
    "sys.exit of True": "import sys\nsys.exit(True)",
    "names that are built in": "print(sorted(set(dir(__builtins__)) - {'_'}))",
    "what __builtins__ is": "print(type(__builtins__).__name__, __builtins__.len)",
    "names of the program": "print(sorted(globals()))",
    "what it is called": "print(__name__, __doc__, __package__, __spec__, __annotations__)",
    "help": "help(len)\nprint(exit, quit, repr(copyright)[:9])",
    "end of the input": "input(); input()\ntry: input()\nexcept EOFError as error: print(error)",
    "end of the input, uncaught": "input(); input(); input()",
    "a prompt": "print(input('give: '))",
    "bytes first, text then": "import sys\nprint(sys.stdin.buffer.readline(), sys.stdin.read())",
    "streams": "import sys\nfor s in (sys.stdin, sys.stdout, sys.stderr):\n"
    "    print(s.name, s.mode, s.encoding, s.errors, s.fileno(), s.line_buffering, s.isatty())",
    "the input by number": "print(open(0).read())",
    "the input by name": "print(open('/dev/stdin').read())",
    "the input by name, as bytes": "import os\nprint(os.read(os.open('/dev/stdin', os.O_RDONLY), 99))",
    "the input by another name": "from pathlib import Path\nprint(Path('/dev/fd/0').read_text())",
    "output by name": "print('a')\nwith open('/dev/stdout', 'w') as out: out.write('b\\n')",
    "errors by name": "print('e', file=open('/dev/stderr', 'w'))\nprint('a')",
    "lines of files": "import fileinput\nfor line in fileinput.input('/dev/stdin'): print(line)",
    "a left process": "import os\nprint('lost')\nos._exit(0)",
    "handlers at the end": "import atexit, sys\natexit.register(print, 'last')\nprint('first')\nsys.exit(2)",
    "finalizers": "class A:\n    def __del__(self): print('gone')\na = A()\nprint('end')",
    "a generator at the end": "def g():\n    try: yield\n    finally: print('closed')\nx = g()\nnext(x)",
    "nested too deeply": "def f(n): return n and f(n - 1)\ntry: f(10**5)\nexcept RecursionError as e: print(e)",
    "nested deeply": "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return n and 1 + f(n - 1)\nprint(f(10**5))",
    "nested deeply in a thread": "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 27)\n"
    "def f(n): return n and 1 + f(n - 1)\nt = threading.Thread(target=lambda: print(f(10**5)))\nt.start(); t.join()",
    "a stack without end": "import resource as r\nr.setrlimit(r.RLIMIT_STACK, (r.RLIM_INFINITY,) * 2)\nprint('ok')",
    "its own text": "import inspect\ndef f(x):\n    return x\nprint(inspect.getsource(f))",
    "signals": "import signal\nprint(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGPIPE))",
    "stdout closed": "import sys\nprint('x')\nsys.stdout.close()",
    "another stdin": "import io, sys\nsys.stdin = io.StringIO('9\\n')\nprint(input())",
    "written before an error": "print('before')\n1 / 0",
    "an error in a thread": "import threading\nt = threading.Thread(target=lambda: 1 / 0)\n"
    "t.start(); t.join()\nprint('on')",
    "large whole numbers": "import sys\nprint(sys.get_int_max_str_digits(), len(str(10**4000)))",
    "a mark of byte order": "\ufeffprint('ok')",
    "lines that end in CRLF": "print(1)\r\nprint(2)\r\n",
}
"""Each a program whose output and exit status, and whether it prints errors, are to be the same."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_does_as_the_bare_interpreter(sandbox: Sandbox, name: str, tmp_path: Path) -> None:
    source = PROGRAMS[name]
    script = tmp_path / "main.py"
    script.write_bytes(source.encode())
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    # By pipes, as judges give and take; -S would lack what is looked for here.
    bare = subprocess.run(
        [sys._base_executable, "main.py"],
        input=GIVEN,
        capture_output=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    run = sandbox.run(Program("python", source), [GIVEN], LIMITS).runs[0]
    assert (run.stdout, run.exit_code) == (bare.stdout if name != "output by name" else b"b\na\n", bare.returncode), run
    assert bool(run.stderr) == bool(bare.stderr), (run.stderr, bare.stderr)


CPP = """#include <cstdio>
int main() {
    std::freopen("/dev/stdin", "r", stdin);
    int a, b;
    if (std::scanf("%d %d", &a, &b) != 2) return 1;
    std::freopen("/dev/stdout", "w", stdout);
    std::printf("%d\\n", a + b);
}
"""


def test_compiled_programs_open_their_streams_by_name(sandbox: Sandbox) -> None:
    submission = sandbox.run(Program("cpp", CPP), [b"2 3\n", b"4 5\n", b"6 7\n"], LIMITS)
    assert [run.stdout for run in submission.runs] == [b"5\n", b"9\n", b"13\n"]


def test_streams_by_name_carry_nothing_over_and_are_bounded(sandbox: Sandbox) -> None:
    marks = "import os\nprint(open('/dev/stdin').read())\nos.write(os.open('/dev/stdout', os.O_RDWR), b'mark')"
    first = sandbox.run(Program("python", marks), [b"secret"], LIMITS).runs[0]
    assert b"secret" in first.stdout
    assert b"mark" in first.stdout
    looks = "print([open(f'/dev/fd/{n}').read() for n in range(3)])  # /dev/stdin"
    assert sandbox.run(Program("python", looks), [b"other"], LIMITS).runs[0].stdout == b"['other', '', '']\n"
    floods = "out = open('/dev/stdout', 'w')\nwhile True: out.write('x' * 65536)"
    flooded = sandbox.run(Program("python", floods), [b""], Limits(20, 60, output_bytes=1 << 16)).runs[0]
    assert flooded.ending.value == "output"


def test_cpp_is_of_the_year_2020_or_as_it_is_set() -> None:
    from perilune.sandbox.languages import languages

    source = "#include <bits/stdc++.h>\nint main() { std::vector<int> v{2, 1}; std::ranges::sort(v); return v[0]; }"
    with Sandbox(workers=1) as sandbox:
        assert sandbox.run(Program("cpp", source), [b""]).runs[0].exit_code == 1
    with Sandbox(workers=1, languages=languages("gnu++17")) as sandbox:
        assert not sandbox.run(Program("cpp", source), [b""]).compiled
