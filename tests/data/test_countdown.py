import re
from random import Random

import pytest

from perilune.data.countdown import ask, explain, random_puzzle
from perilune.rewards.countdown import check_solution

EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


@pytest.mark.parametrize(("difficulty", "sizes"), [(1, {2, 3}), (2, {3}), (3, {4}), (4, {5}), (7, {8})])
def test_the_solution_reaches_the_target_with_every_number(difficulty, sizes):
    found = set()
    for seed in range(1000):
        puzzle = random_puzzle(difficulty, Random(seed))
        found.add(len(puzzle.numbers))
        check_solution(puzzle.solution, puzzle.numbers, puzzle.target)
    assert found == sizes


def test_the_content_ignores_the_order_of_the_numbers():
    puzzle = random_puzzle(3, Random(5))
    mirrored = type(puzzle)(puzzle.numbers[::-1], puzzle.target, puzzle.moves, puzzle.solution)
    assert mirrored.canonical == puzzle.canonical


def test_the_question_names_every_number_and_the_target():
    for seed in range(300):
        rng = Random(seed)
        puzzle = random_puzzle(3, rng)
        shown = sorted(int(n) for n in re.findall(r"\d+", ask(puzzle, rng)))
        assert shown == sorted([*puzzle.numbers, puzzle.target])


@pytest.mark.parametrize("difficulty", [1, 2, 3, 4])
def test_every_equation_is_right_or_corrected_at_once(difficulty):
    slips = missed_tries = 0
    for seed in range(1000):
        rng = Random(seed)
        puzzle = random_puzzle(difficulty, rng)
        lines = explain(puzzle, rng).splitlines()
        missed_tries += sum("Another way." in line for line in lines)
        assert lines[-1].endswith(f"That is {puzzle.target}. Good.")
        for line in lines:
            for left, operation, right, stated in EQUATION.findall(line):
                a, b = int(left), int(right)
                result = {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[operation]
                if result != int(stated):
                    slips += 1
                    assert f"Wait, it is {int(result)}, not {stated}." in line
    assert slips > 100
    assert missed_tries > 300
