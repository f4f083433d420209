"""The program in a response.

The rule: what is before the last ``</think>`` does not count. Of the fenced blocks after it, the last one whose tag
names the language is the program; if no tag does, the last one without a tag. A fence is a line of three or more
backticks or tildes, and ends at a line of at least as many of the same; one that is never closed ends with the
response. A response without such a block has no program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?P<tag>[^`\s]*+)[^`]*+")
_TAGS = {
    "python": {"python", "python3", "py", "py3"},
    "cpp": {"cpp", "c++", "cc", "cxx"},
}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    tag: str
    """In lower case; empty where there is none."""
    text: str


def extract_program(response: str, language: str) -> str | None:
    """The program's text, or None; see the module for the rule.

    Args:
        response: what the model wrote.
        language: python, cpp, or another language's own tag.
    """
    blocks = fenced_blocks(response.rpartition("</think>")[2])
    tags = _TAGS.get(language, {language})
    tagged = [block for block in blocks if block.tag in tags]
    chosen = tagged or [block for block in blocks if not block.tag]
    text = chosen[-1].text if chosen else ""
    return text if text.strip() else None


def fenced_blocks(text: str) -> list[Block]:
    """All fenced blocks, in order."""
    found: list[Block] = []
    fence, tag, lines = "", "", list[str]()
    for line in text.split("\n"):
        match = _FENCE.fullmatch(line.rstrip("\r"))
        if not fence:
            if match:
                fence, tag, lines = match["fence"], match["tag"].lower(), []
        elif match and not match["tag"] and match["fence"].startswith(fence):
            found.append(Block(tag, "\n".join(lines)))
            fence = ""
        else:
            lines.append(line.rstrip("\r"))
    if fence:
        found.append(Block(tag, "\n".join(lines)))
    return found
