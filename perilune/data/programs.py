"""Small programming problems: keep some of the given values, change them, put them together; endless, graded by steps.

Each content is told in one of two forms, a program on standard input and output or a function, and carries its tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from perilune.sandbox.tasks import Case, FunctionTask, StdioTask, Task

Kind = Literal["numbers", "words"]
Form = Literal["program", "function"]

_CASES = 10
_GRADES = {1: (1, 0), 2: (1, 1), 3: (2, 1), 4: (3, 1)}
"""Difficulty → how many conditions, and how many changes; harder ones are as the last."""
_VOCABULARY = (
    "apple", "bear", "cloud", "door", "eagle", "fog", "grape", "hill", "ink", "jar", "kite", "lamp", "moon", "nest",
    "oak", "pear", "queen", "river", "sand", "tree", "urn", "vine", "wolf", "year", "zebra", "book", "lake", "stone",
    "rain", "bird", "candle", "garden", "window", "silver", "orange", "yellow", "level", "noon", "radar", "stats",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step, in words, in Python, and as it is done; ``x`` is one value, ``kept`` the list of them."""

    words: str
    code: str
    apply: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Content:
    """What a problem asks, whatever its form."""

    kind: Kind
    conditions: tuple[Step, ...]
    changes: tuple[Step, ...]
    result: Step

    @property
    def canonical(self) -> str:
        """The content that decides the split; conditions may come in any order."""
        conditions = " and ".join(sorted(step.code for step in self.conditions))
        return f"{self.kind}: {conditions}; {' '.join(step.code for step in self.changes)}; {self.result.code}"

    def answer(self, values: Sequence[Any]) -> Any:
        """The right result for these values."""
        kept = self.kept(values)
        for change in self.changes:
            kept = [change.apply(value) for value in kept]
        return self.result.apply(kept)

    def kept(self, values: Sequence[Any]) -> list[Any]:
        """The values that meet every condition."""
        return [value for value in values if all(condition.apply(value) for condition in self.conditions)]


def random_content(difficulty: int, rng: Random) -> Content:
    """Conditions and changes as :data:`_GRADES` says; some values meet the conditions, and each condition matters."""
    while True:
        content = _drawn(difficulty, rng)
        domain, conditions = _domain(content.kind), content.conditions
        kept = len(content.kept(domain))
        laxer = [replace(content, conditions=(*conditions[:i], *conditions[i + 1 :])) for i in range(len(conditions))]
        if kept >= 3 and all(len(other.kept(domain)) > kept for other in laxer):
            return content


def _drawn(difficulty: int, rng: Random) -> Content:
    kind: Kind = rng.choices(("numbers", "words"), weights=(2, 1))[0]
    count, changes = _GRADES[min(difficulty, max(_GRADES))]
    condition, change, results = _STEPS[kind]
    conditions: dict[str, Step] = {}
    while len(conditions) < count:
        step = condition(rng)
        conditions.setdefault(step.code, step)
    return Content(kind, tuple(conditions.values()), tuple(change(rng) for _ in range(changes)), rng.choice(results))


def _domain(kind: Kind) -> Sequence[Any]:
    return range(-20, 31) if kind == "numbers" else _VOCABULARY


def ask(content: Content, form: Form, rng: Random) -> str:
    """The problem in words, with an example."""
    values = example(content, rng)
    things = content.kind
    work = f"Take the {things} that {_conditions(content)}{_changes(content)}. The answer is {content.result.words}."
    if form == "function":
        return (
            f"Write a Python function solve(values) for a list of {things}. {work}\n"
            f"Example: solve({values!r}) == {content.answer(values)!r}"
        )
    given = "The first line is n, the second has n whole numbers." if things == "numbers" else "One line has the words."
    return (
        f"Write a Python program. {given} {work} Print it.\n"
        f"Example input:\n{_typed(content, values)}Example output:\n{content.answer(values)}"
    )


def solution(content: Content, form: Form) -> str:
    """A right program."""
    conditions = " and ".join(step.code for step in content.conditions)
    value = content.changes[0].code if content.changes else "x"
    kept = f"kept = [{value} for x in values if {conditions}]"
    if form == "function":
        return f"def solve(values):\n    {kept}\n    return {content.result.code}"
    read = "n = int(input())\nvalues = list(map(int, input().split()))"
    if content.kind == "words":
        read = "values = input().split()"
    return f"{read}\n{kept}\nprint({content.result.code})"


def explain(content: Content, rng: Random) -> str:
    """A long-CoT path: plan, try it on values, reflect; the program comes after it."""
    values = example(content, rng)
    kept = content.kept(values)
    work = f"keep the {content.kind} that {_conditions(content)}{_changes(content)}"
    lines = [f"Plan: {work}, then {content.result.words}."]
    lines.append(f"Try {_listed(values)}: kept are {_listed(kept)}.")
    if rng.random() < 0.25 and values != kept:
        lines.insert(1, f"Try {_listed(values)}: all are kept. Wait, not all of them: check each one.")
    return "\n".join([*lines, f"That gives {content.answer(values)}. Good."])


