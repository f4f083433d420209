"""The one direction of imports, and where outside packages may be named: read off every module's syntax tree."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import perilune

ROOT = Path(perilune.__file__).parent

# types, errors <- config, protocols <- algorithm <- data, rewards, sandbox, evaluation, rl <- stages <- cli
RANKS = {
    "": 0,
    "types": 0,
    "errors": 0,
    "config": 1,
    "sections": 1,
    "problem_config": 1,
    "curation_config": 1,
    "engine_config": 1,
    "training_config": 1,
    "long2short_config": 1,
    "protocols": 1,
    "folders": 1,
    "algorithm": 2,
    "data": 3,
    "rewards": 3,
    "curation": 3,
    "sandbox": 3,
    "evaluation": 3,
    "rl": 3,
    "stages": 4,
    "backends": 4,
    "build": 5,
    "doctor": 5,
    "cli": 6,
}
COMPOSITION_ROOT = {"cli", "build", "doctor"}
BACKENDS_ALONE = {"vllm", "ray", "megatron", "mooncake", "checkpoint_engine"}
OPTIONAL = {"datasets", "reasoning_gym", "wandb", "trl", "mergekit"}
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


def part_of(module: str) -> str:
    """The first name below the package: a module or a subpackage."""
    return module.split(".", maxsplit=1)[0]


def own(entry: Import) -> str | None:
    """What is imported, as a name within the package; None if it is not of the package."""
    if entry.imported.split(".")[0] != "perilune":
        return None
    return ".".join(entry.imported.split(".")[1:])


def wrong_directions(entries: list[Import]) -> Iterator[str]:
    for entry in entries:
        target = own(entry)
        if target is None or target.startswith("__"):
            continue
        here, there = part_of(entry.importer), part_of(target)
        if RANKS[there] > RANKS[here]:
            yield f"{entry.importer} imports {target}"
        if there == "backends" and here != "backends" and here not in COMPOSITION_ROOT:
            yield f"{entry.importer} imports {target}, which is for the composition root alone"
        if there == "stages" and here == "backends":
            yield f"{entry.importer} imports {target}: backends know the protocols, not the stages"


def modules() -> dict[str, str]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path.read_text(encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def entries() -> list[Import]:
    return [entry for name, source in modules().items() for entry in imports_of(name, source)]


def test_every_part_has_its_place_in_the_order(entries: list[Import]) -> None:
    assert {part_of(entry.importer) for entry in entries} <= set(RANKS)
    assert len(entries) > 200


def test_imports_go_one_way(entries: list[Import]) -> None:
    assert list(wrong_directions(entries)) == []


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("algorithm.loss", "from perilune.rl import loop"),
        ("config", "import perilune.algorithm.loss"),
        ("rl.loop", "from perilune.backends.models import load_model"),
        ("stages.rl", "def f():\n    from perilune.backends import devices"),
        ("backends.models", "from perilune.stages.rl import reinforce"),
        ("types", "from perilune.errors import PeriluneError\nfrom perilune import config"),
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
    mine = [entry for entry in entries if part_of(entry.importer) == "algorithm"]
    assert mine
    assert outside(mine, IMPURE) == []


def test_algorithms_call_no_input_or_output_and_draw_on_no_hidden_state() -> None:
    forbidden = {"open", "print", "input", "eval", "exec"}
    # Functions of numpy's and torch's global generators; a generator that is handed in has methods instead.
    hidden = {"np.random", "numpy.random", "torch"}
    draws = {"rand", "randn", "randint", "random", "normal", "seed", "manual_seed", "choice", "shuffle", "randperm"}
    for name, source in modules().items():
        if part_of(name) != "algorithm":
            continue
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called not in forbidden, f"{name} calls {called}"
            owner, _, method = called.rpartition(".")
            assert not (owner in hidden and method in draws), f"{name} calls {called}"


def test_the_large_engines_are_named_in_backends_alone(entries: list[Import]) -> None:
    assert [e for e in outside(entries, BACKENDS_ALONE) if part_of(e.importer) != "backends"] == []


def test_optional_packages_are_imported_where_they_are_used(entries: list[Import]) -> None:
    optional = outside(entries, OPTIONAL)
    assert {entry.imported.split(".")[0] for entry in optional} >= {"datasets", "reasoning_gym", "wandb"}
    assert [entry for entry in optional if entry.top_level] == []


def loaded_by(statement: str) -> Mapping[str, bool]:
    heavy = ["torch", "transformers", "pydantic", "sympy"]
    program = f"import sys\n{statement}\nprint(*(name in sys.modules for name in {heavy}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return dict(zip(heavy, [word == "True" for word in done.stdout.split()], strict=True))


def test_the_vocabulary_and_the_command_line_load_nothing_heavy() -> None:
    assert not any(loaded_by("import perilune.types, perilune.errors, perilune.cli").values())


def test_grading_workers_load_no_torch() -> None:
    assert not loaded_by("import perilune.rewards.worker, perilune.rewards.pool")["torch"]
