"""Whether prompts ask for the answer in a form that the reward reads.

A prompt asks for a form where it names its mark in an instruction ("put your final answer within \\boxed{}"), in
English or Chinese, or shows the mark in several worked examples. A mark that stands there for the model to go on from
("Answer:" at the end), a heading, or a mark in the text of a question asks for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from perilune.recipe.reward_names import reward_names
from perilune.rewards.answers import find_answers
from perilune.rewards.router import BUILT_IN
from perilune.types import Problem

_BEFORE, _AFTER = 120, 60
"""So many characters around a mark are looked at for the words of an instruction."""

# Words of an instruction. The Chinese ones: put, write, fill, give, output, with, format, answer, result, enclose.
_CUE = re.compile(
    r"\b(?:answer|result|solution|final|put|plac|writ|giv|provid|enclos|wrap|present|output|respon|repl|format|end|finish|conclu"
    r"|clos|stat|report|express|return|insert|use|using|line|form|start|begin|after|prefix|follow|print|say|mark)"
    r"|放|写|寫|填|给|給|输出|輸出|以|用|格式|答案|结果|結果|括|包",
    re.IGNORECASE,
)
# What denies an instruction, in the clause before the mark.
_DENIED = re.compile(
    r"(?:\bnot\b|n't\b|\bnever\b|\bwithout\b|\binstead of\b|\brather than\b|\bavoid\b|\bno\b"
    r"|不要|不用|无需|無需|请勿|請勿|不必|禁止|而不是)"
    r"[^.,;:!?。，；：！？\n]{0,40}$",
    re.IGNORECASE,
)
_PLACEHOLDER = (
    r"(?:[<\[{(]{1,2}[^\n<>\[\]{}()]{0,30}?(?:answer|ans|result|number|value|solution|答案|结果|結果|数|\.\.\.|…|\bx\b|\bn\b)"
    r"|\$?\{?\\?(?:your |the )?(?:final[ _]?)?answer\b|\.\.\.|…|[A-Z]{1,2}\b|\\f?box|_{2,})"
)
_QUOTE = "[\"'`“”‘’«「『*]"

_BOXED = re.compile(
    r"\\+f?box(?:ed)?(?![A-Za-z])|\x08oxed|\bboxed (?:final )?(?:answer|result|form|value|notation)\b"
    r"|\b(?:put|place|write|enclose|give|wrap|present) [^.\n]{0,40}\b(?:answer|result|solution)\b"
    r"[^.\n]{0,30} (?:in|inside|within) a box\b"
    r"|\bbox (?:your|the) (?:final )?answer\b|答案[^。\n]{0,12}方框|用方框|框出[^。\n]{0,8}答案",
    re.IGNORECASE,
)
_HASHES = re.compile(r"(?<!#)####(?!#)[ \t]*(?P<rest>[^\n]{0,80})")
_TAG = re.compile(r"</answer>|<answer>\W{0,3}\s?(?:xml |html )?tags?\b|<answer>\W{0,3}标签", re.IGNORECASE)
_LINE = re.compile(
    rf"(?P<quote>{_QUOTE}{{0,3}})(?P<word>\b(?:the |your )?(?:final )?answer|(?:最终|最后|最終|最後)?答案)"
    r"[*_]{0,2}[ \t]*[:：]"
    rf"(?P<shown>[ \t*]*(?:{_PLACEHOLDER}|{_QUOTE}|(?:and|then|followed|before|on)\b|后|後|加|，|接))?",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    rf"{_QUOTE}(?:so,? |thus,? |therefore,? |hence,? )?the (?:final |correct )?answer is\b"
    r"|\b(?:end|finish|conclud|clos|say|stat|writ)\w{0,4}\b[^.\n]{0,60}\b(?:the (?:final |correct )?answer is)"
    r"(?= ?:| *[<\[{($…\"'`“]| *\.\.| [A-Z]{1,2}\b)"
    r"|[“\"'「『‘](?:所以|因此|故)?，?(?:最终|最后|最終|最後)?(?:的)?答案(?:是|为|為)",
    re.IGNORECASE,
)
_SHOWN_SENTENCE = re.compile(r"\bthe (?:final )?answer is:? *\$?-?\d|答案(?:是|为|為) *\$?-?\d", re.IGNORECASE)
_VALUE = re.compile(r"[-+$€£]?\d[\d,./]*\s*%?\s*$")


@dataclass(frozen=True, slots=True)
class Form:
    """A form that prompts ask for."""

    shown: str
    """As people know it."""
    example: str
    """A response that is of this form."""


FORMS: Mapping[str, Form] = {
    "boxed": Form("\\boxed{…}", "\\boxed{72}"),
    "hashes": Form("'#### …'", "#### 72"),
    "answer_tag": Form("<answer>…</answer>", "<answer>72</answer>"),
    "answer_line": Form("a line 'Answer: …'", "Answer: 72"),
    "sentence": Form("'The answer is …'", "The answer is 72."),
}
"""By their names in ``rewards.answer_form``."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Prompts that ask for a form which the reward does not read."""

    asked: tuple[str, ...]
    """The forms, by their names in ``rewards.answer_form``."""
    quoted: str
    """The words that ask for it, in the first of them."""
    prompts: int
    """How many prompts ask so."""
    of: int
    """How many were looked at."""

    def told(self, source: str, form: str) -> str:
        """One sentence for people: what is asked for, what is read, and what to write.

        Args:
            source: the name of its table, train or heldout.
            form: ``rewards.answer_form``.
        """
        wanted = " and ".join(FORMS[name].shown for name in self.asked)
        read = FORMS[form].shown if form in FORMS else f"what {form!r} finds"
        names = " or ".join(repr(name) for name in (*self.asked, "any"))
        instead = f"ask for {read}" if form in FORMS else "ask for what the pattern finds"
        return (
            f"{source}: {self.prompts:,} of {self.of:,} prompts ask for {wanted} (“{self.quoted}”), but "
            f"rewards.answer_form = {form!r} reads {read} alone: an answer given as asked would not be found. Set "
            f"rewards.answer_form to {names}, or {instead} in problems.{source}.prompt"
        )


