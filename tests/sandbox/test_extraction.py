import time

import pytest

from perilune.sandbox.extraction import extract_program


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("```python\nprint(1)\n```", "print(1)"),
        ("First:\n```python\nprint(1)\n```\nBetter:\n```python\nprint(2)\n```\nDone.", "print(2)"),
        ("```py\nprint(1)\n```\nIt prints\n```\n1\n```", "print(1)"),
        ("```\nprint(1)\n```", "print(1)"),
        ("```text\n1\n```\n```\nprint(1)\n```\n```json\n{}\n```", "print(1)"),
        ("```Python3 title=x\nprint(1)\n```", "print(1)"),
        ("~~~python\nprint('```')\n```\n~~~", "print('```')\n```"),
        ("````python\n```\nprint(1)\n````", "```\nprint(1)"),
        ("```python\nprint(1)\n# cut off", "print(1)\n# cut off"),
        ("```python\r\nprint(1)\r\n```\r\n", "print(1)"),
        ("  ```python\n  print(1)\n  ```", "  print(1)"),
        ("<think>\n```python\nprint(1)\n```\n</think>\n```python\nprint(2)\n```", "print(2)"),
        ("```python\nprint(1)\n``` not the end\n```", "print(1)\n``` not the end"),
    ],
)
def test_the_last_block_of_the_language_is_the_program(response: str, program: str) -> None:
    assert extract_program(response, "python") == program


@pytest.mark.parametrize(
    "response",
    [
        "print(1)",
        "",
        "`print(1)`",
        "```python\n\n```",
        "```cpp\nint main() {}\n```",
        "<think>\n```python\nprint(1)\n```\n</think>\nThe program is above.",
        "    ```python\n    print(1)\n    ```",
    ],
)
def test_a_response_without_a_block_has_no_program(response: str) -> None:
    assert extract_program(response, "python") is None


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("1. Solution:\n   ```python\n   a = 1\n   if a:\n       print(a)\n   ```\n", "a = 1\nif a:\n    print(a)"),
        ("10. Solution:\n\n    ```python\n    print(1)\n    ```\nDone.", "print(1)"),
        ("- Solution:\n  ```python\n  print(1)\n  ```", "print(1)"),
        ("- Steps\n  * one:\n\n    ~~~py\n    print(1)\n\n    print(2)\n    ~~~\n", "print(1)\n\nprint(2)"),
        ("1) ```python\n   print(1)\n   ```", "print(1)"),
        ("- ```python\n  print(1)\n  ```", "print(1)"),
        ("1. Solution:\n  ```python\n  print(1)\n  ```", "print(1)"),
        ("1. Solution:\n      ```python\n      print(1)\n      ```", "print(1)"),
        ("1. Solution:\n   ```python\nprint(1)\nif 1:\n    print(2)\n   ```", "print(1)\nif 1:\n    print(2)"),
        ("- Solution:\n\t```python\n\tprint(1)\n\t```", "print(1)"),
        ("1. It is `O(n)`.\n2. Code:\n   ```python\n   print(1)\n   ```\n3. Done.", "print(1)"),
        ("- a list\n\nText.\n\n```python\nprint(1)\n```", "print(1)"),
        ("> ```python\n> if 1:\n>     print(1)\n> ```\nEnd.", "if 1:\n    print(1)"),
        ("> ```python\n> print(1)\nEnd.", "print(1)"),
    ],
)
def test_a_block_in_a_list_or_a_quotation_has_its_own_indentation(response: str, program: str) -> None:
    assert extract_program(response, "python") == program
    assert extract_program(response.replace("\n", "\r\n"), "python") == program


@pytest.mark.parametrize(
    "tag",
    [
        "{.python}",
        "{python}",
        "{ .python .numberLines }",
        "{python, echo=FALSE}",
        "Python",
        "Python 3",
        "python3.11",
        "PY",
        "py3",
        "python title=a.py",
        "python:a.py",
        " python ",
        "ipython",
        "pypy3",
    ],
)
def test_a_tag_names_python_in_many_ways(tag: str) -> None:
    assert extract_program(f"```text\n1\n```\n```{tag}\nprint(1)\n```\n```\n1\n```", "python") == "print(1)"


@pytest.mark.parametrize(
    "tag", ["cpp", "C++", "c++17", "C++ 20", "cpp20", "{.cpp}", "cc", "CPP title=a.cpp", "gnu++17"]
)
def test_a_tag_names_cpp_in_many_ways(tag: str) -> None:
    assert extract_program(f"```python\n1\n```\n```{tag}\nint main() {{}}\n```", "cpp") == "int main() {}"


@pytest.mark.parametrize("tag", ["pycon", "python-repl", "pythonic", "bash", "c", "r", "json"])
def test_other_tags_are_not_python(tag: str) -> None:
    assert extract_program(f"```{tag}\nprint(1)\n```", "python") is None


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("```python\nprint(1)```", "print(1)"),
        ("```python\nprint(1) ``` \nIt prints\n```\n1\n```", "print(1)"),
        ("~~~python\nprint(1)~~~\n~~~\n1\n~~~", "print(1)"),
        ("```python\nprint('```')\n```", "print('```')"),
        ("Here it is: ```python\nprint(1)\n```\n", "print(1)"),
        ("Output: ```\n1\n```\nProgram: ```py\nprint(1)\n```", "print(1)"),
        ("Say ```hello`` or ```\n```python\nprint(1)\n```", "print(1)"),
        ("A line that ends in ```nothing\n```python\nprint(1)\n```", "print(1)"),
        ("<answer>```python\nprint(1)\n```</answer>\n", "print(1)"),
        ("````markdown\nIt is:\n```python\nprint(1)\n```\n````", "print(1)"),
    ],
)
def test_fences_that_share_a_line(response: str, program: str) -> None:
    assert extract_program(response, "python") == program


