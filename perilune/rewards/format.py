"""A reward for form alone: is there exactly one answer, where it belongs, whatever it says."""

from __future__ import annotations

import re

from perilune.rewards.answers import MAX_ANSWER_CHARACTERS, AnswerForm, FoundAnswer, find_answers
from perilune.types import Explanation, Grade, Problem, Stop, Verdict

_THINKING = re.compile(r"\s*<think>(.*?)</think>(.*)", re.DOTALL)


class FormatReward:
    """1 if the response gives exactly one answer in its form and writes nothing after it, else 0.

    Args:
        answer_form: where the answer must be.
        think_tags: whether the response must also begin with one ``<think>…</think>``, the answer after it
            (DeepSeek-R1's format reward).
        thinking_counts: whether an answer may stand inside the thinking.
    """

    def __init__(
        self, answer_form: AnswerForm = "any", think_tags: bool = False, *, thinking_counts: bool = False
    ) -> None:
        self._answer_form = answer_form
        self._think_tags = think_tags
        self._thinking_counts = thinking_counts

    def __call__(self, problem: Problem, response: str, stop: Stop) -> Grade:
        """Grade the response; the problem's reference answer is not looked at."""
        return self.explain(problem, response, stop).grade

    def explain(self, problem: Problem, response: str, stop: Stop) -> Explanation:
        """The grade, and how it came about."""
        fault, found = self._fault(response)
        grade = Grade(Verdict.WRONG, 0.0, fault) if fault else Grade(Verdict.RIGHT, 1.0, "the form is right")
        rule = "one answer in its form, and nothing after it"
        if self._think_tags:
            rule = f"one <think>…</think> at the beginning, then {rule}"
        if found is None:
            return Explanation(grade, rule=rule)
        return Explanation(grade, found=found.text, where=found.mark, rule=rule)

    def _fault(self, response: str) -> tuple[str, FoundAnswer | None]:
        """What is wrong, "" if nothing; and the last answer, if it came to that."""
        if self._think_tags:
            response, fault = _after_thinking(response)
            if fault:
                return fault, None
        answers = find_answers(response, self._answer_form, in_thinking=self._thinking_counts)
        if not answers:
            return "no answer found", None
        last = answers[-1]
        if len(answers) > 1:
            return f"{len(answers)} answers", last
        if len(last.text) > MAX_ANSWER_CHARACTERS:
            return f"answer of {len(last.text)} characters", last
        # Closing delimiters and punctuation belong to the answer: "The result is $\boxed{18}$."
        if response[last.end :].strip(" \t\r\n$.*_)]\\"):
            return "text after the answer", last
        return "", last


def _after_thinking(response: str) -> tuple[str, str]:
    """What follows the thinking, and what is wrong with that; "" if nothing."""
    match = _THINKING.fullmatch(response)
    if match is None or response.count("<think>") != 1 or response.count("</think>") != 1:
        return "", "not one <think>…</think> at the beginning"
    return match.group(2), "" if match.group(1).strip() else "nothing between <think> and </think>"
