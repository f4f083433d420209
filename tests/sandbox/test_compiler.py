from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from perilune.errors import SandboxUnavailable
from perilune.sandbox.compiler import Compiler
from perilune.sandbox.languages import LANGUAGES
from perilune.sandbox.programs import Ending, Program
from perilune.sandbox.sandbox import Sandbox

HEADER = "#include <bits/stdc++.h>\n"
BODY = "int main() { std::vector<int> x{1, 2}; std::cout << x.size() + {n} << std::endl; }"


@pytest.fixture(params=["namespaces", "landlock"])
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    cache = tmp_path_factory.mktemp("cache")
    for place in (cache, *cache.parents[:2]):
        place.chmod(0o755)
    try:
        with Sandbox(workers=2, mode=request.param, cache=cache) as made:
            yield made
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def test_the_common_header_is_compiled_once_and_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.mktemp("cache")
    for place in (cache, *cache.parents[:2]):
        place.chmod(0o755)
    times = []
    for number in range(2):
        with Sandbox(workers=1, cache=cache) as sandbox:
            submission = sandbox.run(Program("cpp", HEADER + BODY.replace("{n}", str(number))), [b""])
            assert submission.runs[0].stdout == f"{2 + number}\n".encode()
        (kept,) = cache.glob("headers/*/bits/stdc++.h.gch")
        times.append(kept.stat().st_mtime_ns)
    assert times[0] == times[1]


def test_the_same_program_from_many_threads_is_compiled_once(sandbox: Sandbox) -> None:
    program = Program("cpp", '#include <cstdio>\nint main() { std::puts("once"); }')
    with ThreadPoolExecutor(6) as threads:
        submissions = list(threads.map(lambda _: sandbox.run(program, [b""]), range(6)))
    assert {submission.runs[0].stdout for submission in submissions} == {b"once\n"}
    assert sum(submission.compile is not None for submission in submissions) == 1


def test_what_does_not_compile_is_asked_again(sandbox: Sandbox) -> None:
    for _ in range(2):
        submission = sandbox.run(Program("cpp", "int main() {"), [b""])
        assert submission.compile is not None
        assert submission.compile.ending is Ending.EXITED
        assert submission.compile.exit_code == 1


def test_a_compilation_has_limits_of_its_own(sandbox: Sandbox) -> None:
    endless = "template<int n> struct T : T<n + 1>, T<n + 2> {};\nT<0> x;\nint main() {}"
    submission = sandbox.run(Program("cpp", '#pragma GCC diagnostic ignored "-Wall"\n' + endless), [b""])
    assert not submission.compiled


def test_a_cache_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with Sandbox(workers=1, cache=tmp_path / "file") as sandbox:
        assert sandbox.run(Program("cpp", HEADER + BODY.replace("{n}", "1")), [b""]).runs[0].stdout == b"3\n"


def test_temporary_folders_are_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    compiler = Compiler(LANGUAGES, tmp_path / "file")
    (folder,) = compiler.folders
    assert Path(folder).is_dir()
    compiler.close()
    assert not Path(folder).exists()
