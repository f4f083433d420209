import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from perilune.errors import SandboxError, SandboxUnavailable
from perilune.sandbox import process_tree
from perilune.sandbox.languages import LANGUAGES
from perilune.sandbox.programs import Ending, Language, Limits, Program, Run
from perilune.sandbox.sandbox import Sandbox

SHELL = Language("shell", "main.sh", ("/bin/sh", "{source}"))
MODES = ["namespaces", "landlock"]


@pytest.fixture(scope="module", params=MODES)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    try:
        with Sandbox(workers=2, mode=request.param, languages={**LANGUAGES, "shell": SHELL}) as made:
            yield made
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def python(sandbox: Sandbox, source: str, given: bytes = b"", **limits: float) -> Run:
    return sandbox.run(Program("python", source), [given], Limits(**limits)).runs[0]  # type: ignore[arg-type]


def test_what_a_program_prints_comes_back_as_it_is(sandbox: Sandbox) -> None:
    source = "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])\nprint('\\ud800é', file=sys.stderr)"
    run = python(sandbox, source, bytes(range(256)))
    assert (run.ending, run.exit_code, run.signal) == (Ending.EXITED, 0, None)
    assert run.stdout == bytes(range(256))[::-1]
    assert run.stderr == b"\\ud800\xc3\xa9\n"


def test_a_run_says_what_it_took(sandbox: Sandbox) -> None:
    source = "import time\nx = bytearray(100 << 20)\nt = time.process_time() + 0.2\nwhile time.process_time() < t: pass"
    run = python(sandbox, source)
    assert 0.2 <= run.cpu_seconds < 2
    assert run.wall_seconds >= 0.2
    assert 100 < run.peak_memory_mb < 200


@pytest.mark.parametrize(
    ("source", "ending", "limits"),
    [
        ("while True: pass", Ending.CPU_TIME, {"cpu_seconds": 1}),
        ("import time\ntime.sleep(9)", Ending.WALL_TIME, {"wall_seconds": 0.3}),
        ("x = bytearray(1 << 28)", Ending.MEMORY, {"memory_mb": 128}),
        ("print('x' * 2000)", Ending.OUTPUT, {"output_bytes": 1000}),
        ("import os\nos.abort()", Ending.KILLED, {}),
        ("import ctypes\nctypes.string_at(0)", Ending.KILLED, {}),
        ("raise SystemExit(3)", Ending.EXITED, {}),
    ],
)
def test_endings(sandbox: Sandbox, source: str, ending: Ending, limits: dict[str, float]) -> None:
    run = python(sandbox, source, **limits)
    assert run.ending is ending
    assert run.exit_code == (3 if ending is Ending.EXITED else None)
    assert bool(run.detail) == (ending is not Ending.EXITED)


def test_output_within_its_limit_comes_whole(sandbox: Sandbox) -> None:
    run = python(sandbox, "print('x' * 999)", output_bytes=1000)
    assert (run.ending, len(run.stdout)) == (Ending.EXITED, 1000)


def test_python_is_python(sandbox: Sandbox) -> None:
    source = """
import atexit, dataclasses, pickle, sys, threading, multiprocessing.pool
atexit.register(print, "last")
@dataclasses.dataclass
class Point:
    x: int
print(__name__, sys.argv, pickle.loads(pickle.dumps(Point(3))), __file__)
def deep(n): return n and deep(n - 1)
deep(900)
thread = threading.Thread(target=print, args=("thread",))
thread.start()
raise ValueError("seen")
"""
    run = python(sandbox, source)
    assert run.stdout == b"__main__ ['main.py'] Point(x=3) main.py\nthread\nlast\n"
    assert run.exit_code == 1
    assert run.stderr.startswith(b'Traceback (most recent call last):\n  File "main.py", line 12, in <module>\n')
    assert run.stderr.endswith(b"ValueError: seen\n")
    assert b"perilune" not in run.stderr


def test_source_that_is_no_python_is_a_runtime_error_of_its_own(sandbox: Sandbox) -> None:
    assert b"SyntaxError" in python(sandbox, "def (").stderr
    assert b"null bytes" in python(sandbox, "print(1)\0").stderr


def test_inputs_are_given_in_order_and_stop_leaves_the_rest_out(sandbox: Sandbox) -> None:
    program = Program("python", "print(int(input()) * 2)")
    inputs = [f"{n}\n".encode() for n in range(6)]
    assert [run.stdout for run in sandbox.run(program, inputs).runs] == [f"{2 * n}\n".encode() for n in range(6)]
    assert len(sandbox.run(program, inputs, stop=lambda run: run.stdout == b"4\n").runs) == 3
    assert sandbox.run(program, []).runs == ()


def test_a_large_input_is_read_whole(sandbox: Sandbox) -> None:
    given = b"1234567\n" * (1 << 20)
    assert python(sandbox, "import sys\nprint(len(sys.stdin.read()))", given).stdout == b"8388608\n"


