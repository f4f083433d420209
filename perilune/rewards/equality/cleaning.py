"""One way of writing for the many in which the same is written: marks, spaces, styles, signs outside of ASCII.

Nothing here changes a value. What is a matter of reading (units, lists, intervals) comes after.
"""

from __future__ import annotations

import re

from perilune.rewards.answers import sole_box
from perilune.rewards.equality.wording import without_label

CURRENCY = "＄"
"""Stands for a dollar sign that is money, and no delimiter of mathematics."""

_SIGNS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": r"\times ", "⋅": r"\cdot ", "·": r"\cdot ", "∙": r"\cdot ",
    "÷": "/", "∕": "/", "⁄": "/", "≤": r"\le ", "≥": r"\ge ", "≦": r"\le ", "≧": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ",
    "≠": r"\ne ", "≈": r"\approx ", "≅": r"\cong ", "≡": r"\equiv ", "∈": r"\in ", "∪": r"\cup ", "∩": r"\cap ",
    "∞": r"\infty ", "±": r"\pm ", "∓": r"\mp ", "∅": r"\emptyset ", "∠": r"\angle ", "△": r"\triangle ",
    "º": r"^\circ ", "°": r"^\circ ", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"', "″": "''",
    "∥": r"\parallel ", "⊥": r"\perp ",
    "→": r"\to ", "∖": r"\setminus ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "½": r"\frac{1}{2}",
    "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}",
    "⅛": r"\frac{1}{8}", "：": ":", "，": ",", "（": "(", "）": ")", "；": ";", "＝": "=", "＋": "+", "％": "%",
    "、": ",",
    "\u2009": " ", "\u202f": " ", "\u00a0": " ", "\u2007": " ", "\u3000": " ", "\u200b": "", "\u2061": "", "\ufeff": "",
}  # fmt: skip
_SIGNS |= dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", [*(f"^{d}" for d in range(10)), "^-"], strict=True))
_SIGNS |= dict(zip("₀₁₂₃₄₅₆₇₈₉", (f"_{d}" for d in range(10)), strict=True))
_GREEK = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega
"""
_SIGNS |= dict(zip("αβγδεζηθικλμνξπρστυφχψω", (rf"\{name} " for name in _GREEK.split()), strict=True))
_CAPITALS = "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
_SIGNS |= dict(zip("ΓΔΘΛΞΠΣΦΨΩ", (rf"\{name} " for name in _CAPITALS.split()), strict=True))
_TABLE = str.maketrans(_SIGNS)
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+(?:\.\d+)?|[A-Za-z]))")
_POWERS = re.compile(r"(?<=\^)(-?\d)((?:\^-?\d)+)")
_LOWERED = re.compile(r"(?<=_)(\d)((?:_\d)+)")
_SIZES = re.compile(
    r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])\s*\.?|\\(?:displaystyle|textstyle|limits|nolimits|hfill|break|newline|nobreak)(?![A-Za-z])"
)
_BRACES = {
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\lbrack": "[",
    r"\rbrack": "]",
    r"\lvert": "|",
    r"\rvert": "|",
    r"\vert": "|",
    r"\mid": "|",
    r"\colon": ":",
}
_NAMED = re.compile(r"\\(?:lbrace|rbrace|lbrack|rbrack|lvert|rvert|vert|mid|colon)(?![A-Za-z])")
_SPACE = re.compile(
    r"(?<!\\)\\(?:[,;:> ]|(?:q?quad|enspace|thinspace)(?![A-Za-z])|hspace\{[^{}]*\}|phantom\{[^{}]*\})|~"
)
_THIN = re.compile(r"\\!|\\/")
_GROUPED = re.compile(
    r"(?<![\d.])(?<!\d,)(\d{1,3})((?:(?:\\[,;:! ]|~| |\{,\}|\{ \}|,\s*\\!\s*|\{,\}\s?)\s*\d{3})+)(?![\d])"
)
_GROUP = re.compile(r"\D+")
_DELIMITERS = re.compile(r"(?<!\\)\\[()\[\]]|\$|`|(?<![\w)])\*\*|\*\*(?![\w(\\])")
_STYLED = re.compile(
    r"\\(mathbf|boldsymbol|bm|mathit|mathsf|mathtt|mathnormal|rm|bf|it|textbf|textit|textrm|textsf|emph|mathrm|mbox|hbox"
    r"|textnormal|operatorname\*?|text)\s*\{((?:[^{}\\]|\\[ ,;!%$]|\^\s*\{\s*-?\d+\s*\}|\\cdot(?![a-z]))*)\}"
)
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_SHORT_FRACTION = re.compile(
    r"\\frac\s*(?:(\d|\\[a-z]+(?![A-Za-z])|[A-Za-z])|\{([^{}]*)\})\s*(?:(\d|\\[a-z]+(?![A-Za-z])|[A-Za-z])|\{([^{}]*)\})"
)
_SHORT_ROOT = re.compile(r"\\sqrt\s*(\d|[A-Za-z](?![A-Za-z]))")
_SYNONYMS = {
    r"\leq": r"\le",
    r"\leqslant": r"\le",
    r"\leqq": r"\le",
    r"\geq": r"\ge",
    r"\geqslant": r"\ge",
    r"\geqq": r"\ge",
    r"\neq": r"\ne",
    r"\lt": "<",
    r"\gt": ">",
    r"\ast": r"\cdot",
    r"\varnothing": r"\emptyset",
    r"\varepsilon": r"\epsilon",
    r"\varphi": r"\phi",
    r"\degree": r"^\circ",
    r"\imath": "i",
    r"\land": r"\text{ and }",
    r"\wedge": r"\text{ and }",
    r"\lor": r"\text{ or }",
    r"\vee": r"\text{ or }",
    r"\pounds": "£",
    r"\euro": "€",
    r"\rarr": r"\to",
    r"\rightarrow": r"\to",
    r"\dots": "...",
    r"\ldots": "...",
    r"\cdots": "...",
    r"\sphericalangle": r"\angle",
    r"\measuredangle": r"\angle",
    r"\vartriangle": r"\triangle",
    r"\backslash": r"\setminus",
    r"\dag": "",
    r"\nonumber": "",
}
_COMMAND = re.compile(r"\\[A-Za-z]+")
_SPELLINGS = (
    (re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*\^)"), r"\\times "),
    (re.compile(r"[✅✓✔☑🎉]|[\u2600-\u26ff\U0001f300-\U0001faff]"), ""),
    (re.compile(r"\\lg(?![A-Za-z])"), r"\\log_{10}"),
    (re.compile(r"(?<=\\\\)\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|mm|cm)\s*\]"), " "),
    (re.compile(r"(\d+)\s*'\s*(\d+)\s*(?:''|\")"), r"\1 feet \2 inches"),
    (
        re.compile(r"[\[(]\s*\\begin\{array\}\s*\{[^{}]*\}(.*?)\\end\{array\}\s*[\])]", re.DOTALL),
        r"\\begin{pmatrix}\1\\end{pmatrix}",
    ),
    (re.compile(r"^\s*\\text\{\s*([-＄]?\d[^{}]*)\}[\s.]*$"), r"\1"),
    (
        re.compile(
            r"\\(?:text)?color\s*\{[^{}]*\}|\\(?:bf|it|sf|tt|large|Large|small|normalsize|boldmath)(?![A-Za-z])"
        ),
        "",
    ),
    (re.compile(r"\\underline\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\text\{([＄€£¥%])\}"), r"\1"),
    (re.compile(r"\\not\s*="), r"\\ne "),
    (re.compile(r"\\dot\s*\{?(\d)\}?(\d*)\\dot\s*\{?(\d)\}?"), r"\\overline{\1\2\3}"),
    (re.compile(r"(?<=\d)e\{([-+]?\d+)\}"), r"e\1"),
    (re.compile(r"\{?\s*([^{}\\]+?)\s*\\choose\s*([^{}\\]+?)\s*(?:\}|$)"), r"\\binom{\1}{\2}"),
    (
        re.compile(
            r"\\begin\{(?:cases|aligned|array|gathered)\}(?:\{[lcr]*\})?(.*?)\\end\{(?:cases|aligned|array|gathered)\}",
            re.DOTALL,
        ),
        r"\1",
    ),
)
_PRIMES = re.compile(r"\^\s*\{?\s*((?:\\prime\s*)+)\}?")
_ASCII = (
    (re.compile(r"!=|=/="), r"\\ne "),
    (re.compile(r"<=|=<"), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"\*\*(?=\s*[-\d({a-z])"), "^"),
    (re.compile(r"\\log\s*_\s*(?:\{\s*e\s*\}|e(?![a-z]))"), r"\\ln"),
    (re.compile(r"\bsqrt\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![A-Za-z\\])infinity\b|(?<![A-Za-z\\])inf\b"), r"\\infty "),
    (re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])"), r"\\pi "),
)
_LETTER = {"e", "i", "d"}
_UPRIGHT = {"text", "mathrm", "textrm", "mbox", "hbox", "textnormal", "rm"}
_KNOWN = {
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
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "mod",
}


def clean(text: str) -> str:
    """The text in our one way of writing; see the module."""
    # The end of a line may have taken a space from behind its backslash.
    text = re.sub(r"(?<!\\)\\\s*$", "", text)
    text = _ROOT.sub(lambda m: rf"\sqrt{{{m[1] or m[2] or m[3]}}}", text.strip())
    text = text.translate(_TABLE)
    text = _POWERS.sub(lambda m: "{" + m[1] + m[2].replace("^", "") + "}", text)
    text = _LOWERED.sub(lambda m: "{" + m[1] + m[2].replace("_", "") + "}", text)
    text = sole_box(_without_delimiters(text).strip())
    text = _SIZES.sub("", text)
    text = _NAMED.sub(lambda m: _BRACES[m[0]], text)
    text = _COMMAND.sub(lambda m: _SYNONYMS.get(m[0], m[0]), text)
    text = (
        _GROUPED.sub(lambda m: m[1] + _GROUP.sub("", m[2]), text)
        .replace("{,}", ",")
        .replace("{:}", ":")
        .replace("{.}", ".")
    )
    text = _STYLED.sub(_unstyled, text)
    text = _THIN.sub("", _SPACE.sub(" ", text))
    text = text.replace(r"\%", "%").replace(r"\&", "&").replace(r"\#", "#")
    text = _PRIMES.sub(lambda m: "'" * m[1].count("prime"), text)
    for pattern, instead in (*_SPELLINGS, *_ASCII):
        text = pattern.sub(instead, text)
    text = _FRACTION.sub(r"\\frac", text)
    for _ in range(3):
        text = _SHORT_FRACTION.sub(lambda m: rf"\frac{{{m[1] or m[2] or ''}}}{{{m[3] or m[4] or ''}}}", text)
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    text = " ".join(text.split())
    return _trimmed(without_label(_trimmed(text)))


def _without_delimiters(text: str) -> str:
    """Without the marks of mathematics and of Markdown; dollar signs that are money stay."""
    text = text.replace(r"\$", CURRENCY)
    if text.count("$") % 2 and (money := re.search(r"\$(?=\s*\d)|(?<=\d)\$(?=\s|$)|(?<=\bUS)\$", text)):
        text = text[: money.start()] + CURRENCY + text[money.end() :]
    return _DELIMITERS.sub(" ", text)


def _unstyled(match: re.Match[str]) -> str:
    """Styled letters and words: e, i and single letters as themselves, functions by their names, words as \\text."""
    said = re.sub(r"\^\s*\{\s*(-?\d+)\s*\}", r"^\1", match[2].strip())
    if not said or said.replace(".", "").replace(",", "").lstrip("-").isdigit():
        return match[2] or " "
    if len(said) == 1 and (said in _LETTER or match[1] not in _UPRIGHT) and (match[1], said) != ("text", "d"):
        return match[2]
    if said in _KNOWN and match[1] != "text":
        return rf"\{said} "
    return rf"\text{{{said}}}"


def _trimmed(text: str) -> str:
    text = text.strip().strip("\"'" if text[:1] == text[-1:] else "").strip()
    while (
        text
        and ((text[-1] in ".,;。:" and not text.endswith("..")) or text.endswith("\\"))
        and not text.endswith((" a.m.", " p.m.", "a.m.", "p.m."))
    ):
        text = text[:-1].rstrip()
    while text.startswith(("{", "\\ ")) and _wraps(text):
        text = text[1:-1].strip()
    return text


def _wraps(text: str) -> bool:
    """Whether the first brace closes with the last."""
    if not (text.startswith("{") and text.endswith("}") and not text.endswith("\\}")):
        return False
    depth = 0
    for mark in re.finditer(r"\\.|[{}]", text):
        depth += (mark.group() == "{") - (mark.group() == "}")
        if depth == 0 and mark.end() < len(text):
            return False
    return depth == 0
