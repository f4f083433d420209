"""Number puzzles: reach a target from given numbers, each used once; endless, graded by how many numbers there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from perilune.data.arithmetic import apply

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
_NUMBERS = {1: ((2, 20), (3, 8)), 2: ((3, 10),), 3: ((4, 10),)}
"""Difficulty → how many numbers and the largest of them; two numbers alone make too few puzzles."""
_LARGEST = 12
"""The largest number of any higher difficulty, each of which has one number more."""


@dataclass(frozen=True, slots=True)
class Move:
    """left operation right = result, all positive integers."""

    left: int
    operation: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left} {self.operation} {self.right} = {self.result}"


@dataclass(frozen=True, slots=True)
class Puzzle:
    """Numbers and a target, with one way to reach it."""

    numbers: tuple[int, ...]
    target: int
    moves: tuple[Move, ...]
    """Each combines two of the numbers then left into one."""
    solution: str
    """The moves as one expression."""

    @property
    def canonical(self) -> str:
        """The content that decides the split: numbers in order of size, and the target."""
        return f"{sorted(self.numbers)}->{self.target}"

    @property
    def reference(self) -> str:
        """The reference answer that the countdown reward reads."""
        return json.dumps({"numbers": list(self.numbers), "target": self.target})


def random_puzzle(difficulty: int, rng: Random) -> Puzzle:
    """A puzzle made from its solution, so that it always has one; the target lies in 2 to 100."""
    while True:
        count, largest = rng.choice(_NUMBERS.get(difficulty, ((difficulty + 1, _LARGEST),)))
        numbers = tuple(rng.randint(1, largest) for _ in range(count))
        moves, solution = _random_moves(numbers, rng)
        if 2 <= moves[-1].result <= 100 and moves[-1].result not in numbers:
            return Puzzle(numbers, moves[-1].result, moves, solution)


def ask(puzzle: Puzzle, rng: Random) -> str:
    """The puzzle in words."""
    shown = ", ".join(map(str, rng.sample(puzzle.numbers, len(puzzle.numbers))))
    wording = rng.choice(
        (
            "Reach {target} from the numbers {numbers}. Use each number exactly once, with + - * / and brackets.",
            "Using each of {numbers} exactly once and + - * /, make {target}.",
            "Combine {numbers} with + - * / to get {target}. Each number must be used once.",
        )
    )
    return wording.format(target=puzzle.target, numbers=shown)


def explain(puzzle: Puzzle, rng: Random) -> str:
    """A long-CoT path: plan, try, evaluate each try, go another way after a miss, and reflect on a slip."""
    numbers = ", ".join(map(str, puzzle.numbers))
    lines = [f"Plan: combine {numbers} step by step to reach {puzzle.target}."]
    for _ in range(rng.choice((0, 1, 1, 2))):
        moves, _ = _random_moves(puzzle.numbers, rng)
        if moves[-1].result != puzzle.target:
            lines.append(f"Try {_shown(moves)}. That is {moves[-1].result}, not {puzzle.target}. Another way.")
    if rng.random() < 0.2:
        slip = puzzle.moves[0]
        wrong = slip.result + rng.choice((-1, 1, 2))
        lines.append(
            f"Try {slip.left} {slip.operation} {slip.right} = {wrong}. Wait, it is {slip.result}, not {wrong}."
        )
    lines.append(f"Try {_shown(puzzle.moves)}. That is {puzzle.target}. Good.")
    return "\n".join(lines)


def work(puzzle: Puzzle) -> str:
    """The path between the two: the moves and what they come to, without plan and tries."""
    return f"{_shown(puzzle.moves)}. That is {puzzle.target}."


def equations(puzzle: Puzzle) -> str:
    """The short path: the moves alone."""
    return _shown(puzzle.moves)


def _shown(moves: Sequence[Move]) -> str:
    return ", ".join(map(str, moves))


def _random_moves(numbers: Sequence[int], rng: Random) -> tuple[tuple[Move, ...], str]:
    """Combine random pairs until one number is left; every result is a positive integer."""
    # (value, expression, precedence of its outermost operation)
    left: list[tuple[int, str, int]] = [(number, str(number), 3) for number in numbers]
    moves: list[Move] = []
    while len(left) > 1:
        rng.shuffle(left)
        (a, text_a, level_a), (b, text_b, level_b) = left[0], left[1]
        allowed = ["+", "*"] + ["-"] * (a > b) + ["/"] * (b > 1 and a % b == 0)
        operation = rng.choice(allowed)
        result = apply(a, operation, b)
        if result > 200:
            operation, result = "+", a + b
        level = _PRECEDENCE[operation]
        first = f"({text_a})" if level_a < level else text_a
        second = f"({text_b})" if level_b < level or (level_b == level and operation in "-/") else text_b
        moves.append(Move(a, operation, b, result))
        left = [(result, f"{first} {operation} {second}", level), *left[2:]]
    return tuple(moves), left[0][1]
