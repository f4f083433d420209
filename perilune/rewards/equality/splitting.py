"""Lists taken apart where a reader would, and not within brackets."""

from __future__ import annotations

import re

_MARKS = re.compile(
    r"\\\\|\\[{}]|\\(?:langle|rangle)|\\(?:text|textbf)\{\s*,?\s*(?:and|or|And|Or|OR|AND|且|或|和)\s*,?\s*\}|(?<![A-Za-z\\])(?:and|or|且|或|和)(?![A-Za-z])|或|和|[{}()\[\];,]|&"
)
_NUMBER_WITH_COMMAS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,]*\d)")
_WORD = re.compile(r"and|or|且|或|和", re.IGNORECASE)
_BRACKETS = {"(": ")", "[": "]", "{": "}", "\\{": "\\}", "\\langle": "\\rangle"}


def split_list(text: str, *, grouping: bool = True) -> tuple[list[str], str]:
    """The parts of a list, and by what they are joined: "," "and" "or", or "" where it is no list.

    Args:
        text: cleaned.
        grouping: whether 1,234 is one number.
    """
    kept = (
        {
            match.start() + place
            for match in _NUMBER_WITH_COMMAS.finditer(text)
            for place, sign in enumerate(match.group())
            if sign == ","
        }
        if grouping
        else set()
    )
    parts: list[str] = []
    start = depth = 0
    joined = ""
    for match in _MARKS.finditer(text):
        mark = match.group()
        if mark in ("(", "[", "{", "\\{", "\\langle"):
            depth += 1
        elif mark in (")", "]", "}", "\\}", "\\rangle"):
            depth -= 1
        elif depth <= 0 and mark != "&" and match.start() not in kept and "\\begin" not in text:
            word = _WORD.search(mark)
            said = {"且": "and", "和": "and", "或": "or"}.get(word.group(), word.group().lower()) if word else ","
            parts.append(text[start : match.start()])
            start = match.end()
            joined = said if joined in ("", ",") else joined
    parts.append(text[start:])
    whole = [part.strip() for part in parts if part.strip()]
    return (whole, joined) if len(whole) > 1 else ([text.strip()], "")


def enclosed(text: str) -> tuple[str, str, str] | None:
    """(opening, closing, inside) where one pair of brackets holds the whole text; a half-open interval's differ."""
    if text.startswith("\\{") and text.endswith("\\}"):
        opening, closing, inside = "{", "}", text[2:-2]
    elif text.startswith("\\langle") and text.endswith("\\rangle"):
        opening, closing, inside = "(", ")", text[7:-7]
    elif len(text) > 1 and text[0] in "([]" and text[-1] in ")][":
        opening, closing, inside = text[0], text[-1], text[1:-1]
    else:
        return None
    depth = 0
    for match in re.finditer(r"\\[{}]|\\langle|\\rangle|[(){}\[\]]", inside):
        depth += 1 if match.group() in ("(", "[", "{", "\\{", "\\langle") else -1
        if depth < 0:
            return None
    return (opening, closing, inside.strip()) if depth == 0 else None
