import base64
import json
import pickle
import sys
import zlib

import pyarrow
import pyarrow.parquet
import pytest

from perilune.data.demonstrations import load_solutions
from perilune.data.forms.reading import FORMS
from perilune.data.problems import load_pile, load_problems
from perilune.errors import ProblemsError
from perilune.recipe import problems as recipe
from perilune.recipe.problems import FieldMapping, SourceConfig
from perilune.sandbox.tasks import read_task

SQUARE = "Read an integer n and print its square."
PAIRS = {"inputs": ["3\n", "5\n"], "outputs": ["9\n", "25\n"]}
CASES = [{"input": "3\n", "output": "9\n"}, {"input": "5\n", "output": "25\n"}]
METHOD = "class Solution:\n    def square(self, n: int) -> int:\n"
DOUBLE = "def double(x):\n    return 2 * x\n"


def packed(value) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


ROWS = {
    "apps": {"problem_id": 7, "question": SQUARE, "input_output": json.dumps(PAIRS), "difficulty": "interview"}
    | {"solutions": json.dumps(["n = int(input())\nprint(n * n)"]), "starter_code": ""},
    "taco": {"question": SQUARE, "input_output": json.dumps(PAIRS), "difficulty": "MEDIUM_HARD", "url": "http://a/7"}
    | {"tags": "['Math', 'Graphs']", "source": "codechef", "time_limit": "1.5 seconds", "memory_limit": "512 MB"},
    "code_contests": {"name": "7_A. Square", "description": SQUARE, "cf_tags": ["math"], "cf_rating": 900}
    | {"public_tests": {"input": ["3\n"], "output": ["9\n"]}, "private_tests": {"input": [], "output": []}}
    | {"generated_tests": {"input": ["5\n"], "output": ["25\n"]}, "input_file": "", "output_file": ""}
    | {"time_limit": {"seconds": 1, "nanos": 500_000_000}, "memory_limit_bytes": 512_000_000}
    | {"solutions": {"language": [2, 3], "solution": ["int main(){}", "n = int(input())\nprint(n * n)"]}},
    "eurus": {"prompt": [{"role": "user", "content": SQUARE}], "data_source": "codeforces", "ability": "code"}
    | {"reward_model": {"style": "rule", "ground_truth": json.dumps(PAIRS)}},
    "livecodebench": {"question_content": SQUARE, "question_id": "7_a", "platform": "atcoder", "difficulty": "medium"}
    | {"public_test_cases": json.dumps([CASES[0] | {"testtype": "stdin"}]), "starter_code": "", "metadata": "{}"}
    | {"private_test_cases": packed(json.dumps([CASES[1] | {"testtype": "stdin"}]))},
    "case_list": {"question": SQUARE, "tests": CASES, "tags": ["numbers"]},
    "mbpp": {"task_id": 7, "text": "Double a number.", "code": DOUBLE, "test_setup_code": ""}
    | {"test_list": ["assert double(3) == 6", "assert double(-2) == -4"], "challenge_test_list": []},
    "mbpp_plus": {"task_id": 7, "prompt": "Double a number.", "code": DOUBLE, "test_imports": ["import math"]}
    | {"test_list": ["assert double(3) == 6"], "test": "for x in [1, 3]:\n    assert double(x) == math.fsum([x, x])\n"},
    "humaneval": {"task_id": "HumanEval/7", "prompt": 'def double(x):\n    """Twice."""\n', "entry_point": "double"}
    | {"canonical_solution": "    return 2 * x\n", "test": "def check(candidate):\n    assert candidate(3) == 6\n"},
    "humaneval_plus": {"task_id": "HumanEval/7", "prompt": "def double(x):\n", "entry_point": "double"}
    | {"canonical_solution": "    return 2 * x\n", "base_input": [[3]], "plus_input": [[0.1]], "atol": 0},
    "kodcode": {"question_id": "K_7", "question": "Double a number.", "solution": DOUBLE, "gpt_difficulty": "hard"}
    | {"test": "from solution import double\n\ndef test_three():\n    assert double(3) == 6\n", "subset": "Algorithm"}
    | {"test_info": [{"function_name": "double", "function_declaration": "def double(x):", "docstring": ""}]},
    "bigcodebench": {"task_id": "BigCodeBench/7", "instruct_prompt": "Double a number.", "entry_point": "double"}
    | {"code_prompt": "import math\ndef double(x):\n", "canonical_solution": "    return 2 * x\n", "libs": "['math']"}
    | {"test": "import unittest\nclass TestCases(unittest.TestCase):\n    def test_a(self):\n        "
        "self.assertEqual(double(3), 6)\n"},
}  # fmt: skip


