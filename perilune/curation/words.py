"""A question's text for comparison: what differs only in typography, layout or politeness becomes equal."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

_ALIKE = str.maketrans(
    {
        **dict.fromkeys("‘’‛′`´", "'"),
        **dict.fromkeys("–−‒‐‑－", "-"),
        **dict.fromkeys("×⋅·∙∗", "*"),
        **dict.fromkeys("÷⁄∕", "/"),
        **dict.fromkeys("\u200b\u200c\u200d\ufeff\u00ad", ""),
        # A superscript is a power: NFKC alone would make x² the same as x2.
        **{mark: f"^{digit}" for digit, mark in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
        # NFKC would glue the whole number to the fraction: 2½ is no 21/2.
        **{mark: f" {unicodedata.normalize('NFKC', mark)}" for mark in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"},
    }
)
_LATEX = [
    # A fraction of single terms needs no brackets, others do: (a+b)/c is not a+b/c.
    (re.compile(r"\\[dtc]?frac\s*\{\s*(\w+)\s*\}\s*\{\s*(\w+)\s*\}"), r" \1/\2 "),
    (re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r" (\1)/(\2) "),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)"), r" \1/\2 "),
    (re.compile(r"\\(?:left|right|big|Big|bigg|Bigg|displaystyle|limits)(?![A-Za-z])\s*\.?"), ""),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf|textit|mathit|operatorname|boxed|mbox)\s*(?=\{)"), " "),
    (re.compile(r"\\(?:q?quad|thinspace|[ ,;:!>\\])|~"), " "),
    (re.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])"), "*"),
    (re.compile(r"\\div(?![A-Za-z])"), "/"),
    (re.compile(r"\\sqrt(?![A-Za-z])"), "√"),
    (re.compile(r"(?<=[\^√])\s*\{([^{}]*[^{}\w][^{}]*)\}"), r"(\1)"),
    (re.compile(r"\\leq?(?:slant)?(?![A-Za-z])|<="), "≤"),
    (re.compile(r"\\geq?(?:slant)?(?![A-Za-z])|>="), "≥"),
    (re.compile(r"\\neq?(?![A-Za-z])|!="), "≠"),
    (re.compile(r"\\pi(?![A-Za-z])"), "π"),
    (re.compile(r"\\(?:circ|degree)(?![A-Za-z])|\^\s*\{?\s*°\s*\}?|\bdegrees\b"), "°"),
    (re.compile(r"\bper\s?cent\b"), "%"),
    (re.compile(r"\*\*"), " "),  # bold marks
    # Dollars are delimiters or currency: a price is the same number without them.
    (re.compile(r"\\[()\[\]]|\\?\$|\\"), " "),
]
CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(
    r"(?P<number>(?:\d{1,3}(?:\{?,\}?\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<![\w.])\.\d+)"
    rf"|(?P<cjk>[{CJK}])"
    rf"|(?P<word>[^\W\d_{CJK}]+(?:'[^\W\d_{CJK}]+)*)"
    r"|(?P<hyphen>(?<=\w)-(?=[^\W\d_]{2})|(?<=[^\W\d_]{2})-(?=\w)|(?<=[^\W\d_]{2})\s-+\s(?=[^\W\d_]{2}))"
    r"|(?P<ratio>(?<=\d)\s?:\s?(?=\d))"
    r"|(?P<factorial>(?<=[\d)])!)"
    r"|(?P<symbol>[-+*/^=<>%()\[\]|@#&]|[^\w\s\x00-\x7f])"
)
_DROPPED = '"“”„«»…、。，；：？！—―《》「」『』【】〈〉•·_'
_LEAD_IN = re.compile(
    r"\s*(?:(?:(?:please|kindly|can you|could you)\s+)?(?:help me\s+)?(?:solve|answer|work out|consider|read)"
    r"(?:\s+(?:(?:the|this)\s+)?(?:following|next|given|below)?\s*(?:math(?:ematics|s)?\s+)?(?:word\s+)?"
    r"(?:problem|question|exercise|task)s?)?(?:\s+(?:carefully|step by step|below))?\s*[:.\n]"
    r"|(?:here is (?:a|the) |the |math |next )?(?:question|problem|exercise|task|puzzle|example|q)\s*"
    r"(?:\(?#?\d{1,4}\)?)?\s*[:.)\n]"
    r"|please[,:]?\s|(?:请)?(?:解答|回答|解决|解)(?:下列|以下|下面)?(?:的)?(?:数学)?(?:问题|题目|这道题)?\s*[::]"
    r"|(?:问题|题目|例题|应用题|例)\s*\d*\s*[::.]|#+\s)\s*",
    re.IGNORECASE,
)
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBER_WORDS = {word: value for value, word in enumerate(_SMALL)} | {
    word: 10 * tens for tens, word in enumerate(_TENS, 2)
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_NOT_COUNTING = {"the", "this", "that", "which", "each", "every", "no", "any", "another", "some", "only", "other"}
_CHINESE_DIGITS = {mark: value for value, mark in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1000, "万": 10000}
_CHINESE_NUMBER = re.compile(
    r"(?<![第之星周同统唯])([零一二两三四五六七八九十百千万]+)"
    r"(?=[个只本支枝元人天次米块条张名位棵辆颗件斤岁年倍箱盒袋瓶杯朵层排组套双]|小时|分钟|千米|千克|公里|厘米)"
)


def tokens(text: str) -> tuple[str, ...]:
    """The text's words, numbers and meaningful symbols in order.

    Words are case-folded, numbers stand without thousands separators and idle zeros, LaTeX is read as plain
    mathematics, CJK characters stand singly. Sentence punctuation, quotation marks, hyphens and delimiters are gone.

    Args:
        text: any text.
    """
    text = text.translate(_ALIKE)
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    text = unicodedata.normalize("NFKC", text).translate(_ALIKE).casefold()
    found = []
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match.group()
        if kind == "number":
            token = _plain(token)
        elif kind == "ratio":
            token = ":"
        if kind != "hyphen" and token not in _DROPPED:
            found.append(token)
    return tuple(found)


def without_lead_in(text: str) -> str:
    """The text without 'Please solve:', 'Question 3.', '题目:' and the like at its beginning."""
    for _ in range(3):
        match = _LEAD_IN.match(text)
        if match is None or match.end() == len(text):
            break
        text = text[match.end() :]
    return text


def numbers(text: str, words: Sequence[str]) -> Counter[Fraction]:
    """The multiset of the numbers in a text: digits, English number words, Chinese numerals before a measure word.

    'one' counts unless it stands for a thing ('the one', 'each one', 'one of them').

    Args:
        text: any text.
        words: its :func:`tokens`.
    """
    found = Counter(Fraction(word) for word in words if _is_number(word))
    found.update(_spelled(words))
    found.update(Fraction(_chinese_value(match.group(1))) for match in _CHINESE_NUMBER.finditer(text))
    return found


def operators(words: Sequence[str]) -> Counter[str]:
    """The multiset of the signs between numbers, letters and brackets: what a formula does with its terms.

    Args:
        words: the :func:`tokens` of a text.
    """
    words = ("", *words, "")
    signs = "+-*/^=<>≤≥≠√:"
    return Counter(
        word
        for before, word, after in zip(words, words[1:], words[2:], strict=False)
        if word in signs and word and (word == "√" or _is_term(before)) and _is_term(after)
    )


def rational(words: Sequence[str]) -> Fraction | None:
    """The value of a number or a simple fraction, whatever its typography; None if the text is something else.

    Args:
        words: the :func:`tokens` of a text.
    """
    match words:
        case (value,) if _is_number(value):
            return Fraction(value)
        case ("-", value) if _is_number(value):
            return -Fraction(value)
        case (top, "/", bottom) if _is_number(top) and _is_number(bottom) and Fraction(bottom):
            return Fraction(top) / Fraction(bottom)
        case ("-", top, "/", bottom) if _is_number(top) and _is_number(bottom) and Fraction(bottom):
            return -Fraction(top) / Fraction(bottom)
    return None


def _plain(number: str) -> str:
    number = number.replace(",", "").replace("{", "").replace("}", "")
    whole, _, decimals = number.partition(".")
    whole = whole.lstrip("0") or "0"
    decimals = decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole


def _is_number(token: str) -> bool:
    # Longer ones are no numbers that anyone reads, and int() refuses them.
    return len(token) <= 1000 and token[0].isdecimal() and token.replace(".", "", 1).isdecimal()


def _is_term(token: str) -> bool:
    return bool(token) and (_is_number(token) or (len(token) == 1 and (token.isalpha() or token in "()[]|√-%°")))


def _spelled(words: Sequence[str]) -> list[Fraction]:
    """Values of runs of number words: 'two hundred and five' is one number."""
    found: list[Fraction] = []
    total: int | None = None
    for place, word in enumerate((*words, "")):
        if word in _NUMBER_WORDS and not _is_pronoun(words, place):
            value = _NUMBER_WORDS[word]
            room = total is not None and total % 100 == 0 if value >= 10 else total is not None and total % 10 == 0
            if total is not None and not (room and total >= 20):
                found.append(Fraction(total))
                total = None
            total = value + (total or 0)
        elif word in _SCALES and (total is not None or (place and words[place - 1] == "a")):
            total = (total or 1) * _SCALES[word]
        elif word != "and" or total is None or total % 100:
            if total is not None:
                found.append(Fraction(total))
            total = None
    return found


def _is_pronoun(words: Sequence[str], place: int) -> bool:
    if words[place] != "one":
        return False
    before, after = words[place - 1] if place else "", words[place + 1] if place + 1 < len(words) else ""
    return before in _NOT_COUNTING or after in {"of", "another", "day"}


def _chinese_value(numeral: str) -> int:
    total, current, digit = 0, 0, 0
    for mark in numeral:
        if mark in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[mark]
        elif mark == "万":
            total, current, digit = (total + current + digit) * 10000, 0, 0
        else:
            current += (digit or 1) * _CHINESE_SCALES[mark]
            digit = 0
    return total + current + digit
