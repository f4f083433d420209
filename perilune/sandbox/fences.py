"""The fenced blocks of a text, as models write them: in lists and quotations, after words, closed on the last line.

A fence is a run of three or more backticks or tildes. It opens a block where it stands at the start of a line (after
at most three spaces; in a list item, at any indentation; after the marks of a list or of a quotation), or at the end of
a line of words. It ends at a line of at least as many of the same, at a line of code that ends with such a run, where a
quotation ends, or with the text. In a list, the fence's indentation is taken off its lines. Everything here takes time
linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_OPENING = re.compile(r"(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?P<info>[^`]*+)")
_AFTER_WORDS = re.compile(r"(?P<words>[^`]*+)(?P<fence>`{3,}+)[ \t]*+(?P<info>[^`]*+)")
_CLOSING_TAGS = re.compile(r"(?:[ \t]*+</[A-Za-z]++>)*+[ \t]*+")
_QUOTED = re.compile(r"(?: {0,3}> ?)++")
_LIST_MARK = re.compile(r"[ \t]*+(?:[-*+]|\d{1,9}+[.)])(?=[ \t])[ \t]?")
_TAG = re.compile(r"[{ \t]*+\.?([^\s{}`,:;=]*+)")
# What words may be followed by; any other text there is no fence, or it would hide the real one.
_TAGS_AFTER_WORDS = {"", "python", "python3", "py", "cpp", "c++", "c", "text", "plaintext", "output", "bash", "console"}
_MOST_MARKS = 16
_MOST_INDENT = 3


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    tag: str
    """In lower case, without braces and dots; empty where there is none."""
    text: str


@dataclass(slots=True)
class _Open:
    """A block that is not closed yet."""

    fence: str
    tag: str
    indent: int
    """Columns in front of the fence."""
    listed: bool
    quoted: bool
    lines: list[str] = field(default_factory=list)

    def block(self) -> Block:
        """The block with the lines that it has."""
        return Block(self.tag, "\n".join(_dedented(self.lines, self.indent) if self.listed else self.lines))

    def closes(self, line: str) -> bool:
        """Whether a line is the closing fence; code before it on the same line is taken in."""
        bare = line.strip()
        run = len(bare) - len(bare.lstrip(self.fence[0]))
        if run >= len(self.fence) and _CLOSING_TAGS.fullmatch(bare[run:]):
            return _columns(line) <= (self.indent if self.listed else 0) + _MOST_INDENT
        code = bare.rstrip(self.fence[0])
        if len(bare) - len(code) >= len(self.fence) and code and self.fence[0] not in code:
            self.lines.append(line.rstrip().rstrip(self.fence[0]).rstrip())
            return True
        return False


def fenced_blocks(text: str) -> list[Block]:
    """All fenced blocks, in order."""
    found: list[Block] = []
    opened: _Open | None = None
    items: list[int] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        quote = _QUOTED.match(line) if opened is not None and opened.quoted else None
        if opened is not None and opened.quoted and quote is None:
            found.append(opened.block())
            opened = None
        inner = line[quote.end() :] if quote else line
        if opened is None:
            opened = _opening(inner, items)
        elif opened.closes(inner):
            found.append(opened.block())
            opened = None
        else:
            opened.lines.append(inner)
    return found if opened is None else [*found, opened.block()]


def _opening(line: str, items: list[int]) -> _Open | None:
    """The block that a line opens; ``items`` are the columns at which the contents of the open list items begin."""
    quote = _QUOTED.match(line)
    rest = line[quote.end() :] if quote else line
    if not rest.strip():
        return None
    within = bool(items)
    place = 0 if quote else _enter_items(rest, items)
    words = rest[place:].strip()
    column = len(rest[: len(rest) - len(rest[place:].lstrip())].expandtabs(4))
    listed = quote is None and column > 0 and (within or place > 0)
    if match := _OPENING.fullmatch(words):
        if not listed and column > _MOST_INDENT:
            return None  # Code by its indentation, which shows a fence.
    elif not (match := _AFTER_WORDS.fullmatch(words)) or tag_of(match["info"]) not in _TAGS_AFTER_WORDS:
        return None
    return _Open(match["fence"], tag_of(match["info"]), column, listed, quote is not None)


def _enter_items(line: str, items: list[int]) -> int:
    """Leave the list items that a line is not in, enter those that it begins; where its own text begins."""
    column = _columns(line)
    while items and column < items[-1]:
        items.pop()
    place = 0
    for _ in range(_MOST_MARKS):
        match = _LIST_MARK.match(line, place)
        if match is None:
            break
        place = match.end()
        items.append(len(line[:place].expandtabs(4)))
    return place


def tag_of(info: str) -> str:
    """The language that an info text names: python for "{.python .numbered}", "Python title=x" and "python:a.py"."""
    match = _TAG.match(info)
    return match[1].lower() if match else ""


def _columns(line: str) -> int:
    """Columns of white space in front of a line's text; tabs go to the next multiple of four."""
    blank = line[: len(line) - len(line.lstrip(" \t"))]
    return len(blank.expandtabs(4))


def _dedented(lines: Sequence[str], indent: int) -> list[str]:
    """Lines without the columns that all of them have in front, at most ``indent``."""
    full = [line for line in lines if line.strip()]
    amount = min([indent, *map(_columns, full)])
    return [_cut(line, amount) for line in lines]


def _cut(line: str, columns: int) -> str:
    blank = line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4)
    return blank[columns:] + line.lstrip(" \t") if columns else line
