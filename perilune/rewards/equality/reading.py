"""From an answer's text to what it says: number, quantity, list, interval, named values, words, formula."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from perilune.rewards.equality import algebra
from perilune.rewards.equality.cleaning import clean
from perilune.rewards.equality.numerals import TooLarge, based, exact
from perilune.rewards.equality.quantities import read_quantity
from perilune.rewards.equality.relations import read_relation
from perilune.rewards.equality.splitting import enclosed, split_list
from perilune.rewards.equality.values import (
    Clock,
    Collection,
    Congruence,
    Digits,
    Formula,
    Named,
    Number,
    Piece,
    Ranges,
    Ratio,
    Unreadable,
    Value,
    Words,
)
from perilune.rewards.equality.wording import CHANGES

_EMPTY_SET = re.compile(
    r"\\emptyset|\\\{\s*\\\}|(?:the )?(?:empty|null) set|no (?:real |integer )?(?:solutions?|roots?)(?: exists?)?|none"
    r"|there (?:is|are) no (?:real )?solutions?",
    re.IGNORECASE,
)
_REALS = re.compile(
    r"(?:the set of )?all real (?:numbers|values)(?: of [a-z])?|all reals|the real numbers", re.IGNORECASE
)
_SAID = re.compile(r"(yes|no|true|false)[,.;:]\s+(?:it|they|he|she|there|this|that|the|we|you)\b[^\d]*", re.IGNORECASE)
_UNDEFINED = re.compile(r"(?:does not|doesn't) exist|d\.?n\.?e\.?|undefined|not defined", re.IGNORECASE)
_CLOCK = re.compile(
    r"(\d{1,2})(?:[:.](\d{2}))?\s*(?:\\text\{)?\s*(a\.?\s?m\.?|p\.?\s?m\.?|o'?clock|noon|midnight)\s*\}?|(\d{1,2}):(\d{2})(?::00)?(?:\s*(?:hours|hrs|h))?",
    re.IGNORECASE,
)
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+")
_CONGRUENCE = re.compile(
    r"(?:(?P<left>[^=<>]*?)\s*(?:\\equiv|=)\s*)?(?P<residue>[^=<>\\()]+?)\s*[,(]?\s*(?:\\p?mod|\\bmod|\(?\s*\bmod(?:ulo)?\b)\s*\{?\s*(?P<modulus>[^{}()]+?)\s*\}?\s*\)?"
)
_WORD_RUN = re.compile(r"[^\W\d_]+(?:(?:[-'’ ,.][ ]?|(?<=[^\W\d_]{3})/(?=[^\W\d_]{3}))[^\W\d_]+)*")
_NAME = re.compile(
    r"(?:\\(?:angle|triangle|overline|odot|square|parallelogram|overrightarrow|overleftrightarrow|overset\{\\frown\}|arc)\s*\{?\s*)?[A-Z]{1,6}'*\}?(?:\s*(?:\\(?:parallel|perp|cong|sim))\s*(?:\\(?:angle|triangle|overline)\s*\{?\s*)?[A-Z]{1,6}'*\}?)?"
)
_FUNCTIONS = {
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "log",
    "ln",
    "exp",
    "gcd",
    "lcm",
    "max",
    "min",
    "det",
    "sinh",
    "cosh",
    "tanh",
    "arcsin",
    "arccos",
    "arctan",
    "sqrt",
    "frac",
    "floor",
    "ceil",
}
# math-verify reads "17 1" as 17 + 1.
_IN_A_ROW = re.compile(r"(?<![_^{\d.])\d+(?:\.\d+)?\s+\{?\d|(?<![_^{\d.])\d+\{\d")
_SHOUTED = re.compile(r"YES|NO|TRUE|FALSE|NONE")
_VOWELS = re.compile(r"[eiou]")
_GREEK = re.compile(r"[Ͱ-Ͽ]")


@lru_cache(maxsize=8192)
def read(text: str) -> Value:
    """What an answer says.

    Args:
        text: as it was found, not yet cleaned.
    """
    return read_clean(clean(text))


def read_clean(text: str) -> Value:
    """The same for a text that is clean; also for the parts of one."""
    if not text:
        return Unreadable(text, "empty")
    if not algebra.balanced(text) and enclosed(text) is None:
        return Unreadable(text, "its brackets do not close")
    try:
        return _read(text)
    except TooLarge:
        return Formula(text)  # Not worked out: equal to the same formula alone.


def _read(text: str) -> Value:
    for look in (_special, _time, _congruence, _digits, _listed, _plain, read_quantity, _bracketed, _relation, _words):
        found = look(text)
        if found is not None:
            return found
    if _IN_A_ROW.search(text):
        return Unreadable(text, "two numbers in a row")
    if re.search(r"\d\s*_", text):
        return Unreadable(text, "digits with an index that is no base")
    if re.search(r"\d'", text):
        return Unreadable(text, "a mark after a number: feet, minutes or a derivative")
    if not _prose(text) and algebra.readable(text):
        return Formula(text)
    return Unreadable(text, "no number, no formula and no short word")


def _special(text: str) -> Value | None:
    words = re.sub(r"\\text\{([^{}]*)\}", r"\1", text).strip()
    if _REALS.fullmatch(words):
        return Ranges((Piece(None, True, None, True),), "", text)
    if _EMPTY_SET.fullmatch(words):
        return Words("∅", exact=False)
    if verdict := _SAID.fullmatch(words):
        return Words(verdict[1], exact=False)
    if _UNDEFINED.fullmatch(words):
        return Words("undefined", exact=False)
    return None


def _time(text: str) -> Value | None:
    match = _CLOCK.fullmatch(text)
    if match and int(match[1] or match[4]) <= 24 and int(match[2] or match[5] or 0) < 60:
        said = {"noon": "pm", "midnight": "am"}.get((match[3] or "").lower()) or re.sub(
            r"[^apm]", "", (match[3] or "").lower()
        )
        return Clock(
            int(match[1] or match[4]),
            int(match[2] or match[5] or 0),
            "am" if said == "am" else "pm" if said == "pm" else "",
            text,
        )
    if _RATIO.fullmatch(text):
        return Ratio(tuple(Fraction(part.strip()) for part in text.split(":")), text)
    return None


def _congruence(text: str) -> Value | None:
    if "mod" not in text:
        return None
    match = _CONGRUENCE.fullmatch(re.sub(r"\\text\{([^{}]*)\}", r"\1", text))
    return (
        Congruence((match["left"] or "").strip(), match["residue"].strip(), match["modulus"].strip(), text)
        if match
        else None
    )


def _digits(text: str) -> Value | None:
    found = based(text)
    return Digits(found, text) if found else None


def _plain(text: str) -> Value | None:
    kind = enclosed(text)
    if kind is not None and len(split_list(kind[2], grouping=False)[0]) > 1:
        return None  # (1,234) is a pair
    value = exact(text)
    return Number(value, text) if value is not None and not text.rstrip("\\ ").endswith("%") else None


def _listed(text: str) -> Value | None:
    """Values one after another, with commas, "and" and "or" between them."""
    whole = re.fullmatch(r"\\text\{([^{}]*)\}", text)
    parts, joined = split_list(whole[1] if whole else text)
    if len(parts) < 2:
        plus_minus = _both_signs(text)
        return Collection("list", plus_minus, text) if plus_minus else None
    if (joined == "," and exact(text) is not None) or read_quantity(text) is not None:
        return None  # 1,234, or 3 years and 2 months
    bounds = _bounded(text, parts, joined)
    if bounds is not None:
        return bounds
    items = tuple(item for part in parts for item in _items_of(read_clean(part)))
    bad = next((item for item in items if isinstance(item, Unreadable)), None)
    if bad is not None:
        return _words(text) or Unreadable(text, f"{bad.text!r} in it: {bad.why}")
    if len(items) == 2 and joined == "," and all(isinstance(item, Words) for item in items) and " " in parts[0].strip():
        return _words(text) or Collection("list", items, text)
    return Collection("list", _shared_names(items), text)


def _bounded(text: str, parts: list[str], joined: str) -> Ranges | None:
    """x < 1 or x > 3; x > 1 and x < 3."""
    found = [read_relation(part) for part in parts]
    bounds = [one for one in found if isinstance(one, Ranges)]
    if len(bounds) < len(parts) or len({one.name for one in bounds}) > 1:
        return None
    name = bounds[0].name
    if joined == "or":
        return Ranges(tuple(piece for one in bounds for piece in one.pieces), name, text)
    met = _met(bounds)
    return None if met is None else Ranges((met,), name, text)


def _items_of(value: Value) -> tuple[Value, ...]:
    """A value that is a list of its own within a list (\\pm 2, or x = 1 or 2)."""
    return value.items if isinstance(value, Collection) and value.kind == "list" else (value,)


def _shared_names(items: tuple[Value, ...]) -> tuple[Value, ...]:
    """In "x = 1 or 2" the second value has the first one's name."""
    first = items[0]
    if isinstance(first, Named) and not any(isinstance(item, Named) for item in items[1:]):
        return tuple(item if index == 0 else Named(first.name, item, first.text) for index, item in enumerate(items))
    return items


