import json

import pytest

from perilune.sandbox.tasks import Case, Checker, FunctionTask, StdioTask, Task, complete_program, read_task, task_json

STDIO = StdioTask((Case("3\n", "9\n"), Case("é\ud800", "ü")), cpu_seconds=2.5)
SPECIAL = StdioTask((Case("", "1"),), Checker("special", program="print('accepted')"), language="cpp", memory_mb=64)
FUNCTION = FunctionTask("double", "def check(candidate):\n    assert candidate(2) == 4\n", prompt="def double(x):\n")


@pytest.mark.parametrize("task", [STDIO, SPECIAL, FUNCTION])
def test_a_task_is_read_back_as_it_was(task: Task) -> None:
    assert read_task(task_json(task)) == task


def test_defaults_are_left_out() -> None:
    assert json.loads(task_json(StdioTask((Case("1", "2"),)))) == {"cases": [{"input": "1", "output": "2"}]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("42.5 apples", "no JSON"),
        ("[]", "cases: Field required|dictionary"),
        ('{"cases": []}', "at least one case"),
        ('{"cases": [{"input": "1"}]}', r"cases\.0\.output: Field required"),
        ('{"cases": [{"input": "1", "output": "1"}], "cheker": {}}', "cheker"),
        ('{"cases": [{"input": "1", "output": "1"}], "checker": {"kind": "special"}}', "checker.program"),
        ('{"cases": [{"input": "1", "output": "1"}], "checker": {"kind": "floats", "absolute": -1}}', "absolute"),
        ('{"cases": [{"input": "1", "output": "1"}], "cpu_seconds": 0}', "no time limit"),
        ('{"entry_point": "f g", "check": "x"}', "no name of a function"),
        ('{"entry_point": "f", "check": " "}', "needs its check"),
        ("null", "no task|dictionary"),
    ],
)
def test_what_is_no_task_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_task(text)


def test_a_response_completes_the_prompt_or_stands_after_it() -> None:
    assert complete_program(FUNCTION, "    return 2 * x\n") == "def double(x):\n    return 2 * x\n"
    whole = "\n# mine\ndef double(x):\n    return x + x\n"
    assert complete_program(FUNCTION, whole) == f"def double(x):\n    pass\n{whole}"
    documented = FunctionTask("double", "…", prompt='def double(x):\n    """Twice."""')
    assert complete_program(documented, "double = abs") == f"{documented.prompt}\ndouble = abs"
    assert complete_program(STDIO, "print(1)") == "print(1)"


def test_indentation_that_a_whole_module_has_is_taken_off() -> None:
    assert complete_program(STDIO, "  a = 1\n  if a:\n      print(a)") == "a = 1\nif a:\n    print(a)"
    module = "  import math\n  def double(x):\n      return 2 * x"
    assert complete_program(FUNCTION, module).endswith("pass\nimport math\ndef double(x):\n    return 2 * x")
    body = "    def inner(y):\n        return y\n    return 2 * inner(x)"
    assert complete_program(FUNCTION, body) == f"{FUNCTION.prompt}{body}"
