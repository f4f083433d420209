"""The one direction of imports, and where outside packages may be named: read off every module's syntax tree."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import perilune

ROOT = Path(perilune.__file__).parent
TREE = Path(__file__).parents[1]
ARCHITECTURE = TREE / "docs" / "architecture.md"

FLOORS = (
    {"types", "errors"},
    {"algorithm"},
    {"recipe", "protocols"},
    {"run"},
    {"data", "sandbox", "rewards", "backends", "evaluation", "curation", "rl"},
    {"report"},
    {"stages"},
    {"build", "doctor"},
    {"cli"},
)
"""From the ground up; a room imports from its own floor and those below. What else holds is in docs/architecture.md."""
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
WITHOUT_ALGORITHMS = {"recipe", "protocols", "run"}
COMPOSITION_ROOT = {"cli", "build", "doctor"}
BACKENDS_ALONE = {"vllm", "ray", "megatron", "mooncake", "checkpoint_engine"}
OPTIONAL = {"datasets", "reasoning_gym", "wandb", "trl", "mergekit"}
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
# What would give an algorithm the world, a clock, or randomness that it was not handed.
IMPURE = {"os", "io", "time", "pathlib", "random", "secrets", "datetime", "uuid", "logging", "sqlite3", "pickle"}
IMPURE |= {"subprocess", "socket", "shutil", "tempfile", "threading", "multiprocessing", "asyncio", "transformers"}


@dataclass(frozen=True)
class Import:
    importer: str
    """Dotted module name within the package, '' for the package itself."""
    imported: str
    """Absolute dotted name."""
    top_level: bool
    """Executed when the importer is imported."""


def imports_of(name: str, source: str) -> list[Import]:
    tree = ast.parse(source)
    found = []
    deferred = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _only_for_types(node)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found += [Import(name, imported, id(node) not in deferred) for imported in names]
    return found


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def room_of(module: str) -> str:
    """The first name below the package: a module or a subpackage."""
    return module.split(".", maxsplit=1)[0]


def own(entry: Import) -> str | None:
    """What is imported, as a name within the package; None if it is not of the package."""
    if entry.imported.split(".")[0] != "perilune":
        return None
    return ".".join(entry.imported.split(".")[1:])


def crossings(entries: list[Import]) -> Iterator[tuple[str, str, str]]:
    """(room, room that it imports, in words)."""
    for entry in entries:
        target = own(entry)
        # Of the package itself there is no more than its version.
        if target and not target.startswith("__") and room_of(target) != room_of(entry.importer):
            yield room_of(entry.importer), room_of(target), f"{entry.importer} imports {target}"


def wrong_directions(entries: list[Import]) -> Iterator[str]:
    for here, there, words in crossings(entries):
        if HEIGHT[there] > HEIGHT[here]:
            yield words
        if there == "backends" and here not in COMPOSITION_ROOT:
            yield f"{words}, which is for the composition root alone"
        if here == "algorithm" and there not in FLOORS[0]:
            yield f"{words}: algorithms know the vocabulary alone"
        if there == "algorithm" and here in WITHOUT_ALGORITHMS:
            yield f"{words}: it needs no algorithm"


def drawn_imports() -> dict[str, set[str]]:
    """The table of docs/architecture.md: room → what it imports, in the table's order."""
    rows = re.findall(r"^\| `(\w+)` \| .* \| ([\w, –]+) \|$", ARCHITECTURE.read_text(encoding="utf-8"), re.MULTILINE)
    return {room: set(re.findall(r"\w+", imports)) for room, imports in rows}


def arrows() -> set[tuple[str, str]]:
    """The drawing of docs/architecture.md."""
    return set(re.findall(r"^    (\w+) --> (\w+)$", ARCHITECTURE.read_text(encoding="utf-8"), re.MULTILINE))


def modules() -> dict[str, str]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path.read_text(encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def entries() -> list[Import]:
    return [entry for name, source in modules().items() for entry in imports_of(name, source)]


def test_every_room_has_its_floor(entries: list[Import]) -> None:
    assert {room_of(entry.importer) for entry in entries} <= set(HEIGHT)
    assert {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()} - {
        "__init__",
        "__pycache__",
    } == set(HEIGHT)
    assert len(entries) > 200


def test_the_table_of_rooms_says_what_each_imports(entries: list[Import]) -> None:
    found: dict[str, set[str]] = {room: set() for room in HEIGHT}
    for here, there, _ in crossings(entries):
        found[here].add(there)
    assert drawn_imports() == found


def test_the_table_stands_in_the_order_of_the_house() -> None:
    seen: set[str] = set()
    for room, imports in drawn_imports().items():
        assert imports <= seen, f"{room} imports {imports - seen}, which stand below it"
        seen.add(room)


def test_the_drawing_shows_these_imports_and_no_others(entries: list[Import]) -> None:
    real = {(here, there) for here, there, _ in crossings(entries)}
    assert arrows() <= real
    reached = {room: {there for here, there in arrows() if here == room} for room in HEIGHT}
    for _ in HEIGHT:
        for room, found in reached.items():
            found |= {further for there in found for further in reached[there]}
            assert room not in found, f"{room} reaches itself"
    missing = {(here, there) for here, there in real if there not in reached[here] and there != "errors"}
    assert missing == set()


def test_imports_go_one_way(entries: list[Import]) -> None:
    assert list(wrong_directions(entries)) == []


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("algorithm.loss", "from perilune.rl import loop"),
        ("algorithm.loss", "from perilune.recipe.training import RLConfig"),
        ("recipe.recipe", "import perilune.algorithm.loss"),
        ("run.folder", "from perilune.algorithm.sampling import bands"),
        ("run.folder", "from perilune.data.problems import load_problems"),
        ("rl.loop", "from perilune.report.terminal import Display"),
        ("rl.loop", "from perilune.backends.models import load_model"),
        ("stages.rl", "def f():\n    from perilune.backends import devices"),
        ("backends.models", "from perilune.stages.rl import reinforce"),
        ("types", "from perilune.errors import PeriluneError\nfrom perilune import recipe"),
    ],
)
def test_an_import_against_the_order_is_found(importer: str, line: str) -> None:
    assert list(wrong_directions(imports_of(importer, line)))


