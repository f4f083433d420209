"""Packages that programs may import, from an environment that is made here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from perilune.errors import SandboxError, SandboxUnavailable
from perilune.sandbox.packages import Packages, find_packages
from perilune.sandbox.programs import Program
from perilune.sandbox.sandbox import Sandbox


def install(folder: Path, name: str, files: dict[str, str], requires: tuple[str, ...] = ()) -> None:
    """A distribution, as pip leaves it."""
    for path, text in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}")
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in (*files, f"{info.name}/METADATA")))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    for place in (folder, *folder.parents[:3]):  # one more where tests run side by side
        place.chmod(0o755)
    install(
        folder,
        "Sort-ed",
        {"sort_ed/__init__.py": "from base import TEN\nimport time\nMADE = time.time()\n"},
        ("base>=1",),
    )
    install(folder, "base", {"base.py": "TEN = 10\n"})
    install(folder, "secret", {"secret/__init__.py": "KEY = 7\n"})
    install(folder, "lacking", {"lacking.py": ""}, ("nowhere; python_version > '3'", "else; extra == 'more'"))
    install(folder, "broken", {"broken.py": "1 / 0\n"})
    return folder


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def sandbox(request: pytest.FixtureRequest, environment: Path) -> Iterator[Sandbox]:
    try:
        packages = find_packages(("sort-ed", "broken"), str(environment))
        with Sandbox(workers=1, mode=request.param, packages=packages) as made:
            yield made
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def test_packages_are_found_with_what_they_need(environment: Path) -> None:
    found = find_packages(("sort_ed", "lacking", "nowhere"), str(environment))
    assert (found.names, found.missing) == (("sort_ed",), ("lacking", "nowhere"))
    assert (found.modules, found.preloaded) == ({"sort_ed", "base"}, ("sort_ed",))
    assert {Path(path).name for path in found.paths} == {
        "sort_ed",
        "Sort_ed-1.0.dist-info",
        "base.py",
        "base-1.0.dist-info",
    }


def test_an_environment_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="is no folder; make one with"):
        find_packages(("base",), str(tmp_path / "nowhere"))
    (tmp_path / "pyvenv.cfg").write_text("")
    with pytest.raises(SandboxError, match="is not one of python3"):
        find_packages(("base",), str(tmp_path))


def test_programs_import_what_is_offered_and_nothing_beside_it(sandbox: Sandbox) -> None:
    source = (
        "import sort_ed\nprint(sort_ed.TEN)\ntry:\n    import secret\nexcept ImportError as error:\n    print(error)"
    )
    run = sandbox.run(Program("python", source), [b""]).runs[0]
    assert run.stdout == b"10\nNo module named 'secret'\n", run.stderr
    hidden = "print(__import__('sort' + '_ed').TEN)"
    assert sandbox.run(Program("python", hidden), [b""]).runs[0].stdout == b"10\n"
    reads = "import base\nprint(open(base.__file__.replace('base.py', 'secret/__init__.py')).read())"
    assert sandbox.run(Program("python", reads), [b""]).runs[0].exit_code == 1


def test_what_a_program_mentions_is_imported_before_it_starts(sandbox: Sandbox) -> None:
    source = "import sys\nprint('sort_ed' in sys.modules)"
    assert sandbox.run(Program("python", source), [b""]).runs[0].stdout == b"True\n"
    assert sandbox.run(Program("python", source.replace("sort_ed", "no_ed")), [b""]).runs[0].stdout == b"False\n"
    writes = "import sort_ed\nprint(sort_ed.MADE, getattr(sort_ed, 'left', None))\nsort_ed.left = 1"
    seen = [run.stdout for run in sandbox.run(Program("python", writes), [b"", b""]).runs]
    assert seen[0] == seen[1]


def test_what_cannot_be_imported_is_not_offered(sandbox: Sandbox) -> None:
    assert sandbox.modules == {"sort_ed", "base"}


def test_without_packages_there_are_none() -> None:
    with Sandbox(workers=1, packages=Packages()) as sandbox:
        assert sandbox.modules == frozenset()
        assert b"ModuleNotFoundError" in sandbox.run(Program("python", "import numpy"), [b""]).runs[0].stderr
