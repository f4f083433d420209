"""What a task's own programs import, read off their text before anything of them runs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache

from perilune.sandbox.tasks import FunctionTask, Task
from perilune.sandbox.verdicts import OF_THE_TASK

_OPTIONAL = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def unoffered(task: Task, offered: Callable[[], frozenset[str]]) -> str:
    """What of a task cannot run for want of a module, as a sentence for people; empty where nothing is missing.

    Args:
        task: whose check, prompt and solution, or special judge, are looked at.
        offered: says what there is besides Python's library; asked only where that is not enough.
    """
    for part, text in _texts(task):
        beyond = _beyond_the_library(text)
        if beyond and (missing := sorted(beyond - offered())):
            there = ", ".join(sorted(offered())) or "nothing"
            return (
                f"{OF_THE_TASK}{part} imports {', '.join(missing)}, and besides Python's library the sandbox offers "
                f"{there}: install it and name it in rewards.code.packages (of a service: in --packages)"
            )
    return ""


def _texts(task: Task) -> Iterator[tuple[str, str]]:
    if isinstance(task, FunctionTask):
        yield from (("check", task.check), ("prompt", task.prompt), ("solution", task.solution))
    elif task.checker.kind == "special" and task.checker.language == "python":
        yield "special judge", task.checker.program


@lru_cache(maxsize=4096)
def _beyond_the_library(text: str) -> frozenset[str]:
    """Top names of the modules that a text imports for certain, but for those of Python's library."""
    found: set[str] = set()
    for tree in _trees(text):
        optional = {id(inner) for node in ast.walk(tree) for inner in _tried(node)}
        for node in ast.walk(tree):
            if id(node) in optional:
                continue
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return frozenset(found - sys.stdlib_module_names)


def _trees(text: str) -> Iterator[ast.AST]:
    """The text as a program; one that goes on where a prompt ends, or is left open, as far as it is one."""
    for whole in (text, f"{text}\n    pass\n", f"if True:\n{text}\n"):
        try:
            yield ast.parse(whole)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return


def _tried(node: ast.AST) -> Iterator[ast.AST]:
    """What is within a ``try`` that catches a failed import, or under ``if TYPE_CHECKING``."""
    tried = isinstance(node, ast.Try) and any(_catches(handler.type) for handler in node.handlers)
    if tried or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
        assert isinstance(node, ast.Try | ast.If)
        for statement in node.body:
            yield from ast.walk(statement)


def _catches(kind: ast.expr | None) -> bool:
    return kind is None or any(isinstance(inner, ast.Name) and inner.id in _OPTIONAL for inner in ast.walk(kind))