PROGRAM = "def double(x):\n    return 2 * x\nprint(double(int(input())))"


@pytest.mark.parametrize(
    ("response", "program"),
    [
        (f"```\n{PROGRAM}\n```\nFor the input\n```\n3\n```\nit prints\n```\n6\n```", PROGRAM),
        (f"```\n{PROGRAM}\n```\n```\n>>> double(3)\n6\n```\n```\n$ python a.py\n```", PROGRAM),
        (f"```python\n{PROGRAM}\n```\nFor example:\n```python\nprint(double(3))\n```", PROGRAM),
        (f"```python\n{PROGRAM}\n```\nFor example:\n```python\ny = double(x=3)\nassert y == 6\n```", PROGRAM),
        (f"```python\nprint(1)\n```\nNo:\n```python\n{PROGRAM}\n```", PROGRAM),
        (f"```python\n{PROGRAM.replace('2', '3')}\n```\nMended:\n```python\n{PROGRAM}\n```", PROGRAM),
        (f"```python\n{PROGRAM}\n```\nIt prints\n```python\n6\n```\n```py\n>>> double(3)\n6\n```", PROGRAM),
        (f"```python\n{PROGRAM}\n```\nThe line\n```python\nreturn 2 * x\n```\ndoubles.", PROGRAM),
        (f"```python\nprint(0)\n{PROGRAM}\n```\nWithout the zero:\n```python\n{PROGRAM}\n```", PROGRAM),
        ("```\n5\n```", "5"),
    ],
)
def test_neither_an_output_nor_an_example_of_its_use_is_the_program(response: str, program: str) -> None:
    assert extract_program(response, "python") == program


def test_the_block_that_defines_the_function_is_the_program() -> None:
    response = f"```python\n{PROGRAM}\n```\nTest:\n```python\nimport math\nprint(math.pi)\n```"
    assert extract_program(response, "python", entry_point="double") == PROGRAM
    quoted = f"```python\n{PROGRAM}\nprint()\n```\nIt begins with\n```python\ndef double(x):\n    return 2 * x\n```"
    assert extract_program(quoted, "python", entry_point="double") == f"{PROGRAM}\nprint()"
    assert extract_program(response, "python", entry_point="other") == "import math\nprint(math.pi)"
    method = "```python\nclass Solution:\n    def double(self, x):\n        return 2 * x\n```\n```python\nprint(1)\n```"
    assert str(extract_program(method, "python", entry_point="Solution.double")).startswith("class Solution")


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("```python\nprint(1)\n```\n</think>\n```python\nprint(2)\n```", "print(2)"),
        ("<think>\n```python\nprint(1)\n```\n", None),
        ("<think>a</think>\n```python\nprint(2)\n```\n<think>\n```python\nprint(1)\n```", "print(2)"),
        ("<THINK>\n```python\nprint(1)\n```\n</THINK>", None),
        ("<thinking>\n```python\nprint(1)\n```\n</thinking>\n```python\nprint(2)\n```", "print(2)"),
        ("```python\nprint('<think>')\n```", "print('<think>')"),
    ],
)
def test_nothing_in_the_thinking_is_the_program(response: str, program: str | None) -> None:
    assert extract_program(response, "python") == program
    assert extract_program(response, "python", in_thinking=True) is not None


def test_the_language_chooses_among_the_blocks() -> None:
    response = "```c++\nint main() {}\n```\n```python\nprint(1)\n```"
    assert extract_program(response, "cpp") == "int main() {}"
    assert extract_program(response, "python") == "print(1)"
    assert extract_program(response, "rust") is None


PARTS = ["`", "~", "`~", "\n`", "\n\t", "-", ">", "1.", "```\n", "```python\n", "<think>", "</think>", "\n<think>"]
PARTS += [" ", "\n ", "- ", "> ", "1. ", "- x\n", "x ```\n", "a=", "a(", "import ", "import"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "before", ["", "```python\n", "- ```\n", "> ```\n", "```python\ndef a():\n```\n```python\na()\n"]
)
@pytest.mark.timeout(60)
def test_no_response_takes_a_long_time(part: str, before: str) -> None:
    """What takes time quadratic in the length would take hours."""
    response = before + part * 30_000
    extract_program(response, "python")
    extract_program(response, "python", entry_point="f")


@pytest.mark.timeout(60)
def test_many_blocks_take_no_long_time() -> None:
    blocks = "".join(f"```python\ndef f{n}(): f{n // 2}()\n```\n" for n in range(10_000))
    assert extract_program(blocks, "python") == "def f0(): f0()"


def test_a_hostile_response_takes_no_long_time() -> None:
    start = time.process_time()
    for line in ("`" * 200_000 + "x`", "```" + "a" * 200_000 + "`", "```" + " " * 200_000 + "`"):
        assert extract_program(line, "python") is None
    assert time.process_time() - start < 5
