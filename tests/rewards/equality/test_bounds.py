"""Answers that would take an algebra system very long are wrong at once: the time limit of every test is the bound."""

import pytest

from perilune.rewards.math import MathReward
from perilune.types import Message, Problem, Stop, Verdict

LARGE = [
    r"9^{9^{9^{9}}}",
    r"(10^{9})!",
    r"x+10^{9}!",
    r"x+\binom{99999999}{5000000}",
    r"x^{99999999}",
    r"(x+1)^{9999}",
    r"\sum_{k=1}^{99999999} k",
    r"e^{e^{e^{e^{9}}}}",
    r"(a+b+c+d)^{60}=1",
    r"x^{5000}+x^{4999}=3",
    r"\sin^{99}(x)>\cos(x^9)",
    "+".join(["x"] * 90),
    "(" * 90 + "x" + ")" * 90,
    "0." + "142857" * 30,
    "1," * 90 + "1",
    "1=" * 90 + "1",
]


@pytest.mark.parametrize("answer", LARGE)
@pytest.mark.parametrize("reference", ["18", "x^2+1", "x^2+y^2=4", "x^3-x>2", r"\begin{pmatrix}1\\2\end{pmatrix}"])
def test_what_is_too_large_is_wrong_at_once(reference, answer):
    problem = Problem("p", (Message("user", "how much?"),), reference)
    assert MathReward()(problem, rf"\boxed{{{answer}}}", Stop.ENDED).verdict is Verdict.WRONG


def test_what_is_too_large_equals_itself():
    problem = Problem("p", (Message("user", "how much?"),), "10^{10^{10}}")
    assert MathReward()(problem, r"\boxed{10^{10^{10}}}", Stop.ENDED).verdict is Verdict.RIGHT
    assert MathReward()(problem, r"\boxed{10^{10^{9}}}", Stop.ENDED).verdict is Verdict.WRONG
