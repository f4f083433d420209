"""Answers that are told in words: "Answer: 72", a heading with the answer below it, "The answer is 72."."""

from __future__ import annotations

import re
from dataclasses import dataclass

from perilune.rewards.equality.wording import DENIES, is_plain_phrase

# Emphasis and spaces that may stand around the word and its colon.
_SOFT = r"[*_`\"' \t]*+"
_WORD = (
    r"(?:\b(?:answer|ans|réponse|respuesta|antwort|risposta)|ответ|答案|答え|答|정답|解答)"
    r"(?: ?\([^()\n]{0,30}\))?"
)
_LABEL = re.compile(rf"{_WORD}(?:是|为|為)?{_SOFT}(?:[:：]|=(?!=)){_SOFT}", re.IGNORECASE)
_HEADING = re.compile(
    r"^[ \t]*(?:\#{1,6}[ \t]*|\*\*|__)[ \t]*(?:the |your |my |our )?(?:final |correct |short )?"
    rf"{_WORD}{_SOFT}[:：]?{_SOFT}$",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE = re.compile(
    r"\banswer(?: to [^\n.:]{1,80}?| for [^\n.:]{1,80}?)?,?(?: (?:therefore|thus|then|hence|simply|just|indeed),?)?"
    r" (?:is|was|will be|would be|should be|must be|equals|comes to|becomes)"
    r"(?: (?:therefore|thus|then|simply|just|indeed)\b,?)?"
    rf"{_SOFT}[:：]?{_SOFT}"
    r"|答案(?:应该|應該|就)?(?:是|为|為|等于|等於)[ \t]*[:：]?[ \t]*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=[\s*_\"')\]]|$)|[。！？]|\n|$")
_REASON = re.compile(
    r",?\s+(?:because|since|which|where|so that|as (?:we|it|the|there)|given that|for which)\b"
    r"|,\s+(?:as|so|not|and not)\b|\s*\((?:since|because|as)\b|，|；"
)
_MATH = re.compile(
    r"\$\$?(?P<dollar>[^$\n]{1,400})\$\$?|\\\((?P<paren>[^\n]{1,400}?)\\\)|\\\[(?P<square>[^\n]{1,400}?)\\\]"
)
_NUMBER = re.compile(r"(?<![\w.])[-+−]?[$€£¥]?\d[\d,]*(?:\.\d+)?%?(?![\w])")
_PLAIN_WORD = re.compile(r"(?<!\\)\b[^\W\d_]{2,}\b")
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|gets?|got|needs?|can|will|makes?|made|equals?|pays?|paid|costs?|earns?|takes?"
    r"|leaves?|left with|remains?|contains?|gives?|weighs?|receives?|spends?|sells?|sold|owes?|saves?|becomes?"
    r"|there)\b",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"(?:step|part|case|method|solution|example|problem|exercise|question|section|chapter)\b|\d+\s*[.):]\s+\w|[^\d\n]*:$",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"\b(?:see|above|below|shown|box(?:ed)?|following|previous(?:ly)?|as follows|explained)\b", re.IGNORECASE
)
_STORY = re.compile(r"[A-Z][a-z]+ (?:[a-z]+ ){1,6}[-$]?\d")
_COMPLEMENT = re.compile(
    r"(?:it|they|he|she|this|that|the(?: [a-z]+){1,4}) (?:is|was|are|were) (?!not\b|no\b)((?:[^\W\d_]+ ?){1,4})[.!]?",
    re.IGNORECASE,
)
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_OPENERS = {"$$": "$$", "\\[": "\\]", "```": "```", "\\(": "\\)"}


@dataclass(frozen=True, slots=True)
class FoundAnswer:
    """An answer and its place in the response, the marks around it included."""

    text: str
    start: int
    end: int
    mark: str = ""
    """By what it was found, for people."""
    value: bool = True
    """Whether the mark is followed by a value; where it is a sentence, other marks come first."""


def is_heading(text: str) -> bool:
    """Whether what follows ``####`` is the heading of a part: "Step 2: add", "3. Sum", "Result:"."""
    return _STEP.match(text) is not None


def is_value(text: str) -> bool:
    """Whether a text is a value (a number, a formula, a few words) and no sentence about one."""
    if len(text) > 200:
        return False
    bare = _MATH.sub(" ", text)
    if _ELSEWHERE.search(bare) or _STORY.match(bare):
        return False
    words = _PLAIN_WORD.findall(re.sub(r"\\text\{[^{}]*\}|\\[A-Za-z]+", " ", bare))
    return not (_VERB.search(bare) and len(words) > 1) and len(words) <= 6


