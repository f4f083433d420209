"""The math reward: the answer found where it belongs, compared with the reference by ``math-verify``."""

from __future__ import annotations

import logging
import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from math_verify import LatexExtractionConfig, parse, verify

from perilune.rewards.answers import MAX_ANSWER_CHARACTERS, AnswerForm, last_answer, sole_box
from perilune.types import Grade, Problem, Stop, Verdict

# It warns in every process that its time limits are off. They rely on SIGALRM; the grading pool bounds the time.
logging.getLogger("math_verify").setLevel(logging.ERROR)

_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?"
_PLAIN_NUMBER = re.compile(_NUMBER)
_NUMBER_AND_UNIT = re.compile(rf"({_NUMBER})\s+([A-Za-z]+(?: [A-Za-z]+){{0,2}})")
# Words after a number that are no unit: they change its value, or offer another one.
_NOT_UNITS = re.compile(
    r"\b(?:an?|and|or|not|to|plus|minus|times|over|by|hal(?:f|ves)|(?:third|quarter|fourth|fifth|sixth|tenth)s?"
    r"|(?:hundred|thousand|million|billion|trillion|dozen|percent)s?|(?:twen|thir|for|fif|six|seven|eigh|nine)ty"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|zero)\b",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[A-Za-z]{4,}(?: [A-Za-z]+)*")
_EQUALS = re.compile(r"(?<![\\<>!:=])=(?!=)")
_NAME = re.compile(r"[A-Za-z\\][A-Za-z\\{}_ ']*\d?\}?(?:\([A-Za-z, ]*\))?")
# math-verify reads "17 1" as 17 + 1, and "1 1/2" as (1 + 1)/2: the first is no number, the second is a mixed one.
_NUMBERS_IN_A_ROW = re.compile(r"\d(?:\s|~|\\[ ;:]|\\q?quad)+\{?\d")
_MIXED_NUMBER = re.compile(r"(?<![\d./])(\d+)\s+(\d+)\s*/\s*(\d+)")
_DELIMITERS = re.compile(r"\\[()\[\]]|\\?\$|\\boxed|\*\*|`")
_WRAPPED_WORDS = re.compile(r"\\(?:text|mathrm|textbf)\{([^{}\\]*)\}")


class MathReward:
    """Right if the response's last answer equals the reference, as a value (a²-4 and (a+2)(a-2) are equal).

    Args:
        answer_form: where the answer must be.
        format_weight: score of a wrong answer that is in the right form; a right answer scores 1.
    """

    def __init__(self, answer_form: AnswerForm = "any", format_weight: float = 0.0) -> None:
        self._answer_form = answer_form
        self._format_weight = format_weight

    def __call__(self, problem: Problem, response: str, stop: Stop) -> Grade:
        """Grade the response.

        A response without an answer, with an unreadable one, or one of more than 200 characters is wrong; a reference
        that cannot be read, or a comparison that fails, is an error.
        """
        answer = last_answer(response, self._answer_form)
        if answer is None:
            return Grade(Verdict.WRONG, 0.0, "no answer found")
        if len(answer) > MAX_ANSWER_CHARACTERS:
            return Grade(Verdict.WRONG, 0.0, f"answer of {len(answer)} characters")
        try:
            right = equal_answers(problem.answer, answer)
        except Exception as error:
            return Grade(Verdict.ERROR, 0.0, f"{type(error).__name__}: {error}")
        if right:
            return Grade(Verdict.RIGHT, 1.0, answer)
        return Grade(Verdict.WRONG, self._format_weight, answer)


def equal_answers(reference: str, answer: str) -> bool:
    """Whether the two are the same value.

    Raises:
        ValueError: the reference cannot be read.
        Exception: whatever math-verify fails with; that says nothing about the answer.
    """
    reference, answer = _cleaned(reference), _cleaned(answer)
    if not reference:
        raise ValueError("the reference answer is empty")
    if _WORDS.fullmatch(reference):
        return reference.casefold() == answer.casefold()
    if reference == answer:
        return True
    parts = _EQUALS.split(answer)
    if len(parts) == 1:
        return _equal_values(reference, answer)
    if _EQUALS.search(reference):
        return len(parts) == 2 and _equal_values(reference, answer)
    # "x = 18" and "6 * 3 = 18" give one value, "17 = 18" does not.
    *left, last = (part.strip() for part in parts)
    return _equal_values(reference, last) and all(_NAME.fullmatch(p) or _equal_values(reference, p) for p in left)


def _equal_values(reference: str, answer: str) -> bool:
    wanted, given = _plain_number(reference), _plain_number(answer)
    if wanted is not None and given is None:
        given = _number_with_unit(answer)
    if wanted is not None and given is not None:
        return wanted == given
    parsed_reference = _parsed(reference)
    if not parsed_reference:
        raise ValueError(f"the reference answer {reference!r} cannot be read as mathematics")
    if not _balanced(answer) or _NUMBERS_IN_A_ROW.search(answer):
        return False
    parsed_answer = _parsed(answer)
    return bool(parsed_answer) and verify(parsed_reference, parsed_answer, timeout_seconds=None, raise_on_error=True)


def _cleaned(text: str) -> str:
    """Without what stands around mathematics: delimiters, currency, bold marks, the full stop."""
    text = _DELIMITERS.sub(" ", sole_box(text.strip())).replace("−", "-").replace("{,}", ",")
    text = text.replace("\\,", "").replace("\\!", "").strip()
    if words := _WRAPPED_WORDS.fullmatch(text):
        text = words.group(1).strip()
    return _MIXED_NUMBER.sub(r"\1 \\frac{\2}{\3}", text.rstrip(".,;").strip())


def _plain_number(text: str) -> Fraction | None:
    if not any(map(str.isdigit, text)) or not text.isascii() or not _PLAIN_NUMBER.fullmatch(text):
        return None
    return Fraction(text.replace(",", ""))


def _number_with_unit(text: str) -> Fraction | None:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None or _NOT_UNITS.search(match.group(2)):
        return None
    return _plain_number(match.group(1))


def _balanced(text: str) -> bool:
    """Whether every brace closes within the text, so that it cannot break out of the box it is parsed in."""
    depth = 0
    for mark in re.findall(r"\\.|[{}]", text):
        depth += (mark == "{") - (mark == "}")
        if depth < 0:
            return False
    return depth == 0 and not text.endswith("\\")


@lru_cache(maxsize=4096)
def _parsed(text: str) -> list[Any]:
    expressions: list[Any] = parse(
        f"\\boxed{{{text}}}",
        extraction_config=[LatexExtractionConfig(boxed_match_priority=0)],
        fallback_mode="no_fallback",
        parsing_timeout=None,
        raise_on_error=True,
    )
    return expressions