def _both_signs(text: str) -> tuple[Value, ...]:
    if text.count("\\pm") != 1 or "\\mp" in text:
        return ()
    left, _, right = text.partition("\\pm")
    return tuple(read_clean(" ".join(f"{left}{sign}{right}".split()).removeprefix("+").strip()) for sign in "+-")


def _met(found: list[Ranges]) -> Piece | None:
    """x > 1 and x < 3: one interval."""
    if len(found) != 2 or any(len(one.pieces) != 1 for one in found):
        return None
    a, b = found[0].pieces[0], found[1].pieces[0]
    if a.low is None:
        a, b = b, a
    if a.low is None or a.high is not None or b.low is not None or b.high is None:
        return None
    return Piece(a.low, a.low_open, b.high, b.high_open)


def _bracketed(text: str) -> Value | None:
    """Tuples, sets, intervals and their unions."""
    if "\\cup" in text or re.search(r"\\setminus|\\mathbb\s*\{?R", text):
        return _united(text)
    kind = enclosed(text)
    if kind is None:
        return None
    opening, closing, inside = kind
    if opening == "{":
        return _set(text, inside)
    parts, joined = split_list(inside, grouping=False)
    if len(parts) < 2 or joined in ("or", "and"):
        return None
    if len(parts) == 2 and ((opening, closing) != ("(", ")") or "\\infty" in inside):
        return _rows(parts) or _interval(text, opening, closing, parts)
    return _rows(parts) or Collection("tuple", tuple(read_clean(part) for part in parts), text)


