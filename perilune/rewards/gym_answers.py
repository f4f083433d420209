"""What a scorer of Reasoning Gym may be shown: some of them evaluate an answer as Python, which ours must not do.

A number, a list or a formula is what they ask for; anything that would call, compute or look something up is not.
"""

from __future__ import annotations

import ast
import re
from fractions import Fraction

_PYTHON = frozenset({"binary_matrix", "n_queens", "spiral_matrix", "string_insertion"})
"""They take a Python list too, by eval."""
_FORMULA = frozenset({"countdown", "intermediate_integration", "polynomial_multiplication", "simple_integration"})
"""They read a formula by sympy's parse_expr, which evaluates it."""
_LITERAL = (
    ast.Expression, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Name, ast.Load, ast.UnaryOp, ast.USub,
    ast.UAdd,
)  # fmt: skip
_FORMULA_NODES = (
    ast.Expression, ast.Load, ast.BinOp, ast.UnaryOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.USub, ast.UAdd,
)  # fmt: skip
_FUNCTIONS = frozenset({
    "sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "acot", "asec", "acsc", "sinh", "cosh", "tanh",
    "coth", "sech", "csch", "asinh", "acosh", "atanh", "exp", "log", "ln", "sqrt", "Abs",
})  # fmt: skip
_LARGEST_POWER = 1000
_LONGEST_NUMBER = 200
"""Bits."""
_NUMBER = re.compile(r"[-+]?\d{1,100}(?:\.\d{0,100})?(?:/\d{1,100})?")
_HUGE = re.compile(r"(?<![\w.])[-+]?\d[\d.,_]*[eE][-+]?\d{4,}")
_MANY_TURNS = re.compile(r"\d{3}")
_ROOM = 4096
"""Characters that an answer may be longer than four times the own one."""


def fault_of(task: str, answer: str, own: str) -> str | None:
    """Why the task's scorer is not to see an answer, which is then wrong; None if it may.

    Args:
        task: its name.
        answer: what the response states.
        own: the entry's answer, or "".
    """
    if len(answer) > 4 * len(own) + _ROOM:
        return f"answer of {len(answer)} characters"
    if _HUGE.search(answer) or (task == "rubiks_cube" and _MANY_TURNS.search(answer)):
        return "a number too large to work out"
    if _is_another_number(answer, own):
        return f"{answer}: another number than {own}"
    if task in _PYTHON and _computes(answer):
        return "an expression to evaluate, not an answer"
    if task in _FORMULA and not _is_formula(answer):
        return "not a formula of numbers, names, + - * / ** and known functions"
    return None


def _is_another_number(answer: str, own: str) -> bool:
    """Whether both are numbers, and differ by more than rounding: one scorer takes the first digits for the whole."""
    texts = [text.strip().replace(",", "") for text in (answer, own)]
    if not all(map(_NUMBER.fullmatch, texts)):
        return False
    try:
        told, meant = map(Fraction, texts)
    except (ValueError, ZeroDivisionError):
        return False
    return abs(told - meant) > abs(meant) / 100 + Fraction(1, 10_000)


def _parsed(answer: str) -> ast.Expression | None:
    try:
        return ast.parse(answer, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _computes(answer: str) -> bool:
    """Whether Python would do more than build a value; what is no Python is harmless."""
    tree = _parsed(answer)
    return tree is not None and not all(isinstance(node, _LITERAL) for node in ast.walk(tree))


def _is_formula(answer: str) -> bool:
    tree = _parsed(answer)
    if tree is None:
        return False
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return all(_is_part(node, named=id(node) in functions) for node in ast.walk(tree))


def _is_part(node: ast.AST, *, named: bool) -> bool:
    """Whether a formula may hold this node; ``named`` tells that it names a function that is called."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float) or (type(node.value) is int and node.value.bit_length() <= _LONGEST_NUMBER)
    if isinstance(node, ast.Name):
        return node.id in _FUNCTIONS if named else "__" not in node.id
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and not node.keywords
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _is_small(node.right) and not _holds_power(node.left)
    return isinstance(node, _FORMULA_NODES)


def _is_small(exponent: ast.expr) -> bool:
    """Whether numbers to this power can be written out; what depends on a name is left to algebra."""
    if isinstance(exponent, ast.Constant):
        return isinstance(exponent.value, int | float) and abs(exponent.value) <= _LARGEST_POWER
    if isinstance(exponent, ast.UnaryOp):
        return _is_small(exponent.operand)
    if isinstance(exponent, ast.BinOp) and not _has_name(exponent):
        quiet = isinstance(exponent.op, ast.Add | ast.Sub | ast.Div)
        return quiet and _is_small(exponent.left) and _is_small(exponent.right)
    return _has_name(exponent) and not _holds_power(exponent)


def _holds_power(tree: ast.expr) -> bool:
    """Whether there is a power of a number in it."""
    powers = (node for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow))
    return any(not _has_name(power.left) for power in powers)


def _has_name(tree: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) for node in ast.walk(tree))
