"""What a task's own programs import, and what is said where it is not there."""

import pytest

from perilune.sandbox.imports import unoffered
from perilune.sandbox.judge import Judge
from perilune.sandbox.packages import Packages
from perilune.sandbox.programs import Program
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import Case, Checker, FunctionTask, StdioTask, Task
from perilune.sandbox.verdicts import Outcome

CHECK = "def check(candidate):\n    {}\n    assert candidate(2) == 4\n"


def function(line: str, **parts: str) -> FunctionTask:
    return FunctionTask("f", CHECK.format(line), **parts)


@pytest.mark.parametrize(
    ("task", "missing"),
    [
        (function("import math, collections.abc"), ""),
        (function("import pandas as pd"), "check imports pandas,"),
        (function("from scipy.stats import norm, zscore; import torch.nn"), "check imports scipy, torch,"),
        (function("import numpy.linalg"), ""),
        (function("pass", prompt="import pandas\ndef f(x):\n"), "prompt imports pandas,"),
        (
            function("pass", prompt="def f(x):\n", solution="    import pandas\n    return x"),
            "solution imports pandas,",
        ),
        (function("\n    try: import pandas\n    except ImportError: pass"), ""),
        (function("text = 'import pandas'"), ""),
        (StdioTask((Case("", ""),), Checker("special", program="import pandas")), "special judge imports pandas,"),
        (StdioTask((Case("", ""),), Checker("special", program="import pandas", language="cpp")), ""),
        (StdioTask((Case("import pandas", ""),)), ""),
        (function("this is no Python import"), ""),
    ],
)
def test_what_is_missing_is_named(task: Task, missing: str) -> None:
    said = unoffered(task, lambda: frozenset({"numpy"}))
    assert said.startswith(f"the task's {missing}") if missing else not said
    assert not missing or "offers numpy:" in said


def test_nobody_is_asked_where_the_library_is_enough() -> None:
    def fails() -> frozenset[str]:
        raise AssertionError

    assert unoffered(function("import math"), fails) == ""


def test_such_a_task_is_judged_by_nothing() -> None:
    with Sandbox(workers=1, packages=Packages()) as sandbox:
        judgement = Judge(sandbox).judge(function("import numpy"), Program("python", "def f(x): return 4"))
    assert judgement.outcome is Outcome.INFRASTRUCTURE_ERROR
    assert judgement.detail.startswith(
        "the task's check imports numpy, and besides Python's library the sandbox offers"
    )