def _rows(parts: list[str]) -> Formula | None:
    """[[1, 2], [3, 4]]: a matrix, by its rows."""
    rows = [row for part in parts if (row := enclosed(part)) is not None and row[:2] == ("[", "]")]
    if len(rows) < len(parts):
        return None
    cells = r" \\ ".join(" & ".join(split_list(inside, grouping=False)[0]) for _, _, inside in rows)
    return Formula(rf"\begin{{pmatrix}} {cells} \end{{pmatrix}}")


def _set(text: str, inside: str) -> Value:
    if re.search(r"(?<!\|)(?:\||:)(?!\|)", inside) and not _RATIO.fullmatch(inside):
        condition = re.split(r"\||:", inside, maxsplit=1)[1]
        told = read_relation(condition.strip())
        if told is not None:
            return told
        return Formula(text) if algebra.readable(text) else Unreadable(text, "a set told by a condition")
    return Collection("set", tuple(read_clean(part) for part in split_list(inside, grouping=False)[0]), text)


def _interval(text: str, opening: str, closing: str, parts: list[str]) -> Value:
    """[a, b] may be a list of two as well; ]a, b[ is open."""
    low, high = (None if "\\infty" in part else part for part in parts)
    if (opening, closing) == ("[", "]") and low is not None and high is not None:
        return Collection("closed", tuple(read_clean(part) for part in parts), text)
    piece = Piece(low, opening in "(]" or low is None, high, closing in ")[" or high is None)
    return Ranges((piece,), "", text)


