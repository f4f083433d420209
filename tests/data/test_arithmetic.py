import re
from random import Random

import pytest

from perilune.data.arithmetic import explain, random_sum, tell

EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (-?\d+)")


def calculate(left, operation, right):
    if operation == "/":
        assert left % right == 0
        return left // right
    return {"+": left + right, "-": left - right, "*": left * right}[operation]


@pytest.mark.parametrize(("difficulty", "steps"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (9, 4)])
def test_values_are_small_whole_numbers_and_match_the_canonical_content(difficulty, steps):
    for seed in range(20_000):
        content = random_sum(difficulty, Random(seed))
        assert len(content.steps) == steps
        value = content.start
        for (operation, number), stated in zip(content.steps, content.values[1:], strict=True):
            value = calculate(value, operation, number)
            assert 0 <= value == stated < 1000
    assert content.canonical == f"{content.start}" + "".join(f"{o}{n}" for o, n in content.steps)


def test_a_story_tells_its_numbers_in_order():
    for seed in range(500):
        rng = Random(seed)
        content = random_sum(3, rng)
        story = tell(content, rng)
        assert [int(n) for n in re.findall(r"\d+", story)] == [content.start, *(n for _, n in content.steps)]
        assert story.endswith("?")
        assert "{" not in story


def test_wordings_vary():
    content = random_sum(1, Random(0))
    assert len({tell(content, Random(seed)) for seed in range(300)}) > 250


@pytest.mark.parametrize("difficulty", [1, 2, 3, 4, 5, 6])
def test_every_equation_is_right_or_corrected_at_once(difficulty):
    slips = 0
    for seed in range(1500):
        rng = Random(seed)
        content = random_sum(difficulty, rng)
        for line in explain(content, rng).splitlines():
            for left, operation, right, stated in EQUATION.findall(line):
                result = calculate(int(left), operation, int(right))
                if int(stated) != result:
                    slips += 1
                    assert int(stated) >= 0
                    assert f"Wait, {left} {operation} {right} is {result}, not {stated}." in line
    assert 0.2 < slips / 1500 < 0.3
