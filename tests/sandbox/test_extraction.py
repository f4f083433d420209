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


def test_the_language_chooses_among_the_blocks() -> None:
    response = "```c++\nint main() {}\n```\n```python\nprint(1)\n```"
    assert extract_program(response, "cpp") == "int main() {}"
    assert extract_program(response, "python") == "print(1)"
    assert extract_program(response, "rust") is None


def test_a_hostile_response_takes_no_long_time() -> None:
    start = time.process_time()
    for line in ("`" * 200_000 + "x`", "```" + "a" * 200_000 + "`", "```" + " " * 200_000 + "`"):
        assert extract_program(line, "python") is None
    assert time.process_time() - start < 5
