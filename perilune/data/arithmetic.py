"""Arithmetic word problems: a start and a few events, told as a story; endless, graded by the number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

NAMES = (
    "Mia", "Tom", "Ana", "Ben", "Lena", "Omar", "Ruth", "Sam", "Nora", "Ivan", "Zoe", "Paul", "Emma", "Raj", "Lily",
    "Jack", "Sara", "Hugo", "Maya", "Leo",
)  # fmt: skip
THINGS = (
    "marbles", "apples", "stickers", "coins", "books", "shells", "cards", "pencils", "stamps", "beads", "cookies",
    "buttons", "stones", "flowers", "tickets", "eggs", "nuts", "toys", "candles", "photos",
)  # fmt: skip
_STARTS = (
    "{name} has {n} {things}.",
    "{name} starts the day with {n} {things}.",
    "There are {n} {things} on {name}'s shelf.",
    "{name} counts {n} {things}.",
    "In a box {name} keeps {n} {things}.",
)
_EVENTS = {
    "+": (
        "{name} buys {n} more.",
        "Then {name} finds {n} more {things}.",
        "A friend gives {name} {n} {things}.",
        "{name} gets {n} more {things} as a gift.",
        "{name} wins {n} {things} in a game.",
        "{n} more {things} arrive by post for {name}.",
        "{name} collects another {n}.",
    ),
    "-": (
        "{name} gives {n} of them to {friend}.",
        "Then {name} loses {n} {things}.",
        "{name} sells {n} of the {things}.",
        "{name} uses up {n} {things}.",
        "{friend} takes {n} of them.",
        "{n} of the {things} break and are thrown away.",
        "{name} leaves {n} {things} at school.",
    ),
    "*": (
        "Over the year the number of {things} grows to {n} times as many.",
        "A machine then turns each of the {things} into {n}.",
        "{name} trades each of them for {n} new {things}.",
        "By luck {name} ends up with {n} times that number.",
    ),
    "/": (
        "{name} sorts all the {things} into {n} equal bags and keeps just one bag.",
        "All the {things} are shared equally among {n} children, one of whom is {name}.",
        "{name} splits them into {n} equal piles and keeps one pile.",
        "The {things} are divided equally over {n} boxes; {name} takes one box.",
    ),
}
_QUESTIONS = (
    "How many {things} does {name} have now?",
    "How many {things} does {name} have in the end?",
    "What number of {things} is left with {name}?",
    "How many {things} is that for {name}?",
)


_LARGEST_VALUE = 999
_GRADES = {1: (1, 40), 2: (1, 80), 3: (2, 80), 4: (3, 80), 5: (4, 80), 6: (4, 200)}
"""Difficulty → steps, and the largest number at the start and in additive steps; harder ones are as the last."""


@dataclass(frozen=True, slots=True)
class Sum:
    """A start and steps; what a story tells, whatever its wording."""

    start: int
    steps: tuple[tuple[str, int], ...]
    """(operation, number), applied one after another; every intermediate value is a positive integer."""

    @property
    def canonical(self) -> str:
        """The content that decides the split, e.g. '34+27-15'."""
        return str(self.start) + "".join(f"{operation}{number}" for operation, number in self.steps)

    @property
    def values(self) -> tuple[int, ...]:
        """The start and the value after each step."""
        values = [self.start]
        for operation, number in self.steps:
            values.append(apply(values[-1], operation, number))
        return tuple(values)


def apply(value: int, operation: str, number: int) -> int:
    """One step; division is exact by construction."""
    if operation == "+":
        return value + number
    if operation == "-":
        return value - number
    return value * number if operation == "*" else value // number


def random_sum(difficulty: int, rng: Random) -> Sum:
    """Steps and size of the numbers are as :data:`_GRADES` says. Values stay below 1,000."""
    count, largest = _GRADES[min(difficulty, max(_GRADES))]
    value = start = rng.randint(5, largest)
    steps: list[tuple[str, int]] = []
    while len(steps) < count:
        operation = rng.choices("+-*/", weights=(4, 4, 2, 2))[0]
        number = _number(value, operation, largest, rng)
        if number is None:
            continue
        steps.append((operation, number))
        value = apply(value, operation, number)
    return Sum(start, tuple(steps))


def _number(value: int, operation: str, largest: int, rng: Random) -> int | None:
    if operation == "+":
        most = min(largest, _LARGEST_VALUE - value)
        return rng.randint(3, most) if most >= 3 else None
    if operation == "-":
        return rng.randint(2, min(value - 1, largest)) if value > 3 else None
    if operation == "*":
        return rng.randint(2, 9) if value <= 99 else None
    divisors = [number for number in range(2, 13) if value % number == 0 and value > number]
    return rng.choice(divisors) if divisors else None


def tell(content: Sum, rng: Random) -> str:
    """The sum as a story with a question."""
    name, friend = rng.sample(NAMES, 2)
    words = {"name": name, "friend": friend, "things": rng.choice(THINGS)}
    sentences = [rng.choice(_STARTS).format(n=content.start, **words)]
    sentences += [rng.choice(_EVENTS[operation]).format(n=number, **words) for operation, number in content.steps]
    return " ".join([*sentences, rng.choice(_QUESTIONS).format(**words)])


def explain(content: Sum, rng: Random) -> str:
    """A long-CoT path: plan, work step by step, sometimes slip and correct it, evaluate, sometimes go another way."""
    values = content.values
    lines = [_plan(content)]
    slips = rng.random() < 0.25
    slipping = rng.randrange(len(content.steps)) if slips else -1
    for place, (operation, number) in enumerate(content.steps):
        lines.append(_work(values[place], operation, number, rng if place == slipping else None))
    lines.append(_check(values[-2], *content.steps[-1], values[-1]))
    if all(operation in "+-" for operation, _ in content.steps[-2:]) and len(content.steps) > 1 and rng.random() < 0.3:
        lines.append(_other_way(values, content.steps))
    return "\n".join(lines)


def work(content: Sum) -> str:
    """The path between the two: each step in easy parts, without plan and check."""
    return "\n".join(_work(value, *step, None) for value, step in zip(content.values, content.steps, strict=False))


def equations(content: Sum) -> str:
    """The short path: one equation per step."""
    values = content.values
    return "\n".join(
        f"{values[place]} {operation} {number} = {values[place + 1]}"
        for place, (operation, number) in enumerate(content.steps)
    )


def _plan(content: Sum) -> str:
    words = {"+": "add {}", "-": "subtract {}", "*": "multiply by {}", "/": "divide by {}"}
    return f"Plan: start with {content.start}, " + ", ".join(words[o].format(n) for o, n in content.steps) + "."


def _work(value: int, operation: str, number: int, slip: Random | None) -> str:
    """One step in easy parts; with ``slip`` the last part goes wrong first and is corrected."""
    parts = _parts(value, operation, number)
    title = f"{value} {operation} {number}: "
    shown = [f"{left} = {result}" for left, result in parts]
    if slip is None:
        return f"{title}{', '.join(shown)}."
    left, right = parts[-1]
    wrong = right + slip.choice([change for change in (-10, 10, -1, 1, 2) if right + change >= 0])
    shown[-1] = f"{left} = {wrong}"
    return f"{title}{', '.join(shown)}. Wait, {left} is {right}, not {wrong}."


def _parts(value: int, operation: str, number: int) -> list[tuple[str, int]]:
    """(left side, result) of the easy parts of one step: tens first, then ones."""
    tens, ones = number // 10 * 10, number % 10
    if operation in "+-" and tens and ones:
        middle = apply(value, operation, tens)
        return [
            (f"{value} {operation} {tens}", middle),
            (f"{middle} {operation} {ones}", apply(middle, operation, ones)),
        ]
    if operation == "*" and value > 10 and value % 10:
        high, low = value // 10 * 10, value % 10
        parts = [(f"{high} * {number}", high * number), (f"{low} * {number}", low * number)]
        return [*parts, (f"{high * number} + {low * number}", value * number)]
    return [(f"{value} {operation} {number}", apply(value, operation, number))]


def _check(before: int, operation: str, number: int, result: int) -> str:
    inverse = {"+": "-", "-": "+", "*": "/", "/": "*"}[operation]
    return f"Check: {result} {inverse} {number} = {before}. Good."


def _other_way(values: Sequence[int], steps: Sequence[tuple[str, int]]) -> str:
    """The last two additive steps taken as one change."""
    (first, a), (second, b) = steps[-2:]
    change = (a if first == "+" else -a) + (b if second == "+" else -b)
    sign = "+" if change >= 0 else "-"
    return f"Another way: {values[-3]} {sign} {abs(change)} = {values[-1]}. The same."
