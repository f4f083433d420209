"""Gradings per second of processor time: the reward math against math-verify called bare, on the same pairs in one run.

Half of the pairs are GSM8K's: the answer of a worked solution, and the solution as a response. The others are like
MATH's: fractions, roots, polynomials, intervals, tuples, lists, logarithms, units, text and the like, at the end of
some working. A third of all responses is wrong. math-verify is called as its page says: a reference in dollars, default
settings, time limits off as in a worker that is bounded from outside. The two take turns.

Cold: all caches that keep values are emptied before each pass, those of sympy too. Warm: the same pass once more, as
where many responses are graded against one reference. Usage:

    python benchmarks/math_grading.py --data gsm8k_train.jsonl [--pairs 400] [--rounds 5] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import logging
import pstats
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import math_verify.parser
from math_verify import parse, verify
from sympy.core.cache import clear_cache

from perilune.rewards.equality import algebra, reading
from perilune.rewards.math import MathReward
from perilune.types import Message, Problem, Stop, Verdict

logging.getLogger("math_verify").setLevel(logging.ERROR)
WORKING = "We collect the terms on one side, so that $4x + 5 = 17$, and divide by 4, which leaves $x = 3$.\n"


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference, a response, and whether the response is right."""

    reference: str
    response: str
    right: bool


Grader = Callable[[Pair], bool]


def gsm8k(path: Path, count: int, rng: Random) -> list[Pair]:
    """Worked solutions as responses; of every third the answer is another."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = []
    for number, row in enumerate(rng.sample(rows, count)):
        working, _, answer = row["answer"].partition("####")
        answer = answer.strip()
        right = number % 3 != 2
        said = answer if right else str(int(answer.replace(",", "")) + rng.randint(1, 9))
        ending = (f"The answer is $\\boxed{{{said}}}$.", f"The final answer is ${said}$.")[number % 2]
        pairs.append(Pair(answer, f"{working}\n{ending}", right))
    return pairs


def like_math(count: int, rng: Random) -> list[Pair]:
    """Expressions, each written in two ways, at the end of some working; of every third the answer is another."""
    pairs = []
    for number in range(count):
        reference, same, other = FORMS[number % len(FORMS)](rng)
        right = number % 3 != 2
        said = same if right else other
        pairs.append(Pair(reference, f"{WORKING * rng.randint(2, 12)}Thus the answer is $\\boxed{{{said}}}$.", right))
    return pairs


def _fraction(rng: Random) -> tuple[str, str, str]:
    a, b = rng.randint(1, 99), rng.randint(2, 99)
    return rf"\frac{{{a}}}{{{b}}}", rf"\dfrac{{{2 * a}}}{{{2 * b}}}", rf"\frac{{{a + 1}}}{{{b}}}"


def _whole(rng: Random) -> tuple[str, str, str]:
    a = rng.randint(-999, 9999)
    return str(a), f"{a}", f"{a + rng.randint(1, 5)}"


def _root(rng: Random) -> tuple[str, str, str]:
    a, b = rng.randint(2, 19), rng.choice((2, 3, 5, 7, 11))
    return rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b}}}", rf"{a + 1}\sqrt{{{b}}}"


def _polynomial(rng: Random) -> tuple[str, str, str]:
    a, b = rng.randint(1, 9), rng.randint(10, 19)
    return f"x^2-{a + b}x+{a * b}", f"(x-{a})(x-{b})", f"(x-{a})(x+{b})"


def _interval(rng: Random) -> tuple[str, str, str]:
    a, b = rng.randint(-9, 0), rng.randint(1, 9)
    return f"[{a},{b})", rf"\left[{a}, {b}\right)", rf"\left({a}, {b}\right)"


def _pair(rng: Random) -> tuple[str, str, str]:
    a, b = rng.randint(-9, 9), rng.randint(10, 19)
    return f"({a},{b})", rf"\left({a}, {b}\right)", f"({b}, {a})"


def _listed(rng: Random) -> tuple[str, str, str]:
    a, b, c = rng.sample(range(-20, 20), 3)
    return f"{a}, {b}, {c}", f"{c}, {a}, {b}", f"{a}, {b}, {c + 41}"


def _circle(rng: Random) -> tuple[str, str, str]:
    a, b = rng.randint(2, 40), rng.randint(3, 9)
    return rf"\frac{{{a}\pi}}{{{b}}}", rf"\frac{{{a}}}{{{b}}}\pi", rf"\frac{{{a}\pi}}{{{b + 1}}}"


def _complex(rng: Random) -> tuple[str, str, str]:
    a, b = rng.randint(1, 20), rng.randint(2, 20)
    return f"{a}+{b}i", f"{b}i + {a}", f"{a}-{b}i"


def _centimetres(rng: Random) -> tuple[str, str, str]:
    a = rng.randint(2, 400)
    return rf"{a}\text{{ cm}}", rf"{a}\mbox{{ cm}}", rf"{a + 1}\text{{ cm}}"


def _degrees(rng: Random) -> tuple[str, str, str]:
    a = rng.randint(2, 179)
    return rf"{a}^\circ", rf"{a}^{{\circ}}", rf"{a + 1}^\circ"


def _word(rng: Random) -> tuple[str, str, str]:
    said, other = rng.sample(("even", "odd", "neither", "ellipse", "circle", "Tuesday", "Evelyn", "hyperbola"), 2)
    return rf"\text{{{said}}}", rf"\text{{{said}}}", rf"\text{{{other}}}"


def _matrix(rng: Random) -> tuple[str, str, str]:
    a, b, c, d = (rng.randint(-9, 9) for _ in range(4))
    whole = r"\begin{{pmatrix}} {} & {} \\ {} & {} \end{{pmatrix}}"
    return whole.format(a, b, c, d), whole.format(a, b, c, d).replace(" ", "  "), whole.format(a, b, c, d + 1)


def _line(rng: Random) -> tuple[str, str, str]:
    a, b = rng.randint(2, 9), rng.randint(1, 9)
    return f"y={a}x+{b}", f"y = {b} + {a}x", f"y = {a}x - {b}"


def _logarithm(rng: Random) -> tuple[str, str, str]:
    a, b = rng.randint(2, 9), rng.randint(2, 5)
    return rf"\frac{{\ln {a}}}{{{b}}}", rf"\frac{{1}}{{{b}}}\ln({a})", rf"\frac{{\ln {a + 1}}}{{{b}}}"


def _power(rng: Random) -> tuple[str, str, str]:
    a, b = rng.choice((2, 3, 5)), rng.randint(3, 9)
    return f"{a}^{{{b}}}", str(a**b), str(a**b + 1)


def _rational(rng: Random) -> tuple[str, str, str]:
    a, b = rng.randint(2, 9), rng.randint(1, 9)
    return rf"\frac{{{a}x}}{{x+{b}}}", rf"{a}-\frac{{{a * b}}}{{x+{b}}}", rf"\frac{{{a}x}}{{x-{b}}}"


def _inequality(rng: Random) -> tuple[str, str, str]:
    a = rng.randint(2, 99)
    return rf"x \ge {a}", rf"x \geq {a}", rf"x \le {a}"


# As often as in MATH: more than half of its answers are whole numbers and fractions.
FORMS: tuple[Callable[[Random], tuple[str, str, str]], ...] = (
    *(_whole,) * 12,
    *(_fraction,) * 5,
    *(_root, _root, _polynomial, _polynomial, _interval, _pair, _listed, _circle, _complex, _centimetres, _degrees),
    *(_word, _matrix, _line, _logarithm, _power, _rational, _inequality),
)


def ours(reward: MathReward) -> Grader:
    """The reward math, as a worker calls it."""

    def grade(pair: Pair) -> bool:
        problem = Problem("p", (Message("user", "?"),), pair.reference)
        return reward(problem, pair.response, Stop.ENDED).verdict is Verdict.RIGHT

    return grade


def bare(pair: Pair) -> bool:
    """math-verify's parse and verify with their defaults, without time limits."""
    gold = parse(f"${pair.reference}$", parsing_timeout=None)
    return bool(verify(gold, parse(pair.response, parsing_timeout=None), timeout_seconds=None))