def disagreements(problems: Iterable[Problem], form: str, system_prompt: str | None = None) -> list[Disagreement]:
    """What prompts ask for and the form does not read, the most frequent first; nothing where the form is any.

    Args:
        problems: as the model is asked them, their source's prompt template applied.
        form: ``rewards.answer_form``.
        system_prompt: what is said before each.
    """
    if form == "any":
        return []
    before = asked_forms(system_prompt or "")
    found: dict[tuple[str, ...], list[str]] = {}
    looked_at = 0
    for problem in problems:
        if not reads_answers(problem.reward):
            continue
        looked_at += 1
        asked = before | asked_forms(problem.text)
        if asked and not any(find_answers(FORMS[name].example, form) for name in asked):
            found.setdefault(tuple(asked), []).append(next(iter(asked.values())))
    by_number = sorted(found.items(), key=lambda item: -len(item[1]))
    return [Disagreement(asked, quotes[0], len(quotes), looked_at) for asked, quotes in by_number]


def reads_answers(reward: str) -> bool:
    """Whether a reward looks for an answer in the form of ``rewards.answer_form``; of a user's own nobody knows."""
    return any(name in BUILT_IN and name != "code" for name in reward_names(reward))


def asked_forms(prompt: str) -> dict[str, str]:
    """The forms that a prompt asks for, each with the words that ask for it; linear in its length."""
    found: dict[str, str] = {}
    for name, asks in _ASKS.items():
        place = next(asks(prompt), None)
        if place is not None:
            found[name] = _quoted(prompt, place)
    return found


def _boxed(text: str) -> Iterator[int]:
    matches = list(_BOXED.finditer(text))
    for match in matches:
        instructed = len(matches) > 1 or _instructed(text, match.start(), match.end())
        if instructed and not _denied(text, match.start()):
            yield match.start()


def _hashes(text: str) -> Iterator[int]:
    for match in _HASHES.finditer(text):
        start, rest = match.start(), match["rest"].strip()
        line = _line_before(text, start)
        if _denied(text, start):
            continue
        if line.strip(" \t\"'`*>-"):
            if _CUE.search(line) or _CUE.search(rest):
                yield start
        elif _VALUE.match(rest):
            yield start  # an example shows it
        elif re.match(_PLACEHOLDER, rest, re.IGNORECASE) and (_closed(rest) or _headed(text, start)):
            yield start


def _tag(text: str) -> Iterator[int]:
    return (match.start() for match in _TAG.finditer(text) if not _denied(text, match.start()))


def _line(text: str) -> Iterator[int]:
    for match in _LINE.finditer(text):
        start = match.start()
        if not match["shown"] or _denied(text, start):
            continue
        said_before = _line_before(text, start)
        alone = not said_before.strip(" \t>-")
        named = match["quote"] or match["word"][0].isupper() or re.search(_PLACEHOLDER, match["shown"])
        if _headed(text, start) if alone else named and _CUE.search(said_before):
            yield start


def _sentence(text: str) -> Iterator[int]:
    for match in _SENTENCE.finditer(text):
        if not _denied(text, match.start()) and _instructed(text, match.start(), match.end()):
            yield match.start()
    shown = list(_SHOWN_SENTENCE.finditer(text))
    if len(shown) > 1:
        yield shown[0].start()


_ASKS: Mapping[str, Callable[[str], Iterator[int]]] = {
    "boxed": _boxed,
    "hashes": _hashes,
    "answer_tag": _tag,
    "answer_line": _line,
    "sentence": _sentence,
}


def _instructed(text: str, start: int, end: int) -> bool:
    return _CUE.search(text, max(0, start - _BEFORE), end + _AFTER) is not None


def _line_before(text: str, place: int) -> str:
    """What stands before a place on its line; the end of it, where it is long."""
    earliest = max(0, place - _BEFORE)
    return text[max(earliest, text.rfind("\n", earliest, place) + 1) : place]


def _headed(text: str, place: int) -> bool:
    """Whether the words before a line end with a colon."""
    return text[max(0, place - _BEFORE) : place].rstrip(" \t\n>-").endswith((":", "："))


def _denied(text: str, start: int) -> bool:
    return _DENIED.search(text[max(0, start - _BEFORE) : start]) is not None


def _closed(rest: str) -> bool:
    """Whether a placeholder stands in brackets or dots, so that it is no heading."""
    return not rest[:1].isalpha()


def _quoted(text: str, place: int) -> str:
    """The words around a place, on one line."""
    start = max(text.rfind("\n", 0, place) + 1, place - 50)
    end = text.find("\n", place)
    end = min(len(text) if end < 0 else end, place + 50)
    before = "" if start == 0 or text[start - 1] == "\n" else "… "
    after = " …" if text[end : end + 1].strip() else ""
    return before + " ".join(text[start:end].split()) + after
