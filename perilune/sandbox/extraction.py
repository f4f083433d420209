"""The program in a response.

The rule: what stands in the thinking does not count. Of the fenced blocks outside it (:mod:`perilune.sandbox.fences`),
the last one whose tag names the language is the program; if no tag does, the last untagged one. Passed over are blocks
that look like an output, not like a program; that quote a part of an earlier one; and that only use what an earlier one
defines, which show how it is used. Where a function is asked for, the last block that defines it goes before all
others. A response without such a block has no program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from perilune.sandbox.fences import Block, fenced_blocks

_TAGS = {
    "python": re.compile(r"(?:i?python|py|pypy)[\d.]*"),
    "cpp": re.compile(r"(?:c\+\+|cpp|cc|cxx|g\+\+|gnu\+\+)[\d.]*[a-z]?"),
}
_WRAPPERS = {"markdown", "md"}
_THINKING = re.compile(r"^[ \t]*+<(?:think|thinking|thought)>|(</(?:think|thinking|thought)>)", re.I | re.M)
_SESSION = re.compile(r"\s*+(?:>>>|\$ )")
_PROGRAM = {
    "python": re.compile(
        r"^[ \t]*+(?:(?:import|from|def|class|async|for|while|if|with|try|return|yield|raise|assert|global)\b|@|"
        r"[\w.]++\(|"
        r"[\w.,\[\]() \t]*+(?:[-+*/%|&^]|//|\*\*|<<|>>)?=(?!=))",
        re.MULTILINE,
    ),
    "cpp": re.compile(r"[;{]|^[ \t]*+#", re.MULTILINE),
}
_DEFINED = re.compile(r"^(?:async[ \t]++)?(?:def|class)[ \t]++(\w++)", re.MULTILINE)
_CALLED = re.compile(r"(?<![\w.])([A-Za-z_]\w*+)\(")
_BOUND = re.compile(r"\b(?:def|class|import|as|for)[ \t]++(\w++)|(?<![\w.])(\w++)[ \t]*+=(?!=)|\bimport\b[^\n]*")


def extract_program(response: str, language: str, *, entry_point: str = "", in_thinking: bool = False) -> str | None:
    """The program's text, or None; see the module for the rule.

    Args:
        response: what the model wrote.
        language: python, cpp, or another language's own tag.
        entry_point: the function that is asked for, "Class.method" for a method; empty for a whole program.
        in_thinking: whether what stands in the thinking may be the program.
    """
    blocks = fenced_blocks(response if in_thinking else outside_thinking(response))
    chosen = _chosen(blocks, language, entry_point)
    if chosen is None:
        inner = [inside for block in blocks if block.tag in _WRAPPERS for inside in fenced_blocks(block.text)]
        chosen = _chosen(inner, language, entry_point)
    return chosen


def outside_thinking(response: str) -> str:
    """The response without its thinking.

    Thinking begins at a tag in front of a line (a program may hold one in a text), or in the prompt if only its end is
    there; where it does not end, all that follows is thinking.
    """
    pieces: list[str] = []
    start, thinking = 0, False
    for tag in _THINKING.finditer(response):
        if tag[1]:
            if not thinking:
                pieces.clear()
            start, thinking = tag.end(), False
        elif not thinking:
            pieces.append(response[start : tag.start()])
            start, thinking = tag.start(), True
    return "".join(pieces if thinking else [*pieces, response[start:]])


def _chosen(blocks: Sequence[Block], language: str, entry_point: str) -> str | None:
    tags = _TAGS.get(language) or re.compile(re.escape(language) + r"[\d.]*")
    full = [block for block in blocks if block.text.strip()]
    texts = [block.text for block in full if tags.fullmatch(block.tag)]
    texts = texts or [block.text for block in full if not block.tag]
    if not texts:
        return None
    texts = _unquoted([text for text in texts if _looks_like_a_program(text, language)] or texts[-1:])
    if entry_point and language == "python":
        defining = [text for text in texts if _defines(text, entry_point)]
        return (defining or texts)[-1]
    return texts[-1] if language != "python" else _last_whole(texts)


def _looks_like_a_program(text: str, language: str) -> bool:
    looks = _PROGRAM.get(language)
    return looks is None or (bool(looks.search(text)) and not _SESSION.match(text))


def _unquoted(texts: Sequence[str]) -> list[str]:
    """The texts but for those that quote a part, at most half, of what was there before."""
    first: dict[str, int] = {}
    longest, kept = 0, list[str]()
    for place, text in enumerate(texts):
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        if not (2 * len(lines) <= longest and all(first.get(line, place) < place for line in lines)):
            kept.append(text)
        for line in lines:
            first.setdefault(line, place)
        longest = max(longest, len(lines))
    return kept


def _defines(text: str, entry_point: str) -> bool:
    """Whether a text defines a function, or a method's class, at any indentation."""
    names = "|".join(map(re.escape, entry_point.split(".")))
    defined = rf"^[ \t]*+(?:(?:async[ \t]++)?def|class)[ \t]++(?:{names})\b|^(?:{names})[ \t]*+="
    return re.search(defined, text, re.MULTILINE) is not None


def _last_whole(texts: Sequence[str]) -> str:
    """The last text that does not merely use what an earlier one defines."""
    first: dict[str, int] = {}
    for place, text in enumerate(texts):
        for name in _DEFINED.findall(text):
            first.setdefault(name, place)
    for place in range(len(texts) - 1, 0, -1):
        borrowed = {name for name in _CALLED.findall(texts[place]) if first.get(name, place) < place}
        if not borrowed or borrowed <= _bound(texts[place]):
            return texts[place]
    return texts[0]


def _bound(text: str) -> set[str]:
    """Names that a text binds itself: what it defines, assigns or imports."""
    names: set[str] = set()
    for match in _BOUND.finditer(text):
        names.update([match[1] or match[2]] if match[1] or match[2] else re.findall(r"\w+", match[0]))
    return names