def forget() -> None:
    """Empty every cache that keeps values."""
    clear_cache()
    reading.read.cache_clear()
    algebra._parsed.cache_clear()
    math_verify.parser.parse_latex_cached.cache_clear()
    math_verify.parser.parse_expr_cached.cache_clear()
    math_verify.parser.extract_latex.cache_clear()


def seconds(grade: Grader, pairs: Sequence[Pair]) -> float:
    """Processor time of one pass."""
    begun = time.process_time()
    for pair in pairs:
        grade(pair)
    return time.process_time() - begun


def compare(title: str, graders: dict[str, Grader], pairs: Sequence[Pair], rounds: int) -> None:
    """Rates of both and their ratio, cold and warm; medians over the rounds."""
    for grade in graders.values():
        seconds(grade, pairs[:40])  # Regular expressions are compiled, modules imported.
    spent: dict[tuple[str, str], list[float]] = {(name, kind): [] for name in graders for kind in ("cold", "warm")}
    for _ in range(rounds):
        for name, grade in graders.items():
            forget()
            spent[name, "cold"].append(seconds(grade, pairs))
            spent[name, "warm"].append(seconds(grade, pairs))
    print(f"{title}, {len(pairs)} pairs, medians of {rounds} rounds")
    for kind in ("cold", "warm"):
        mine, theirs = (spent[name, kind] for name in graders)
        ratio = statistics.median(b / a for a, b in zip(mine, theirs, strict=True))
        rates = [f"{name} {len(pairs) / statistics.median(spent[name, kind]):.0f}/s" for name in graders]
        print(f"  {kind}: {', '.join(rates)}: {ratio:.2f} x")


def misjudged(grade: Grader, pairs: Sequence[Pair]) -> Counter[str]:
    """How many verdicts are other than they should be, and which way."""
    return Counter(
        "right for wrong" if not pair.right else "wrong for right" for pair in pairs if grade(pair) != pair.right
    )


def profile(grade: Grader, pairs: Sequence[Pair]) -> None:
    """Where the time of one cold pass goes."""
    forget()
    watch = cProfile.Profile()
    watch.runcall(seconds, grade, pairs)
    pstats.Stats(watch).sort_stats("cumulative").print_stats(40)


def processor() -> str:
    """Its name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="GSM8K's training set, as JSON lines")
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="also say where the reward's time goes")
    options = parser.parse_args()
    rng = Random(0)
    sets = {"GSM8K": gsm8k(options.data, options.pairs // 2, rng), "like MATH": like_math(options.pairs // 2, rng)}
    sets = {"both": [pair for pairs in sets.values() for pair in pairs], **sets}
    graders: dict[str, Grader] = {"the reward math": ours(MathReward()), "math-verify, bare": bare}
    print(f"{processor()}, one core, gradings per second of processor time")
    for title, pairs in sets.items():
        compare(title, graders, pairs, options.rounds)
    for name, grade in graders.items():
        print(f"misjudged by {name}: {dict(misjudged(grade, sets['both'])) or 'none'}")
    if options.profile:
        profile(graders["the reward math"], sets["both"])


if __name__ == "__main__":
    main()
