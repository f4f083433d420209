"""What scorers that evaluate an answer are shown, and what not; needs no Reasoning Gym."""

import pytest

from perilune.rewards.gym_answers import fault_of


@pytest.mark.parametrize(
    "answer", ["1 2 3\n4 5 6", "[1, 2, 3]", "[['_', 'Q'], ['Q', '_']]", "ABC", "(", "-5", "{}", "a.b c"]
)
def test_python_that_only_builds_a_value_is_shown(answer):
    assert fault_of("n_queens", answer, "x") is None


@pytest.mark.parametrize(
    "answer",
    ["f(1)", "[1 + 1]", "[i for i in (1, 2)]", "a.b", "a[0]", "lambda: 1", "f'{a}'", "a if a else b", "(a := 1)"],
)
def test_python_that_computes_is_not_shown_to_a_scorer_that_evaluates(answer):
    assert fault_of("n_queens", answer, "x") == "an expression to evaluate, not an answer"
    assert fault_of("emoji_mystery", answer, "x") is None


@pytest.mark.parametrize(
    "answer",
    [
        "x**2/2 + C", "-3*x*exp(2*x) + sin(x)**2", "sqrt(1 - x**2) + x*asin(x)", "2**10", "x**(1/2)", "E**(-x)",
        "(x + 1)**3*(x - 1)", "-2.5*z**-3", "log(x, 2)",
    ],
)  # fmt: skip
def test_formulas_are_shown(answer):
    assert fault_of("polynomial_multiplication", answer, "x") is None


@pytest.mark.parametrize(
    "answer",
    [
        "print(1)", "x.diff(x)", "x[0]", "lambda x: x", "'x'", "x__y", "sin(x=1)", "x == 1", "3!", "x; y", "[x]",
        "sin(*x)", "2**2000", "2**3**3", "(2**3)**9", "x**(2**9)", "9" * 300,
    ],
)  # fmt: skip
def test_what_is_no_formula_or_too_large_is_not_shown(answer):
    assert fault_of("polynomial_multiplication", answer, "x") == (
        "not a formula of numbers, names, + - * / ** and known functions"
    )


@pytest.mark.parametrize(
    ("answer", "own", "other"),
    [
        ("0", "0.25", True), ("0.2", "0.25", True), ("1/4", "0.25", False), ("0.33", "1/3", False),
        ("1,000", "1000", False), ("10", "1", True), ("-7", "7", True), ("4 days", "5 days", False),
        ("1/0", "3", False), ("0", "0.00001", False),
    ],
)  # fmt: skip
def test_another_number_is_wrong_and_rounding_is_not(answer, own, other):
    assert (fault_of("coin_flip", answer, own) == f"{answer}: another number than {own}") is other


def test_sizes_are_bounded():
    assert fault_of("gcd", "9" * 5000, "9") == "answer of 5000 characters"
    assert fault_of("palindrome_partitioning", "9" * 5000, "9" * 4000) is None
    assert (
        fault_of("gcd", "1e99999", "3") == fault_of("rubiks_cube", "F2 R1234", "") == "a number too large to work out"
    )
    assert fault_of("bitwise_arithmetic", "0x1e1234", "0x1e1235") is None