def test_cpp(sandbox: Sandbox) -> None:
    source = (
        "#include <bits/stdc++.h>\nint main() { long n; std::cin >> n; std::cout << n * n << std::endl; return n; }"
    )
    submission = sandbox.run(Program("cpp", source), [b"7", b"8"])
    assert [(run.stdout, run.exit_code) for run in submission.runs] == [(b"49\n", 7), (b"64\n", 8)]
    again = sandbox.run(Program("cpp", source), [b"9"])
    assert again.compile is None  # remembered
    assert again.runs[0].stdout == b"81\n"


def test_cpp_that_does_not_compile_says_where(sandbox: Sandbox) -> None:
    submission = sandbox.run(Program("cpp", "int main() { return x; }"), [b""])
    assert not submission.compiled
    assert submission.runs == ()
    assert submission.compile is not None
    assert (
        b"error: \xe2\x80\x98x\xe2\x80\x99" in submission.compile.stderr or b"error: 'x'" in submission.compile.stderr
    )


def test_other_languages_come_by_configuration(sandbox: Sandbox) -> None:
    run = sandbox.run(Program("shell", 'read x; echo "$((x + 1)) $0"; exit 4'), [b"41\n"]).runs[0]
    assert (run.stdout.split()[0], run.exit_code) == (b"42", 4)
    assert run.stdout.split()[1].endswith(b"/main.sh")


def test_a_language_that_is_not_known_names_the_nearest(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="did you mean 'python'"):
        sandbox.run(Program("pyton", ""), [b""])
    with pytest.raises(SandboxError, match="there are cpp, python, shell"):
        sandbox.run(Program("fortran", ""), [b""])


def test_threads_share_it(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda n: python(sandbox, f"print({n} ** 2)").stdout, range(100))
        assert list(found) == [f"{n * n}\n".encode() for n in range(100)]


def test_a_killed_worker_is_replaced_and_its_program_run_again(sandbox: Sandbox) -> None:
    before = sandbox.replaced
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(python, sandbox, "import time\ntime.sleep(1)\nprint('done')")
        time.sleep(0.3)
        for launcher in process_tree.descendants(os.getpid()):
            for zygote in process_tree.descendants(launcher):
                os.kill(zygote, signal.SIGKILL)
        run = running.result()
    assert (run.ending, run.stdout) == (Ending.EXITED, b"done\n")
    assert sandbox.replaced > before
    assert python(sandbox, "print(1)").stdout == b"1\n"


def test_it_belongs_to_the_process_that_made_it(sandbox: Sandbox) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            python(sandbox, "print(1)")
        except SandboxError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_closed_it_runs_nothing_and_leaves_nothing() -> None:
    before = set(process_tree.descendants(os.getpid()))
    with Sandbox(workers=2) as sandbox:
        assert len(set(process_tree.descendants(os.getpid())) - before) >= 4
    with pytest.raises(SandboxError, match="closed"):
        python(sandbox, "print(1)")
    assert set(process_tree.descendants(os.getpid())) <= before


def test_no_workers_and_no_limits_are_refused() -> None:
    with pytest.raises(SandboxError, match="at least 1 worker"):
        Sandbox(workers=0)
    with pytest.raises(SandboxError, match="memory_mb must be more than 0"):
        Limits(memory_mb=0)


def test_imports_come_from_the_folders_of_a_language_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("library")
    (folder / "helper.py").write_text("ANSWER = 42\n")
    for place in (folder, *folder.parents[:2]):
        place.chmod(0o755)
    languages = {"python": Language("python", "main.py", None, folders=(str(folder),))}
    with Sandbox(workers=1, languages=languages) as sandbox:
        assert python(sandbox, "import helper\nprint(helper.ANSWER)").stdout == b"42\n"
    with Sandbox(workers=1) as sandbox:
        assert b"ModuleNotFoundError" in python(sandbox, "import helper").stderr


@pytest.mark.parametrize("change", ["os.mkdir('x'); os.rmdir('x')", "os.chmod('.', 0o755)", "os.utime('.', (1, 1))"])
def test_a_folder_that_was_touched_is_a_new_one_for_the_next_run(sandbox: Sandbox, change: str) -> None:
    if sandbox.mode == "landlock":
        pytest.skip("programs have no folder there")
    look = "import os, time\ns = os.stat('.')\nprint(s.st_mode, s.st_mtime_ns, s.st_ctime_ns)\n"
    # So short a time later that the kernel gives the same times, a change shows in nothing but what it left.
    with ThreadPoolExecutor(2) as threads:  # both workers
        before = list(threads.map(lambda _: python(sandbox, look + "time.sleep(0.1)").stdout, range(2)))
        changed = list(threads.map(lambda _: python(sandbox, f"import os\n{change}\n" + look).stdout, range(2)))
        after = list(threads.map(lambda _: python(sandbox, look + "time.sleep(0.1)").stdout, range(2)))
    assert not set(before) & set(changed)
    assert not set(changed) & set(after)
    assert {line.split()[0] for line in after} == {line.split()[0] for line in before}


def test_an_untouched_folder_is_used_again(sandbox: Sandbox) -> None:
    if sandbox.mode == "landlock":
        pytest.skip("programs have no folder there")
    seen = {
        python(sandbox, "import os\nprint(os.stat('.').st_ctime_ns, os.stat('.').st_dev)").stdout for _ in range(20)
    }
    assert len(seen) <= 2  # one for each worker