def source(tmp_path, *rows, **options) -> SourceConfig:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return SourceConfig(**{"kind": "jsonl", "path": str(path), **options})


def load(tmp_path, row, form, **options):
    (problem,) = load_problems(source(tmp_path, row, form=form, **options), "train")
    return problem


def test_every_form_of_the_recipe_is_read_and_tried_here() -> None:
    assert set(recipe.FORMS) == set(FORMS) == set(ROWS)


@pytest.mark.parametrize("form", ["apps", "taco", "code_contests", "eurus", "livecodebench", "case_list"])
def test_programs_on_standard_input(tmp_path, form) -> None:
    problem = load(tmp_path, ROWS[form], form, prompt="{question}\nThink.")
    task = read_task(problem.answer)
    assert [{"input": case.input, "output": case.output} for case in task.cases] == CASES
    assert task.checker.kind == ("decimals" if form == "livecodebench" else "tokens")
    assert problem.reward == "code" and problem.tags[0] == form
    text = problem.messages[-1].content
    assert text.startswith(SQUARE) and text.endswith("\nThink.")
    assert ("standard input" in text) is (form != "eurus")


@pytest.mark.parametrize("form", ["mbpp", "mbpp_plus", "humaneval", "humaneval_plus", "kodcode", "bigcodebench"])
def test_functions_with_tests_in_python(tmp_path, monkeypatch, form) -> None:
    monkeypatch.setitem(
        sys.modules, "pytest", pytest
    )  # The checks bring one of their own: in the sandbox there is none.
    problem = load(tmp_path, ROWS[form], form)
    task = read_task(problem.answer)
    assert task.entry_point == "double" and "double" in problem.messages[-1].content
    for body, right in (("2 * x", True), ("x + 1", False)):
        namespace: dict = {}
        exec(f"{task.check}\ncheck_of = check", namespace)
        try:
            namespace["check_of"](eval(f"lambda x: {body}"))
        except AssertionError:
            assert not right
        else:
            assert right


def test_what_else_a_row_says_is_read_too(tmp_path) -> None:
    apps = load(tmp_path, ROWS["apps"], "apps")
    assert (apps.id, apps.tags, apps.difficulty) == ("7", ("apps", "interview"), 2.0)
    taco = load(tmp_path, ROWS["taco"], "taco")
    assert (taco.id, taco.difficulty) == ("http://a/7", 3.0)
    assert taco.tags == ("taco", "codechef", "Math", "Graphs", "MEDIUM_HARD")
    contest = load(tmp_path, ROWS["code_contests"], "code_contests")
    assert (contest.id, contest.tags, contest.difficulty) == ("7_A. Square", ("code_contests", "math"), 900.0)
    for task in (read_task(taco.answer), read_task(contest.answer)):
        assert (task.cpu_seconds, task.memory_mb) == (1.5, 512)
    live = load(tmp_path, ROWS["livecodebench"], "livecodebench")
    assert (live.id, live.tags, live.difficulty) == ("7_a", ("livecodebench", "atcoder", "medium"), 2.0)
    assert load(tmp_path, ROWS["kodcode"], "kodcode").tags == ("kodcode", "Algorithm")


def test_a_mapping_goes_before_the_form(tmp_path) -> None:
    row = ROWS["apps"] | {"topic": "numbers", "rate": 0.25}
    problem = load(tmp_path, row, "apps", fields=FieldMapping(tags="topic", pass_rate="rate"), tags=("mine",))
    assert (problem.tags, problem.pass_rate, problem.id) == (("mine", "numbers"), 0.25, "7")


