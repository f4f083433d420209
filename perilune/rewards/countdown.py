"""The countdown reward: an expression that uses each given number once and reaches the target."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from fractions import Fraction

from perilune.rewards.answers import MAX_ANSWER_CHARACTERS, AnswerForm, find_answers, sole_box
from perilune.types import Explanation, Grade, Problem, Stop, Verdict

_ALLOWED = re.compile(r"[0-9+\-*/() ]+")
_SYMBOLS = {"\\times": "*", "\\cdot": "*", "\\div": "/", "×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"}
_MARKS = re.compile(r"\\left|\\right|\\[()\[\]]|\\?\$|`")
_TARGET = re.compile(r"[-+]?\d+(?:/[1-9]\d*|\.\d+)?")


class CountdownReward:
    """Right if the response's last answer is such an expression; "= target" may follow it.

    ``Problem.answer`` is JSON, ``{"numbers": [3, 5, 7, 9], "target": 24}``, or one solution, ``(9 - 3) * (7 - 5)``,
    whose numbers and value are then the given ones.

    Args:
        answer_form: where the answer must be.
        format_weight: score of a wrong answer that is in the right form; a right answer scores 1.
        thinking_counts: whether an answer may stand inside the thinking.
    """

    def __init__(
        self, answer_form: AnswerForm = "any", format_weight: float = 0.0, *, thinking_counts: bool = False
    ) -> None:
        self._answer_form = answer_form
        self._format_weight = format_weight
        self._thinking_counts = thinking_counts

    def __call__(self, problem: Problem, response: str, stop: Stop) -> Grade:
        """Grade the response; a reference that cannot be read is an error."""
        return self.explain(problem, response, stop).grade

    def check_reference(self, problem: Problem) -> None:
        """Raise ValueError unless the reference holds numbers and a target."""
        read_reference(problem.answer)

    def explain(self, problem: Problem, response: str, stop: Stop) -> Explanation:
        """The grade, and how it came about."""
        try:
            numbers, target = read_reference(problem.answer)
        except ValueError as error:
            grade = Grade(Verdict.ERROR, 0.0, f"reference answer {problem.answer!r}: {error}")
            return Explanation(grade, rule="the reference cannot be read")
        reference = f"{', '.join(map(str, numbers))}, each once, make {target}"
        answers = find_answers(response, self._answer_form, in_thinking=self._thinking_counts)
        if not answers:
            grade = Grade(Verdict.WRONG, 0.0, "no answer found")
            return Explanation(grade, reference=reference, rule="no answer found")
        found = answers[-1]
        if len(found.text) > MAX_ANSWER_CHARACTERS:
            grade = Grade(Verdict.WRONG, 0.0, f"answer of {len(found.text)} characters")
            return Explanation(grade, found.text, found.mark, reference, rule="too long for an answer")
        grade = self._judged(found.text, numbers, target)
        return Explanation(grade, found.text, found.mark, reference, _normalised(found.text), "exact arithmetic")

    def _judged(self, answer: str, numbers: Sequence[int], target: Fraction) -> Grade:
        try:
            check_solution(answer, numbers, target)
        except ValueError as error:
            return Grade(Verdict.WRONG, self._format_weight, f"{answer}: {error}")
        return Grade(Verdict.RIGHT, 1.0, answer)


def read_reference(answer: str) -> tuple[list[int], Fraction]:
    """Numbers and target from a problem's reference answer.

    Raises:
        ValueError: it is neither the JSON object nor an expression.
    """
    if not answer.lstrip().startswith("{"):
        value, numbers = evaluate(answer)
        return numbers, value
    record = json.loads(answer)
    numbers, target = record.get("numbers"), record.get("target")
    if not isinstance(numbers, list) or not numbers or not all(type(number) is int for number in numbers):
        raise ValueError("'numbers' must be a list of whole numbers")
    if type(target) not in (int, str) or not _TARGET.fullmatch(str(target)):
        raise ValueError("'target' must be a whole number, or a fraction or decimal as text")
    return numbers, Fraction(target)


def check_solution(answer: str, numbers: Sequence[int], target: Fraction) -> None:
    """Raise ValueError, saying what is wrong, unless the answer uses the numbers once each and gives the target."""
    expression, *results = (part.strip() for part in _normalised(answer).split("="))
    value, used = evaluate(expression)
    if sorted(used) != sorted(numbers):
        raise ValueError(f"uses {sorted(used)} instead of {sorted(numbers)}")
    if value != target:
        raise ValueError(f"gives {value} instead of {target}")
    if len(results) > 1 or any(not _TARGET.fullmatch(result) or Fraction(result) != target for result in results):
        raise ValueError(f"claims to equal {' = '.join(results)}")


def evaluate(expression: str) -> tuple[Fraction, list[int]]:
    """Exact value of an expression of whole numbers, + - * / and parentheses, and the numbers in it.

    Parsed, never executed; at most 200 characters.

    Raises:
        ValueError: it is anything else, too long, or divides by zero.
    """
    text = _normalised(expression)
    if len(text) > MAX_ANSWER_CHARACTERS or not _ALLOWED.fullmatch(text):
        raise ValueError("not an expression of whole numbers, + - * / and parentheses")
    try:
        body = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError("not a well-formed expression") from None
    numbers: list[int] = []
    return _value(body, numbers), numbers


def _value(node: ast.expr, numbers: list[int]) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        numbers.append(node.value)
        return Fraction(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, numbers)
    if not isinstance(node, ast.BinOp):
        raise ValueError("only + - * / and parentheses are allowed")
    left, right = _value(node.left, numbers), _value(node.right, numbers)
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Sub):
        return left - right
    if isinstance(node.op, ast.Mult):
        return left * right
    if isinstance(node.op, ast.Div):
        if right == 0:
            raise ValueError("divides by zero")
        return left / right
    raise ValueError("only + - * / and parentheses are allowed")


def _normalised(text: str) -> str:
    text = _MARKS.sub(" ", sole_box(text.strip()))
    for symbol, operator in _SYMBOLS.items():
        text = text.replace(symbol, operator)
    return text.strip().rstrip(".").rstrip()
