"""The four behaviours of long-CoT reasoning (k1.5, section 2.2), found in a text by markers in their context.

A word alone is no behaviour: a marker counts where a sentence begins with it or says what the writer does, and where
what must follow it does follow: a plan has steps and stands near the beginning, a check shows what it checks, a second
thought corrects something, another way is gone, and neither says again what was said before. English and Chinese. It is
a measure by rule: it finds how thoughts are told, not whether they are deep.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Behaviour(StrEnum):
    """What a long-CoT response shows (k1.5, section 2.2)."""

    PLANNING = "planning"
    """Outlines the steps before taking them."""
    EVALUATION = "evaluation"
    """Checks or criticises intermediate steps."""
    REFLECTION = "reflection"
    """Reconsiders a step and corrects it."""
    EXPLORATION = "exploration"
    """Goes another way."""


def behaviours(text: str) -> frozenset[Behaviour]:
    """The behaviours that a response shows."""
    return frozenset(behaviour for behaviour, found in evidence(text).items() if found)


def evidence(text: str) -> Mapping[Behaviour, tuple[str, ...]]:
    """The passages that show each behaviour, in order; a passage that is repeated word for word counts once."""
    sentences = list(_sentences(text))
    found: dict[Behaviour, dict[str, None]] = {behaviour: {} for behaviour in Behaviour}
    for sentence in sentences:
        for behaviour, shows in _TESTS.items():
            passage = shows(sentence)
            if passage is not None:
                found[behaviour].setdefault(" ".join(passage.split()))
    return {behaviour: tuple(passages) for behaviour, passages in found.items()}


def counts(text: str) -> dict[Behaviour, int]:
    """How often a response shows each behaviour."""
    return {behaviour: len(passages) for behaviour, passages in evidence(text).items()}


_OPENING = 400
"""Characters within which a plan must begin; in a short text, its first half."""
_REACH = 200
"""Characters after a marker within which what it announces must come."""

# A sentence ends with its mark, but not within 3.5 or "e.g. 4"; a line always ends one.
_ENDS = re.compile(r"(?:[.!?](?=\s|$)|[。！？]|\n)+")
_LIST_MARK = re.compile(r"^[\s*#>_-]*(?:\(?\d{1,2}[.)]\s+)?[*_]*")
_EQUATION = re.compile(r"\d[^\n=≈]{0,60}[=≈]\s*[-$\\(]*\s*\d|=\s*[-$\\(]*\w|[≠<>≤≥]\s*\d")
_DIGIT = re.compile(r"\d")
_PLAIN_EQUATION = re.compile(r"[\d(][^\n=≈,;:]*[=≈]\s*[-$\\(]*\d[\d.,]*")


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    """Without list and bold marks before it."""
    start: int
    """Its place in the response."""
    before: str
    """What stands before it."""
    rest: str
    """What follows it, as far as a marker reaches."""
    rest_of_line: str
    length: int
    """Of the whole response."""


def _computes(text: str, before: str) -> bool:
    """Whether there is an equation, and one that was not written before."""
    if not _EQUATION.search(text):
        return False
    plain = [_squeezed(equation) for equation in _PLAIN_EQUATION.findall(text)]
    written = {_squeezed(equation) for equation in _PLAIN_EQUATION.findall(before)}
    return not plain or any(equation not in written for equation in plain)


def _squeezed(equation: str) -> str:
    return re.sub(r"\s", "", equation).rstrip(".,")


def _sentences(text: str) -> Iterator[_Sentence]:
    start = 0
    for end in [*(match.end() for match in _ENDS.finditer(text)), len(text)]:
        sentence = _LIST_MARK.sub("", text[start:end]).strip()
        if sentence:
            rest = text[end : end + _REACH]
            line = "" if text[start:end].endswith("\n") else rest.split("\n", 1)[0]
            yield _Sentence(sentence, start, text[:start], rest, line, len(text))
        start = end


_PLAN = re.compile(
    r"^(?:(?:my |the |our |here is (?:my |the |a )?)?plan(?: of (?:the )?(?:steps|solution))?\b(?: is\b)?[*_]*\s*:?"
    r"|(?:let me|let us|let's|we|i)(?:'ll| will| can| should| need to)? (?:first )?(?:plan|outline)\b"
    r"|(?:the |my |our )?(?:strategy|approach|outline|steps)[*_]*\s*(?::|is\b|are\b)"
    r"|(?:计划|规划|思路|步骤|解题思路|解题步骤)(?:如下|是|为)?\s*[:：，,])",
    re.IGNORECASE,
)
# "First …, then …" outlines steps unless it already computes them.
_STEPS = re.compile(
    r"^(?:first|to (?:solve|find|answer|get)|we (?:need|have|will)|i (?:need|have|will)|i'll|we'll)\b.*"
    r"\b(?:then|next|after that|finally|second(?:ly)?)\b"
    r"|^(?:首先|先|我们先|第一步).*(?:然后|再|接着|接下来|最后|第二步)",
    re.IGNORECASE | re.DOTALL,
)


def _planning(sentence: _Sentence) -> str | None:
    if sentence.start > min(_OPENING, max(sentence.length // 2, 60)):
        return None
    if marker := _PLAN.match(sentence.text):
        outline = sentence.text[marker.end() :].strip(" :：*_\n") or sentence.rest.strip().split("\n", 1)[0]
        return sentence.text if _is_outline(outline) else None
    return sentence.text if _STEPS.match(sentence.text) and not _EQUATION.search(sentence.text) else None


def _is_outline(text: str) -> bool:
    """Three words, or six Chinese characters: a plan says something."""
    return len(re.findall(r"[A-Za-z]{2,}", text)) >= 3 or len(re.findall(r"[\u4e00-\u9fff]", text)) >= 6


_CHECK = re.compile(
    r"^(?:(?:so|now|and|then|again|finally),? )?"
    r"(?:(?:let me|let's|let us|we|i|we can|i can)(?: now)? (?:quickly |also )?"
    r"(?:double[- ]?|re-?)?(?:check|verify|test)\b"
    r"|(?:to|as a|quick|sanity|a quick) ?(?:double[- ]?|sanity )?(?:check|verify)\b"
    r"|(?:double[- ]?)?(?:check|checking|verify|verifying|verification)\b(?: [^.:]{0,40})?[*_]*\s*[:,.—–-]"
    r"|(?:does|do|is|is it|would) (?:this|that|it|the \w+)[^?]{0,40} (?:make sense|reasonable|right|correct|work|fit)"
    r"|(?:substitut|plug)\w* [^.]{0,40}\bback\b|working backwards?\b|going back(?:wards)?\b"
    r"|(?:让我们?|我们|现在|再|来)?(?:来)?(?:检查|验算|检验|验证|核对|检验一下|代入))",
    re.IGNORECASE,
)
_BUT_PLANNED = re.compile(r"\b(?:later|at the end|afterwards)\b", re.IGNORECASE)


def _evaluation(sentence: _Sentence) -> str | None:
    marker = _CHECK.match(sentence.text)
    if marker is None or _BUT_PLANNED.search(sentence.text):
        return None
    shown = sentence.text[marker.end() :] + " " + sentence.rest_of_line
    if sentence.text.rstrip("*_").endswith((":", "：")):
        shown += " " + sentence.rest.strip().split("\n", 1)[0]
    if _EQUATION.search(shown):
        return sentence.text if _computes(shown, sentence.before) else None
    return sentence.text if _reasons(shown) else None


def _reasons(text: str) -> bool:
    """A check in words: numbers, and what is concluded from them."""
    concluded = re.search(
        r"\b(?:because|since|so|which|therefore|matches|agrees|equals|is (?:more|less)|too (?:large|small))\b"
        r"|因为|所以|等于|符合|一致",
        text,
    )
    return concluded is not None and _DIGIT.search(text) is not None


_SECOND_THOUGHT = re.compile(
    r"^(?:but |oh,? |ah,? )?(?:wait|hold on|hmm+|oops|actually|no|sorry|correction)\b\s*[,.:;!…—–-]"
    r"|^(?:but |oh,? )?(?:wait|hold on)\b[^\w]*$"
    r"|\bi (?:made|see) (?:a|my|the) (?:mistake|error|slip)\b|^(?:but )?(?:that|this|it)(?: is|'s| was| looks) "
    r"(?:wrong|not right|incorrect|a mistake|not correct)\b"
    r"|^(?:let me|let's|i (?:should|must|need to)) (?:reconsider|rethink|redo|recalculate|re-examine|correct)\b"
    r"|^(?:等等|等一下|不对|不，|哦不|糟糕|我(?:刚才)?算错|让我重新|重新(?:算|考虑|检查)|更正)",
    re.IGNORECASE,
)
_CORRECTION = re.compile(
    r"\bnot\b|\bn't\b|\bshould(?: have)?\b|\binstead\b|\bwrong\b|\bmistake\b|\bmissed\b|\bforgot\b|\bis actually\b"
    r"|\bincorrect\b|\berror\b|\bmis\w+|不是|而不是|应该|应为|错|忘|漏",
    re.IGNORECASE,
)
# "31, not 31" takes nothing back.
_CONTRAST = re.compile(r"(\d[\d,.]*)\s*,?\s*(?:and )?not\s+(\d[\d,.]*\d|\d)|是\s*(\d+)\s*[，,]?\s*(?:而)?不是\s*(\d+)")


def _reflection(sentence: _Sentence) -> str | None:
    marker = _SECOND_THOUGHT.search(sentence.text)
    if marker is None:
        return None
    follows = sentence.text[marker.start() :] + " " + sentence.rest
    contrasts = [[part.strip(",.") for part in groups if part] for groups in _CONTRAST.findall(follows)]
    if contrasts and all(left == right for left, right in contrasts):
        return None
    return sentence.text if _CORRECTION.search(follows) and _DIGIT.search(follows) else None


_OTHER_WAY = re.compile(
    r"^(?:(?:or|now|but|also|so),? )?(?:(?:here is |there is |let me try |let's try |let us try |we can try |try "
    r"|using |in )?(?:another|a different|an alternative|a second|the other) (?:way|method|approach|idea|route)\b"
    r"|(?:the )?(?:second|alternative|other) (?:way|method|approach)\b|(?:method|approach|way) (?:2|two)\b"
    r"|alternatively\b|or,? (?:we|i|one) (?:can|could)\b|what if (?:we|i)\b|instead,? (?:we|i|let)\b"
    r"|(?:let me|let's|let us) try\b"
    r"|(?:我们)?(?:也)?(?:可以)?(?:再)?(?:换一?种|换个|另一种|另外一种|另一个|用另)(?:方法|思路|做法|角度|方式|解法)?"
    r"|方法二|解法二|或者)",
    re.IGNORECASE,
)


def _exploration(sentence: _Sentence) -> str | None:
    marker = _OTHER_WAY.match(sentence.text)
    if marker is None:
        return None
    way = sentence.text[marker.end() :] + " " + sentence.rest_of_line + " " + sentence.rest.strip().split("\n", 1)[0]
    return sentence.text if _computes(way, sentence.before) else None


_TESTS = {
    Behaviour.PLANNING: _planning,
    Behaviour.EVALUATION: _evaluation,
    Behaviour.REFLECTION: _reflection,
    Behaviour.EXPLORATION: _exploration,
}