@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("apps", ROWS["apps"] | {"starter_code": METHOD}
         | {"input_output": json.dumps({"fn_name": "square", "inputs": [[3], [5]], "outputs": [[9], [25]]})}),
        ("eurus", ROWS["eurus"] | {"reward_model": {"ground_truth": json.dumps(PAIRS | {"fn_name": "square"})}}),
        ("livecodebench", ROWS["livecodebench"] | {"starter_code": METHOD, "metadata": '{"func_name": "square"}'}
         | {"public_test_cases": json.dumps([CASES[0] | {"testtype": "functional"}])}),
    ],
)  # fmt: skip
def test_functions_by_their_name(tmp_path, form, row) -> None:
    problem = load(tmp_path, row, form)
    task = read_task(problem.answer)
    assert task.entry_point == "Solution.square"
    namespace: dict = {}
    exec(task.check, namespace)
    namespace["check"](lambda n: n * n)
    with pytest.raises(AssertionError, match="instead of"):
        namespace["check"](lambda n: n + 6)
    if form != "eurus":
        assert METHOD.strip() in problem.messages[-1].content
        assert "Write the method square in Python." in problem.messages[-1].content


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ({"answer": "input_output"}, ROWS["apps"]),
        ({"answer": "tests"}, ROWS["case_list"]),
        ({"answer": "reward_model.ground_truth", "question": "prompt"}, ROWS["eurus"]),
        ({"answer": "public_test_cases", "question": "question_content"}, ROWS["livecodebench"]),
        ({"answer": "public_tests", "question": "description"}, ROWS["code_contests"]),
        ({"answer": "test_list", "question": "text"}, ROWS["mbpp"]),
    ],
)
def test_columns_with_tests_are_read_by_a_mapping_alone(tmp_path, fields, row) -> None:
    (problem,) = load_problems(source(tmp_path, row, reward="code", fields=FieldMapping(**fields)), "train")
    assert read_task(problem.answer)


def test_forms_are_of_rows_of_any_kind(tmp_path) -> None:
    file = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([ROWS["case_list"]]), file)
    (problem,) = load_problems(SourceConfig(kind="parquet", path=str(file), form="case_list"), "train")
    assert len(read_task(problem.answer).cases) == 2
    with pytest.raises(ValueError, match="a source of kind 'generator' has none"):
        SourceConfig(kind="generator", form="apps")
    with pytest.raises(ValueError, match="form"):
        SourceConfig(kind="jsonl", form="aps")


def without(row, *names, **changed):
    return {name: value for name, value in row.items() if name not in names} | changed


