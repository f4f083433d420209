"""Which forms of questions cannot be evaluated accurately (k1.5, section 2.1): multiple choice, true/false and proof.

The rules read English and Chinese. Where the wording alone leaves a doubt the reference answer decides: a question that
asks for a value, and has a short one, stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from perilune.curation import wordings
from perilune.curation.fates import Reason
from perilune.curation.options import Options, find_options

# Full-width marks as ASCII; no NFKC here, since circled digits label options.
_ASCII = {0x3000: " ", 0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'}
_ASCII |= {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}


@dataclass(frozen=True, slots=True)
class _Question:
    text: str
    answer: str

    @property
    def value(self) -> bool:
        """Whether the reference answer is a number or a short formula, not a sentence."""
        answer = self.answer.strip().strip("$")
        words = re.findall(r"(?<!\\)\b[^\W\d_]{4,}", re.sub(r"\\[A-Za-z]+", "", answer))
        return 0 < len(answer) <= 60 and len(words) <= 3 and not wordings.NO_VALUE.match(answer)

    @property
    def numeric(self) -> bool:
        """Whether it is a number, perhaps with a unit."""
        return self.value and bool(re.search(r"\d", self.answer))

    @property
    def asks_value(self) -> bool:
        return bool(wordings.ASKS_VALUE.search(self.text))


def form_of(problem_text: str, answer: str) -> tuple[Reason, str] | None:
    """Whether the problem is of a form that cannot be evaluated accurately.

    Args:
        problem_text: the question.
        answer: its reference answer; may be empty.

    Returns:
        The form and what gave it away, in one line; None if the problem is none of these. Of several forms the first
        of multiple choice, proof, true/false.
    """
    # Runs of white space say nothing, and patterns would try every part of them.
    text = re.sub(r"\s+", lambda run: "\n" if "\n" in run.group() else " ", problem_text)
    question = _Question(text.translate(_ASCII), answer.translate(_ASCII))
    for reason, look in (
        (Reason.MULTIPLE_CHOICE, _multiple_choice),
        (Reason.PROOF, _proof),
        (Reason.TRUE_FALSE, _true_false),
    ):
        found = look(question)
        if found:
            return reason, " ".join(found.split())[:80]
    return None


def _multiple_choice(question: _Question) -> str:
    options = find_options(question.text)
    cue = wordings.CHOICE.search(question.text)
    if options is not None and _offered(question, options, cue is not None):
        return "options " + ", ".join(options.labels)
    if cue is None:
        return ""
    if wordings.VALUE_OF_LIST.search(question.text) and question.numeric:
        return ""
    if question.numeric and question.asks_value and question.answer.strip() not in question.text:
        return ""  # a story about a test, or a value of what is found among the following
    return f"says '{cue.group().strip()}'"


def _offered(question: _Question, options: Options, cue: bool) -> bool:
    """Whether the list is one of answers to choose from."""
    asks = wordings.ASKS.search(options.stem) is not None
    tasks = sum(bool(wordings.TASK.search(content)) for content in options.contents)
    proof = wordings.PROVE.search(options.stem) is not None
    about_list = tasks >= 2 or proof or (wordings.AFTERWARDS.search(options.tail) is not None and not cue)
    if _is_label(question.answer, options):
        # The answer 2 may be a number; B is none.
        doubtful = options.weak or not (options.upper or cue or len(options.labels) > 2)
        return not doubtful or (asks and not about_list)
    if about_list or options.weak:
        return False
    given = question.answer.strip(" .$").casefold()
    named = bool(given) and given in {content.strip(" .$").casefold() for content in options.contents}
    values = all(re.fullmatch(r"[-\d.,/%$ ]+", content) for content in options.contents)
    if wordings.VALUE_OF_LIST.search(options.stem) and question.numeric and not named and not values:
        return False
    if cue or (named and asks):
        return True
    if max(map(len, options.contents)) > 200 or (wordings.MANY.search(options.stem) and not named):
        return False
    polar = {content.strip(" .").casefold() for content in options.contents} <= wordings.SURE_WORDS
    return asks and (polar or len(options.labels) >= 3) and (options.upper or not named)


def _is_label(answer: str, options: Options) -> bool:
    """Whether the answer is one or more of the labels, or a label and its option: B, (B), A and C, B. 12."""
    if match := wordings.LETTER.fullmatch(answer.split("\n", 1)[0][:40]):
        labels, said = {label.lower() for label in options.labels}, match.group(1).lower()
        return said in labels or set(re.sub(r"\W|and|和", "", said)) <= labels
    return re.match(r"\W*[A-Ja-j①-⑩]\s*[.):、]", answer) is not None


def _true_false(question: _Question) -> str:
    answer = wordings.YES_NO.fullmatch(question.answer.strip())
    cue = wordings.TRUE_FALSE.search(question.text)
    polar = wordings.POLAR.search(question.text)
    if answer is not None and _says_only(answer, question):
        word = answer["word"].casefold()
        if word in wordings.SURE_WORDS or cue or polar:
            return f"the answer is '{answer['word']}'"
    if question.numeric and not (cue and question.answer.strip() in {"0", "1"} and not question.asks_value):
        return ""
    told = len(question.answer) <= 300 and "\n" not in question.answer and not question.answer.startswith("{")
    if cue and told and not (question.asks_value and question.answer.strip()):
        return f"asks '{cue.group().strip()}'"
    if polar is None or question.asks_value or _alternatives(polar.group()):
        return ""
    restated = len(question.answer) <= 40 and not re.search(r"[\d=\\]", question.answer)
    return f"asks '{polar.group().strip()}'" if restated else ""


def _says_only(answer: re.Match[str], question: _Question) -> bool:
    """Whether the answer ends with its yes or no, or goes on to a reason for it, not to a value that is asked for."""
    rest = answer["rest"].strip(" .!。}$*")
    if not rest:
        return True
    if not re.match(r"[\s.,;:!—–(。-]|\\", answer["rest"]) or answer["word"].casefold() not in wordings.SURE_WORDS:
        return False
    return not (question.asks_value and re.search(r"\d", rest))


def _alternatives(asked: str) -> bool:
    """'Is it red or blue?' wants one of two, not yes or no."""
    return bool(re.search(r"\bor (?!not\b|false\b|no\b|wrong\b|incorrect\b)|还是", asked))


def _proof(question: _Question) -> str:
    text = wordings.REPORTED.sub(" ", question.text)
    cue = wordings.PROVE.search(text)
    if cue is None:
        return ""
    if question.value and _asks_value_besides(text, cue, question):
        return ""
    return f"says '{cue.group().strip()}'"


def _asks_value_besides(text: str, cue: re.Match[str], question: _Question) -> bool:
    """Whether a value is asked for apart from the proof; what is to be proved may hold such words itself."""
    if re.match(r"(?i)\W*(?:explain|justify|argue)", cue.group()) and question.numeric:
        return True
    return bool(wordings.ASKS_VALUE.search(text[: cue.start()]) or wordings.ASKS_VALUE.search(text[cue.end() :]))