def test_no_module_imports_itself_in_a_circle(entries: list[Import]) -> None:
    names = set(modules())
    graph: dict[str, set[str]] = {name: set() for name in names}
    for entry in entries:
        target = own(entry)
        if target is None or not entry.top_level:
            continue
        # "perilune.a.b" may be module a.b, or name b of module a.
        module = target if target in names else target.rpartition(".")[0]
        if module != entry.importer:
            graph[entry.importer].add(module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import circle: {' -> '.join(error.args[1])}")


def outside(entries: list[Import], names: set[str]) -> list[Import]:
    return [entry for entry in entries if entry.imported.split(".")[0] in names]


def test_algorithms_touch_nothing_outside(entries: list[Import]) -> None:
    mine = [entry for entry in entries if room_of(entry.importer) == "algorithm"]
    assert mine
    assert outside(mine, IMPURE) == []


def test_algorithms_call_no_input_or_output_and_draw_on_no_hidden_state() -> None:
    forbidden = {"open", "print", "input", "eval", "exec"}
    # Functions of numpy's and torch's global generators; a generator that is handed in has methods instead.
    hidden = {"np.random", "numpy.random", "torch"}
    draws = {"rand", "randn", "randint", "random", "normal", "seed", "manual_seed", "choice", "shuffle", "randperm"}
    for name, source in modules().items():
        if room_of(name) != "algorithm":
            continue
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called not in forbidden, f"{name} calls {called}"
            owner, _, method = called.rpartition(".")
            assert not (owner in hidden and method in draws), f"{name} calls {called}"


def test_the_large_engines_are_named_in_backends_alone(entries: list[Import]) -> None:
    assert [e for e in outside(entries, BACKENDS_ALONE) if room_of(e.importer) != "backends"] == []


def test_optional_packages_are_imported_where_they_are_used(entries: list[Import]) -> None:
    optional = outside(entries, OPTIONAL)
    assert {entry.imported.split(".")[0] for entry in optional} >= {"datasets", "reasoning_gym", "wandb"}
    assert [entry for entry in optional if entry.top_level] == []


def loaded_by(statement: str) -> Mapping[str, bool]:
    heavy = ["torch", "transformers", "pydantic", "sympy"]
    program = f"import sys\n{statement}\nprint()\nprint(*(name in sys.modules for name in {heavy}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return dict(zip(heavy, [word == "True" for word in done.stdout.splitlines()[-1].split()], strict=True))


def test_the_vocabulary_and_the_command_line_load_nothing_heavy() -> None:
    assert not any(loaded_by("import perilune.types, perilune.errors, perilune.cli").values())


@pytest.mark.parametrize("what", ["perilune.recipe.recipe", "perilune.protocols", "perilune.run.folder"])
def test_the_recipe_and_what_stands_on_it_alone_load_no_torch(what: str) -> None:
    loaded = loaded_by(f"import {what}")
    assert not loaded["torch"] and not loaded["transformers"]


def test_printing_a_recipe_loads_no_torch() -> None:
    assert not loaded_by("from perilune.cli import main; main(['recipe', '--fields'])")["torch"]


def test_the_package_itself_loads_nothing_of_ours() -> None:
    program = "import sys, perilune; print([name for name in sys.modules if name.startswith('perilune.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_grading_workers_load_no_torch() -> None:
    assert not loaded_by("import perilune.rewards.worker, perilune.rewards.pool")["torch"]


def test_no_file_and_no_function_is_long() -> None:
    long = []
    for path in sorted(ROOT.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if (lines := len(source.splitlines())) > LONGEST_FILE:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{path.relative_to(ROOT)}, {node.name}: {lines} lines")
    assert long == []


def listed() -> Iterator[tuple[str, Path, str]]:
    """(which list, from where, pattern) of every list that finds files by their place."""
    spec = importlib.util.spec_from_file_location("vllm_stamp", TREE / "tools" / "vllm_stamp.py")
    assert spec is not None and spec.loader is not None
    stamp = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stamp)
    yield from (("tools/vllm_stamp.py", TREE, pattern) for pattern in stamp.DEPENDS)
    project = tomllib.loads((TREE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    data = project["setuptools"]["package-data"]
    yield from (("package-data", TREE / package, pattern) for package in data for pattern in data[package])
    yield from (("per-file-ignores", TREE, name) for name in project["ruff"]["lint"]["per-file-ignores"])
    makefile = (TREE / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/])(?:tests|tools|benchmarks|recipes|docs)/[\w./-]*\w", makefile))
    yield from (("Makefile", TREE, name) for name in named)
    prefixed = re.findall(r"\$\(addprefix ([\w/]+/),([^)]*)\)", makefile)
    yield from (("Makefile", TREE, prefix + name) for prefix, names in prefixed for name in names.split())


def test_every_list_of_places_matches_something() -> None:
    found = list(listed())
    assert {where for where, _, _ in found} == {
        "tools/vllm_stamp.py",
        "package-data",
        "per-file-ignores",
        "Makefile",
    }
    assert [f"{where}: {pattern}" for where, root, pattern in found if not list(root.glob(pattern))] == []