def task(content: Content, form: Form, rng: Random) -> Task:
    """The problem's tests: of ordinary values, most with some that are kept; and of a single value."""
    ordinary = [example(content, rng, rng.randint(2, 10)) for _ in range(_CASES - 4)]
    given = [*ordinary, *(_values(content, rng, count) for count in (3, 6, 1, 1))]
    if form == "program":
        return StdioTask(tuple(Case(_typed(content, values), f"{content.answer(values)}\n") for values in given))
    lines = [f"    assert candidate({values!r}) == {content.answer(values)!r}" for values in [*given, []]]
    check = "\n".join(["def check(candidate):", *lines, ""])
    return FunctionTask("solve", check, solution=solution(content, form))


def example(content: Content, rng: Random, count: int = 5) -> list[Any]:
    """Values of which some are kept, if a few tries find such."""
    for _ in range(20):
        values = _values(content, rng, count)
        if content.kept(values):
            break
    return values


def _values(content: Content, rng: Random, count: int) -> list[Any]:
    return rng.choices(_domain(content.kind), k=count)


def _typed(content: Content, values: Sequence[Any]) -> str:
    line = " ".join(map(str, values))
    return f"{len(values)}\n{line}\n" if content.kind == "numbers" else f"{line}\n"


def _listed(values: Sequence[Any]) -> str:
    return " ".join(map(str, values)) or "none"


def _conditions(content: Content) -> str:
    return " and ".join(step.words for step in content.conditions)


def _changes(content: Content) -> str:
    return "".join(f", {step.words}" for step in content.changes)


def _number_condition(rng: Random) -> Step:
    number = rng.randint(-9, 19)
    divisor = rng.randint(3, 9)
    return rng.choice(
        (
            Step("are even", "x % 2 == 0", lambda x: x % 2 == 0),
            Step("are odd", "x % 2 == 1", lambda x: x % 2 == 1),
            Step(f"are multiples of {divisor}", f"x % {divisor} == 0", lambda x: x % divisor == 0),
            Step(f"are greater than {number}", f"x > {number}", lambda x: x > number),
            Step(f"are less than {number}", f"x < {number}", lambda x: x < number),
        )
    )


def _number_change(rng: Random) -> Step:
    number = rng.randint(2, 9)
    return rng.choice(
        (
            Step("square each", "x * x", lambda x: x * x),
            Step("take the absolute value of each", "abs(x)", abs),
            Step(f"multiply each by {number}", f"x * {number}", lambda x: x * number),
            Step(f"add {number} to each", f"x + {number}", lambda x: x + number),
            Step(f"subtract {number} from each", f"x - {number}", lambda x: x - number),
        )
    )


_NUMBER_RESULTS = (
    Step("their sum", "sum(kept)", sum),
    Step("how many there are", "len(kept)", len),
    Step("the largest of them, or 0 if there is none", "max(kept, default=0)", lambda kept: max(kept, default=0)),
    Step("the smallest of them, or 0 if there is none", "min(kept, default=0)", lambda kept: min(kept, default=0)),
    Step("how many different ones there are", "len(set(kept))", lambda kept: len(set(kept))),
)


def _word_condition(rng: Random) -> Step:
    letter = rng.choice("abdeghilnorstwy")
    length = rng.randint(3, 5)
    return rng.choice(
        (
            Step(f"contain the letter {letter}", f"'{letter}' in x", lambda x: letter in x),
            Step(f"do not contain the letter {letter}", f"'{letter}' not in x", lambda x: letter not in x),
            Step(f"start with {letter}", f"x.startswith('{letter}')", lambda x: x.startswith(letter)),
            Step(f"end with {letter}", f"x.endswith('{letter}')", lambda x: x.endswith(letter)),
            Step(f"have more than {length} letters", f"len(x) > {length}", lambda x: len(x) > length),
            Step(f"have exactly {length} letters", f"len(x) == {length}", lambda x: len(x) == length),
        )
    )


def _word_change(rng: Random) -> Step:
    count = rng.randint(2, 4)
    return rng.choice(
        (
            Step("reverse each", "x[::-1]", lambda x: x[::-1]),
            Step("write each in capital letters", "x.upper()", lambda x: x.upper()),
            Step(f"cut each to its first {count} letters", f"x[:{count}]", lambda x: x[:count]),
            Step("double each", "x + x", lambda x: x + x),
        )
    )


_WORD_RESULTS = (
    Step("how many there are", "len(kept)", len),
    Step("their letters counted all together", "len(''.join(kept))", lambda kept: len("".join(kept))),
    Step("all of them joined by -, in order", "'-'.join(kept)", "-".join),
    Step(
        "the alphabetically first of them, or none if there is none",
        "min(kept, default='none')",
        lambda kept: min(kept, default="none"),
    ),
)

_STEPS = {
    "numbers": (_number_condition, _number_change, _NUMBER_RESULTS),
    "words": (_word_condition, _word_change, _WORD_RESULTS),
}