def find_lines(text: str) -> list[FoundAnswer]:
    """The answers on answer lines, and below headings that say answer; a sentence there gives the value it tells."""
    labels: list[re.Match[str]] = []
    for match in sorted(
        [*_LABEL.finditer(text), *_HEADING.finditer(text)], key=lambda match: (match.start(), -match.end())
    ):
        if not labels or match.start() >= labels[-1].end():
            labels.append(match)
    found: list[FoundAnswer] = []
    for number, label in enumerate(labels):
        line_end = text.find("\n", label.end())
        line_end = len(text) if line_end < 0 else line_end
        # A second "Answer:" on the same line ends the first.
        following = labels[number + 1].start() if number + 1 < len(labels) else len(text)
        start, end = label.end(), min(line_end, following)
        if not text[start:end].strip(" \t\r*_"):
            start, end = _line_below(text, line_end, following)
        said, stop = _tidy(text, start, end)
        if said:
            found.append(_told(said, label.start(), stop, "Answer:"))
    return found


def without_story(text: str) -> str:
    """What a box says, where it holds a sentence about its value: "She has 42 pens"."""
    bare = " ".join(_TEXT.sub(r" \1 ", text).split())
    return _only_value(bare) if _STORY.match(bare) else ""


def find_sentences(text: str) -> list[FoundAnswer]:
    """The answers in sentences such as "The answer is 72."."""
    matches = list(_SENTENCE.finditer(text))
    found: list[FoundAnswer] = []
    for number, match in enumerate(matches):
        following = matches[number + 1].start() if number + 1 < len(matches) else len(text)
        start = match.end()
        end = min(following, start + 400)
        if not text[start : start + 1].strip():
            newline = text.find("\n", start)
            start, end = _line_below(text, len(text) if newline < 0 else newline, following)
        said = _first_clause(text[start:end])
        if said:
            place = text.find(said, start)
            found.append(FoundAnswer(said, match.start(), place + len(said), "a sentence"))
    return found


def _told(said: str, start: int, end: int, mark: str) -> FoundAnswer:
    if is_value(said):
        return FoundAnswer(said, start, end, mark)
    sentences = find_sentences(said)
    inner = sentences[-1].text if sentences else _only_value(said)
    if not inner and (complement := _COMPLEMENT.fullmatch(said)):
        inner = complement[1].strip()
    return FoundAnswer(inner or said, start, end, mark, value=False)


def _only_value(sentence: str) -> str:
    """The one number that a sentence tells, with the words after it; "" where it tells none, several, or denies it."""
    formulas = list(_MATH.finditer(sentence))
    numbers = list(_NUMBER.finditer(_MATH.sub(" ", sentence)))
    if len(formulas) == 1 and not numbers and not DENIES.search(_MATH.sub(" ", sentence)):
        return next(group for group in formulas[0].groups() if group).strip()
    if formulas or len(numbers) != 1:
        return ""
    number = numbers[0]
    before, after = sentence[: number.start()], sentence[number.end() :].rstrip(" .!*_")
    if (
        "," in before
        or DENIES.search(before)
        or not is_plain_phrase(after)
        or not (_VERB.search(before) or _STORY.match(sentence))
    ):
        return ""
    return f"{number.group()} {after.strip()}".strip()


def _first_clause(text: str) -> str:
    """What a sentence says the answer is: up to its end, or to a reason that follows."""
    if math := _MATH.match(text.lstrip("*_ \t")):
        rest = text.lstrip("*_ \t")[math.end() :]
        end = _SENTENCE_END.search(rest)
        tail = _REASON.split(rest[: end.start() if end else len(rest)], maxsplit=1)[0]
        return (math.group() + tail).strip().rstrip("*_ ,;")
    end = _SENTENCE_END.search(text)
    clause = text[: end.start() if end else len(text)]
    return _REASON.split(clause, maxsplit=1)[0].strip().strip("*_").strip().rstrip(",;")


def _line_below(text: str, line_end: int, limit: int) -> tuple[int, int]:
    """The next line that says something, or what stands between the delimiters that open there."""
    position = line_end
    while position < limit:
        end = text.find("\n", position + 1)
        end = min(len(text) if end < 0 else end, limit)
        line = text[position:end].strip()
        if line in _OPENERS or (line.startswith("```") and len(line) < 16):
            closer = text.find(_OPENERS.get(line, "```"), end, min(end + 400, limit))
            return (end, closer) if closer > 0 else (end, end)
        if line.strip("*_ "):
            return position, end
        position = end
    return limit, limit


def _tidy(text: str, start: int, end: int) -> tuple[str, int]:
    said = text[start:end].strip()
    stop = start + len(text[start:end].rstrip()) if said else start
    return said.strip("*_").strip() if said.count("*") != 1 else said, stop