def _united(text: str) -> Value | None:
    body = re.sub(r"^[A-Za-z]\s*\\in\s*", "", text)
    if match := re.fullmatch(
        r"(?:\\mathbb\s*\{?\s*R\s*\}?|\(-\s*\\infty\s*,\s*\+?\\infty\s*\))\s*(?:\\setminus|-)\s*\\\{(.*)\\\}", body
    ):
        points = split_list(match[1], grouping=False)[0]
        edges: list[str | None] = [None, *points, None]
        return Ranges(tuple(Piece(low, True, high, True) for low, high in pairwise(edges)), "", text)
    if re.fullmatch(r"\\mathbb\s*\{?\s*R\s*\}?", body):
        return Ranges((Piece(None, True, None, True),), "", text)
    pieces: list[Piece] = []
    for part in body.split("\\cup"):
        found = read_clean(part.strip())
        if isinstance(found, Ranges):
            pieces.extend(found.pieces)
        elif isinstance(found, Collection) and found.kind in ("tuple", "closed") and len(found.items) == 2:
            is_open = found.kind == "tuple"
            pieces.append(Piece(found.items[0].text, is_open, found.items[1].text, is_open))
        elif isinstance(found, Collection) and found.kind == "set":
            pieces.extend(Piece(item.text, False, item.text, False) for item in found.items)
        else:
            return None
    return Ranges(tuple(pieces), "", text)


def _relation(text: str) -> Value | None:
    found = read_relation(text)
    if found is not None:
        return found
    match = re.fullmatch(r"(.+?)\s*(=|\\approx|\\doteq|:=)\s*(.+)", text)
    if match and algebra.balanced(match[1]) and algebra.balanced(match[3]):
        left, right = match[1].strip(), match[3].strip()
        if exact(left) is not None and re.fullmatch(r"[A-Za-z](?:_\{?\w+\}?)?", right):
            left, right = right, left  # 5 = x
        if together := _together(left, right, text):
            return together
        return Named(left, read_clean(right), text, rounded=match[2] == "\\approx")
    if match := re.fullmatch(r"([A-Za-z](?:_\{?\w+\}?)?)\s*\\in\s*(.*)", text):
        return read_clean(match[2])
    return None


def _together(left: str, right: str, text: str) -> Value | None:
    """(x, y) = (1, 2): the values of the names."""
    names, values = enclosed(left), enclosed(right)
    if names is None or values is None or names[0] != "(":
        return None
    pairs = [split_list(side[2], grouping=False)[0] for side in (names, values)]
    if len(pairs[0]) != len(pairs[1]) or len(pairs[0]) < 2:
        return None
    return Collection("tuple", tuple(Named(a, read_clean(b), f"{a}={b}") for a, b in zip(*pairs, strict=True)), text)


def _prose(text: str) -> bool:
    """Whether words stand in it, which the library would take for products of letters."""
    bare = re.sub(r"\\text\{[^{}]*\}|\\(?:begin|end)\{[a-zA-Z]+\}|\\[A-Za-z]+", " ", text)
    runs = [run for run in re.findall(r"[A-Za-z]{2,}", bare) if run.lower() not in _FUNCTIONS]
    return (
        any(len(run) >= 4 or CHANGES.fullmatch(run) for run in runs)
        or CHANGES.search(" ".join(re.findall(r"\\text\{([^{}]*)\}", text))) is not None
    )


def _words(text: str) -> Value | None:
    bare = " ".join(re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text).split()).strip("\"'").strip()
    if letter := re.fullmatch(r"\(\s*([A-Z])\s*\)", bare):
        return Words(letter[1], exact=True)
    in_text = "\\text" in text and "\\" not in bare
    if not in_text and len(bare) > 1 and _NAME.fullmatch(bare):
        return Words(re.sub(r"[\s{}]", "", bare), exact=not _SHOUTED.fullmatch(bare))
    if not _WORD_RUN.fullmatch(bare) or len(bare.split()) > 8:
        return None
    letters = re.sub(r"[^A-Za-z]", "", bare)
    if in_text:
        name = bare.isupper() and 1 < len(letters) <= 5 and not _SHOUTED.fullmatch(bare)
        return Words(bare, exact=name or len(letters) == 1)
    return None if _product(bare, letters) else Words(bare, exact=False)


def _product(bare: str, letters: str) -> bool:
    """Whether letters are variables: x, xy, abc; and no word of few letters: no, odd."""
    if len(letters) < 2:
        return bare.isascii() or (_GREEK.search(bare) is not None and len(bare) < 3)
    return bare.islower() and len(letters) < 4 and not _VOWELS.search(letters) and " " not in bare
