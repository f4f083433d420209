"""The math reward: the answer found where it belongs, and compared with the reference as what it says.

Reading and comparing are in :mod:`perilune.rewards.equality`; ``math-verify`` decides what algebra has to decide.
"""

from __future__ import annotations

from perilune.rewards.answers import MAX_ANSWER_CHARACTERS, AnswerForm, FoundAnswer, answer_in, find_answers, sole_box
from perilune.rewards.equality.comparing import Finding, UnreadableReference, compare, read_reference
from perilune.rewards.equality.reading import read
from perilune.rewards.equality.values import shown
from perilune.types import Explanation, Grade, Problem, Stop, Verdict

_LONGEST_REFERENCE = 1000


class MathReward:
    """Right if the response's last answer equals the reference, as a value (a²-4 and (a+2)(a-2) are equal).

    Args:
        answer_form: where the answer must be.
        format_weight: score of a wrong answer that is in the right form; a right answer scores 1.
        thinking_counts: whether an answer may stand inside the thinking.
    """

    def __init__(
        self, answer_form: AnswerForm = "any", format_weight: float = 0.0, *, thinking_counts: bool = False
    ) -> None:
        self._answer_form = answer_form
        self._format_weight = format_weight
        self._thinking_counts = thinking_counts

    def __call__(self, problem: Problem, response: str, stop: Stop) -> Grade:
        """Grade the response.

        A response without an answer, with an unreadable one, or with an overlong one is wrong; a reference that cannot
        be read is an error.
        """
        return self._graded(problem, response)[0]

    def check_reference(self, problem: Problem) -> None:
        """Raise ValueError unless the reference can be read, and is no longer than an answer may be."""
        reference = answer_of(problem.answer)
        read_reference(reference)
        if len(reference) > MAX_ANSWER_CHARACTERS:
            raise UnreadableReference(
                f"the reference answer has {len(reference)} characters, and an answer of more than "
                f"{MAX_ANSWER_CHARACTERS} is never right"
            )

    def explain(self, problem: Problem, response: str, stop: Stop) -> Explanation:
        """The grade, and how it came about."""
        grade, found, rule = self._graded(problem, response)
        return Explanation(
            grade,
            found=found.text if found else "",
            where=found.mark if found else "",
            reference=shown(read(answer_of(problem.answer))),
            answer=shown(read(sole_box(found.text))) if found and len(found.text) <= MAX_ANSWER_CHARACTERS else "",
            rule=rule,
        )

    def _graded(self, problem: Problem, response: str) -> tuple[Grade, FoundAnswer | None, str]:
        try:
            reference = answer_of(problem.answer)
            read_reference(reference)
        except UnreadableReference as error:
            return Grade(Verdict.ERROR, 0.0, str(error)), None, "the reference cannot be read"
        answers = find_answers(response, self._answer_form, in_thinking=self._thinking_counts)
        if not answers:
            return Grade(Verdict.WRONG, 0.0, "no answer found"), None, "no answer found"
        found = answers[-1]
        if len(found.text) > MAX_ANSWER_CHARACTERS:
            return Grade(Verdict.WRONG, 0.0, f"answer of {len(found.text)} characters"), found, "too long for an answer"
        finding = compare(reference, sole_box(found.text))
        if finding.equal:
            return Grade(Verdict.RIGHT, 1.0, found.text), found, finding.rule
        return Grade(Verdict.WRONG, self._format_weight, found.text), found, finding.rule


def equal_answers(reference: str, answer: str) -> bool:
    """Whether the two are the same value.

    Raises:
        ValueError: the reference cannot be read.
    """
    finding: Finding = compare(answer_of(reference), sole_box(answer.strip()))
    return finding.equal


def answer_of(reference: str) -> str:
    """The answer in a reference: see :func:`perilune.rewards.answers.answer_in`.

    Raises:
        UnreadableReference: it is longer than any answer.
    """
    text = answer_in(reference)
    if text == reference.strip() and len(text) > _LONGEST_REFERENCE:
        raise UnreadableReference(f"the reference answer has {len(text)} characters, and no box that says which count")
    return text
