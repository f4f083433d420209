"""A reward for form alone: is there exactly one answer, where it belongs, whatever it says."""

from __future__ import annotations

import re

from perilune.rewards.answers import MAX_ANSWER_CHARACTERS, AnswerForm, find_answers
from perilune.types import Grade, Problem, Stop, Verdict

_THINKING = re.compile(r"\s*<think>(.*?)</think>(.*)", re.DOTALL)


class FormatReward:
    """1 if the response gives exactly one answer in its form and writes nothing after it, else 0.

    Args:
        answer_form: where the answer must be.
        think_tags: whether the response must also begin with one ``<think>…</think>``, the answer after it
            (DeepSeek-R1's format reward).
    """

    def __init__(self, answer_form: AnswerForm = "any", think_tags: bool = False) -> None:
        self._answer_form = answer_form
        self._think_tags = think_tags

    def __call__(self, problem: Problem, response: str, stop: Stop) -> Grade:
        """Grade the response; the problem's reference answer is not looked at."""
        fault = self._fault(response)
        return Grade(Verdict.WRONG, 0.0, fault) if fault else Grade(Verdict.RIGHT, 1.0, "the form is right")

    def _fault(self, response: str) -> str | None:
        if self._think_tags:
            match = _THINKING.fullmatch(response)
            if match is None or response.count("<think>") != 1 or response.count("</think>") != 1:
                return "not one <think>…</think> at the beginning"
            if not match.group(1).strip():
                return "nothing between <think> and </think>"
            response = match.group(2)
        answers = find_answers(response, self._answer_form)
        if len(answers) != 1:
            return f"{len(answers)} answers" if answers else "no answer found"
        if len(answers[0].text) > MAX_ANSWER_CHARACTERS:
            return f"answer of {len(answers[0].text)} characters"
        # Closing delimiters and punctuation belong to the answer: "The result is $\boxed{18}$."
        if response[answers[0].end :].strip(" \t\r\n$.*_)]\\"):
            return "text after the answer"
        return None
