"""Words beside a value: which of them leave it what it is, and which make another value, or none, of it."""

from __future__ import annotations

import re

# Words that change a number ("18 squared"), offer another ("18 or 19"), or say that it is not the answer.
_CHANGES = """
and or nor not no never none nothing to plus minus times over by than versus vs
half halves third thirds quarter quarters fourth fourths fifth fifths sixth sixths seventh sevenths eighth eighths ninth
ninths tenth tenths twelfth twelfths twentieth twentieths hundredth hundredths thousandth thousandths millionth
millionths hundred hundreds thousand thousands million millions billion billions trillion trillions lakh lakhs crore
crores dozen dozens score scores gross pair pairs couple couples double doubled twice triple tripled thrice quadruple
quadrupled fold squared cubed factorial square-root root roots reciprocal inverse inverted negated negative modulo mod
choose power powers exponent base percentile
one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen zero twenty thirty forty fifty sixty seventy eighty ninety
is are was were isn't wasn't aren't be been being am has have had does do did if unless but except
wrong incorrect false impossible invalid undefined infinite approx maybe perhaps possibly probably unlikely
increased decreased multiplied divided added subtracted raised reduced
instead rather guess guesses unknown unclear cannot can't should would could might may
too many much few fewer less short rounded first second-guess last either neither both
"""
CHANGES = re.compile(
    rf"\b(?:{'|'.join(sorted(map(re.escape, _CHANGES.split()), key=len, reverse=True))})\b", re.IGNORECASE
)

DENIES = re.compile(
    r"\b(?:not|no|never|cannot|can't|isn't|aren't|wasn't|doesn't|don't|didn't|won't|wrong|incorrect|false|impossible"
    r"|invalid|unless|neither|nor|or|either|instead|maybe|perhaps|might|may|could|possibly|if|guess|unlikely|less|fewer"
    r"|more than|greater|at least|at most|over|under|between|below|above|half|twice|double|triple|except|but)\b",
    re.IGNORECASE,
)
_CHINESE_CHANGES = re.compile(r"[万亿千百倍半不或无非多少]|分之|以上|以下")
_PHRASE = re.compile(
    r"\s*(?:[^\W\d_]{2,}(?:[-'’][^\W\d_]+)*|[一-鿿]+|a|of)(?:\s+(?:[^\W\d_]{2,}(?:[-'’][^\W\d_]+)*|[一-鿿]+|a|of)){0,5}\s*"
)
_APPROXIMATE = re.compile(
    r"(?:\\text\{\s*)?(?:\\approx|\\sim(?:eq)?|\\simeq|\\cong(?= *[-\d.])|~(?= *[-\d.])|about\b"
    r"|approximately\b|approx\b\.?|roughly\b|circa\b|ca\.|around\b|exactly\b|precisely\b|only\b|just\b|约为?|大约|=)\s*\}?\s*",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"(?:\\text\{\s*)?(?:(?:so|thus|hence|therefore),?\s+)?(?:the\s+)?(?:final\s+|correct\s+)?(?:answer|solution|result)"
    r"\s*(?:\s+is\s*:?|[:：])\s*\}?\s*",
    re.IGNORECASE,
)


def is_plain_phrase(words: str) -> bool:
    """Whether words after a number are nothing but a noun with what belongs to it: "pens", "red pens a day", ""."""
    if not words.strip():
        return True
    return _PHRASE.fullmatch(words) is not None and not CHANGES.search(words) and not _CHINESE_CHANGES.search(words)


def without_label(text: str) -> str:
    """Without "Answer:" before it, and without a word that says that it is rounded."""
    if label := _LABEL.match(text):
        text = text[label.end() :]
    while about := _APPROXIMATE.match(text):
        text = text[about.end() :]
    return text.strip()
