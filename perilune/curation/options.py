"""Lists of answer options in a question: (A) … (B) …, A. … B. …, ① … ② …, in one line or several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_LETTERS = "ABCDEFGHIJ"
_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩"
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi")
_BEFORE = r"(?<![A-Za-z0-9_\\^'.-])"
_BARE = _BEFORE + r"{}\s(?=[^\sa-z])"
# One pattern per way of marking; {} is the label. A label in brackets may touch what stands before it.
_STYLES = (
    (r"[(\[]\s*{}\s*[)\]]", _LETTERS),
    (_BEFORE + r"{}\s?[.、:](?!\d*[A-Za-z]\.)", _LETTERS),
    (_BEFORE + r"{}\s?\)", _LETTERS),
    (r"[(\[]\s*{}\s*[)\]]", _LETTERS.lower()),
    (_BEFORE + r"{}\s?[.:](?![A-Za-z]\.)", _LETTERS.lower()),
    (_BEFORE + r"{}\s?\)", _LETTERS.lower()),
    (r"{}", _CIRCLED),
    (r"\(\s?{}\s?\)", "123456789"),
    (r"\(\s?{}\s?\)", _ROMAN),
    (_BEFORE + r"{}\s?[.)]", tuple(label.upper() for label in _ROMAN)),
    (_BARE, _LETTERS),
    # Labels of Markdown lists: "- A 12", "* B 13".
    (r"(?m:^)\s*[-*•|]?\s*(?:\*\*)?{}(?:\*\*)?\s(?=\S)", _LETTERS),
)

_FIRSTS = 20
"""Places looked at where a list may begin, the last ones: a text of nothing but labels must not take minutes."""


@dataclass(frozen=True, slots=True)
class Options:
    """An ordered list of options."""

    labels: tuple[str, ...]
    """The labels in order."""
    contents: tuple[str, ...]
    """What stands behind each label; the last one ends with its line or sentence."""
    stem: str
    """What stands before the first label."""
    tail: str
    """What stands after the last option."""
    bare: bool = False
    """Whether the labels are letters without any mark in running text."""

    @property
    def upper(self) -> bool:
        """Whether the labels are capital letters."""
        return self.labels[0] == "A"

    @property
    def weak(self) -> bool:
        """Whether such labels often stand for something else: numbers for parts of a question, letters for names."""
        return self.labels[0] in {"1", "i", "I"} or self.bare


def find_options(text: str) -> Options | None:
    """The list of labels in order from A, a, ①, (1) or (i) on, two or more, with something behind each.

    Of several the longest with plain marks. Lists whose labels follow one and the same word (Plan A: … Plan B: …) name
    things and are no options.

    Args:
        text: a question, with ASCII brackets and punctuation.
    """
    found = [options for style, labels in _STYLES if (options := _of_style(text, style, labels)) is not None]
    return max(found, key=lambda options: (not options.weak, len(options.labels)), default=None)


def _of_style(text: str, style: str, labels: Sequence[str]) -> Options | None:
    places = _places(text, style, labels)
    if len(places) < 2 or _names_things(text, [start for start, _ in places]):
        return None
    contents = [text[end:start] for (_, end), (start, _) in pairwise(places)]
    last, tail = _split_last(text[places[-1][1] :])
    contents = [_bare(content) for content in [*contents, last]]
    if not all(contents):
        return None
    return Options(tuple(labels[: len(places)]), tuple(contents), _stem(text[: places[0][0]]), tail, style == _BARE)


def _places(text: str, style: str, labels: Sequence[str]) -> list[tuple[int, int]]:
    """Start and end of each label, the last run from the first label on: a text may speak of (A) before it lists it."""
    best: list[tuple[int, int]] = []
    firsts = list(re.finditer(style.format(re.escape(labels[0])), text))
    for first in firsts[-_FIRSTS:]:
        run = [first.span()]
        for label in labels[1:]:
            match = re.compile(style.format(re.escape(label))).search(text, run[-1][1])
            if match is None:
                break
            run.append(match.span())
        if len(run) >= len(best):
            best = run
    return best


def _names_things(text: str, starts: list[int]) -> bool:
    """Whether the labels are names: the same word before each, or a preposition that needs one."""
    words = []
    for start in starts:
        before = re.search(r"([A-Za-z]{2,}|[\u4e00-\u9fff])[ \t]*$", text[max(0, start - 30) : start])
        words.append(before.group(1).lower() if before else "")
    return words[0] != "" and len(set(words)) == 1


def _split_last(rest: str) -> tuple[str, str]:
    """The last option ends at its line's end, or where a new sentence begins."""
    match = re.search(r"\n|(?<=[^\s\d][.?!])\s+(?=[A-Z])|(?<=\d\.)\s+(?=[A-Z])|[。?]", rest.lstrip())
    rest = rest.lstrip()
    return (rest, "") if match is None else (rest[: match.end()], rest[match.end() :])


def _stem(text: str) -> str:
    """Without the LaTeX or bold marks that open the first label."""
    return re.sub(r"[\s$*{]*(?:\\(?:textbf|text|mathrm|mathbf)[\s{]*)?\Z", "", text)


def _bare(content: str) -> str:
    """Without what stands around it: LaTeX spaces and closing braces, bold marks, full stops."""
    content = re.sub(r"\\q?quad|\\(?:textbf|text|mathrm|mathbf|hspace|\[|\]|\\|[ ,;:])", " ", content)
    content = re.sub(r"\n\s*[-*•]\s*$", "", content)
    return re.sub(r"^[\s{}$*~;,.。|]+|[\s{}$*~;,.。|]+$", "", content)