@pytest.mark.parametrize(
    ("form", "row", "reason"),
    [
        ("apps", without(ROWS["apps"], input_output=""), "no tests"),
        ("apps", without(ROWS["apps"], "input_output"), "no tests"),
        ("apps", without(ROWS["apps"], input_output='{"inputs": ["1"], "outputs": []}'), "1 inputs and 0 outputs"),
        ("apps", without(ROWS["apps"], "question", qestion=SQUARE), "no field 'question'"),
        ("apps", without(ROWS["apps"], question="![](a.png)"), "an image without words"),
        ("code_contests", without(ROWS["code_contests"], description="<image>"), "an image without words"),
        ("code_contests", without(ROWS["code_contests"], input_file="a.in"), "use a file"),
        ("code_contests", without(ROWS["code_contests"], "public_tests", "generated_tests"), "no tests"),
        (
            "code_contests",
            without(ROWS["code_contests"], public_tests={"input": ["1"], "output": []}),
            "public_tests: .* 1",
        ),
        ("eurus", without(ROWS["eurus"], ability="math"), "its ability is 'math'"),
        ("eurus", without(ROWS["eurus"], reward_model={"ground_truth": "42 apples"}), "no JSON"),
        ("livecodebench", without(ROWS["livecodebench"], private_test_cases="!"), "neither JSON nor base64"),
        ("livecodebench", without(ROWS["livecodebench"], private_test_cases=packed([1])), "must be a pickled text"),
        (
            "livecodebench",
            without(ROWS["livecodebench"], private_test_cases=packed(FieldMapping)),
            "it asks for perilune",
        ),
        ("mbpp", without(ROWS["mbpp"], test_list=[]), "'test_list' is empty"),
        ("mbpp", without(ROWS["mbpp"], test_list=["assert triple(1) == 3"]), "no function of the solution"),
        ("mbpp_plus", without(ROWS["mbpp_plus"], plus_input=[[1]]), "evalplus/mbppplus"),
        ("kodcode", without(ROWS["kodcode"], test="from solution import a, b\ndef test_a():\n    a(b)"), "2 names"),
        ("kodcode", without(ROWS["kodcode"], test="def test_a(capsys):\n    pass"), "fixture capsys"),
        (
            "kodcode",
            without(ROWS["kodcode"], test="import pytest\n@pytest.mark.asyncio\ndef test_a(): 0"),
            "mark.asyncio",
        ),
        (
            "kodcode",
            without(ROWS["kodcode"], test="import pytest\ndef test_a(): pytest.warns(Warning)"),
            "pytest.warns",
        ),
        ("kodcode", without(ROWS["kodcode"], test="x = 1"), "no function's name begins with test"),
        ("kodcode", without(ROWS["kodcode"], test="def test_a(:"), "no Python"),
        ("bigcodebench", without(ROWS["bigcodebench"], test="from unittest.mock import patch"), "unittest.mock"),
        ("case_list", without(ROWS["case_list"], "tests"), "no field 'tests' or"),
        ("case_list", without(ROWS["case_list"], tests=[[1, 2]]), "case 1 of 1"),
        ("taco", without(ROWS["taco"], input_output=[1]), "no tests"),
        (
            "livecodebench",
            without(ROWS["livecodebench"], public_test_cases=3),
            "not in the form .*there are: question_con",
        ),
    ],
)
def test_a_row_that_is_no_problem_says_why(tmp_path, form, row, reason) -> None:
    with pytest.raises(ProblemsError, match=rf"rows\.jsonl, line 1: (?s:.)*{reason}"):
        load_problems(source(tmp_path, row, form=form), "train")


def test_rows_that_cannot_be_used_are_counted_and_refused_or_left_out(tmp_path, capsys) -> None:
    rows = [ROWS["apps"], *[without(ROWS["apps"], input_output="", problem_id=n) for n in range(12)], ROWS["apps"]]
    given = source(tmp_path, *rows, form="apps")
    with pytest.raises(ProblemsError, match=r"^12 of 14 rows cannot be used:(.*\n){11}.*and 2 more\n.*'leave_out'"):
        load_problems(given, "train")
    kept = load_problems(given.model_copy(update={"unusable_rows": "leave_out"}), "train")
    assert [problem.id for problem in kept] == ["7"]
    told = capsys.readouterr().err
    assert "13 of 14 rows are left out:" in told and "line 2: not a problem" in told
    pile = load_pile(given.model_copy(update={"unusable_rows": "leave_out"}), "train")
    assert [problem.id for problem in pile] == ["7", "7~2"]
    assert "12 of 14 rows" in capsys.readouterr().err


def test_leaving_out_is_for_rows_of_ones_own_too_but_not_for_all(tmp_path, capsys) -> None:
    rows = [{"question": "1?", "answer": "1"}, {"question": "2?"}, {"question": "3?", "answer": ""}]
    left = load_problems(source(tmp_path, *rows, unusable_rows="leave_out"), "train")
    assert [problem.answer for problem in left] == ["1"]
    assert "2 of 3 rows are left out" in capsys.readouterr().err
    with pytest.raises(ProblemsError, match="2 of 2 rows cannot be used"):
        load_problems(source(tmp_path, *rows[1:], unusable_rows="leave_out"), "train")


def test_solutions_become_demonstrations_with_the_program_in_a_fence(tmp_path) -> None:
    given = source(tmp_path, ROWS["apps"], without(ROWS["apps"], problem_id=8, solutions=""), form="apps")
    (shown,) = load_solutions(given, "{solution}\nAnswer: {answer}", count=5)
    assert shown.response == "```python\nn = int(input())\nprint(n * n)\n```"
    (shown,) = load_solutions(given, "So:\n{solution}", count=5)
    assert shown.response.startswith("So:\n```python\n")
