"""The guess filter (k1.5, section 2.1): what the model gets right without any reasoning is easy to hack.

The paper lets a model guess, and drops a prompt if one of N = 8 guesses is right; its prompt is not published. Ours
shows questions that are answered at once, so that a model of any size answers at once too. Their answers are the
commonest of the reference's kind (0 and 1 for a number, yes and no for a verdict): a guesser tries these first, and
so does the model after such a start. Only a finished answer is a guess: "34 + 27" has the value of 61 and guesses
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from perilune.curation.asking import Answer, Ask, rights
from perilune.curation.fates import Dropped, Reason
from perilune.data.generators import form_to_write, stated
from perilune.rewards.answers import AnswerForm, find_answers
from perilune.rewards.router import BUILT_IN
from perilune.types import Message, Problem

_NUMBERS = (
    ("How many moons does the Earth have?", "1"),
    ("How many legs does a snake have?", "0"),
    ("Write 1 if Paris is in France and 0 if it is not.", "1"),
    ("What is 5 - 5?", "0"),
    ("What is the remainder when 7 is divided by 3?", "1"),
    ("A lamp is off (0). Its switch is pressed twice. Give its state.", "0"),
    ("Let b be 1 if 9 is more than 12 and 0 otherwise. What is b?", "0"),
    ("How many of the numbers 3, 8 and 9 are even?", "1"),
    ("Give 1 if a square has five corners, else 0.", "0"),
    ("How many noses does a dog have?", "1"),
    ("What is the remainder when 30 is divided by 5?", "0"),
)
_VERDICTS = (
    ("Is ice colder than steam?", "yes"),
    ("Is 15 an even number?", "no"),
    ("Can birds lay eggs?", "yes"),
    ("Is 12 less than 5?", "no"),
    ("Does a square have five corners?", "no"),
    ("Is 3 + 4 equal to 7?", "yes"),
)
_WORDS = (
    ("What is the capital of France?", "Paris"),
    ("Which is colder, ice or steam?", "ice"),
    ("Is 15 even or odd?", "odd"),
    ("What is the opposite of left?", "right"),
    ("Who is taller if Ann is shorter than Ben?", "Ben"),
    ("What colour is fresh snow?", "white"),
)
_SAID = frozenset({"yes", "no", "true", "false", "是", "否", "对", "错", "正确", "错误"})
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*)?\.?\d+(?:/\d+)?")
_NUMBER_ALONE = re.compile(rf"[$€£¥]?\s*({_NUMBER.pattern})\s*(?:%|[^\W\d]+(?: [^\W\d]+)?)?")

NOT_GUESSED = frozenset(name for name, known in BUILT_IN.items() if known.reference == "construction")
"""Rewards of answers that are constructions, a program or an expression: to guess one is to solve the problem."""


def guess_prompt(problem: Problem) -> Problem:
    """The problem, asked so that the model answers at once.

    Args:
        problem: as it came, without the recipe's prompt template, which may ask for reasoning.
    """
    shown = tuple(
        Message(role, text)
        for question, answer in _shots(problem.answer)
        for role, text in (("user", question), ("assistant", answer))
    )
    return replace(problem, messages=(*shown, *problem.messages))


def _shots(reference: str) -> tuple[tuple[str, str], ...]:
    """(question, answer) pairs of the reference's kind."""
    if _is_number(reference):
        return _NUMBERS
    return _VERDICTS if reference.strip().casefold() in _SAID else _WORDS


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip().lstrip("$")) is not None


def guess_of(text: str, reference: str) -> str:
    """The answer within a guess; "" if there is none.

    The first line counts, what follows its last equals sign, without a full stop. Where the reference is a number, so
    must the guess be, with a unit at most.
    """
    found = find_answers(text, "any")
    line = found[0].text if found else text.strip().split("\n", 1)[0]
    guess = line.rpartition("=")[2].strip().rstrip(".。!").strip()
    if _is_number(reference):
        number = _NUMBER_ALONE.fullmatch(guess)
        return number.group(1) if number else ""
    return guess


def stated_guess(form: AnswerForm) -> Callable[[Problem, str], str]:
    """What a reward is given for a guess: the guess in the answer form of the recipe."""

    def state(problem: Problem, text: str) -> str:
        guess = guess_of(text, problem.answer)
        if not guess:
            return ""
        return stated(guess, form_to_write(form))

    return state


def find_guessed(asks: Sequence[Ask], answers: dict[str, tuple[Answer, ...]]) -> list[Dropped]:
    """The problems with a right guess among their answers."""
    dropped = []
    for ask in asks:
        right = rights(answers[ask.problem.id])
        if right:
            detail = f"guessed {right} of {len(answers[ask.problem.id])} times without reasoning"
            dropped.append(Dropped(ask.problem, Reason.GUESSABLE, detail))
    return dropped
