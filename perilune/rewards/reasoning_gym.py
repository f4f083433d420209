"""The reward of Reasoning Gym's tasks: each task's own scorer."""

from __future__ import annotations

import importlib.util

from perilune.errors import RewardError
from perilune.rewards.answers import AnswerForm, FoundAnswer, find_answers
from perilune.rewards.gym_answers import fault_of
from perilune.rewards.gym_entries import GymEntry, named, read_entry
from perilune.types import Explanation, Grade, Problem, Stop, Verdict

_ONE_LINE = frozenset({"answer_line", "hashes", "sentence"})


class ReasoningGymReward:
    """Scores the response's last answer with the task's own scorer, which may give part of the score.

    ``Problem.answer`` is the task's entry as JSON: an object with ``question``, ``answer`` and ``metadata``, the last
    with ``source_dataset``. Right is a score of 1. Where the scorer raises, the answer is wrong.

    Args:
        answer_form: where the answer must be.
        thinking_counts: whether an answer may stand inside the thinking.

    Raises:
        RewardError: Reasoning Gym is not installed.
    """

    def __init__(self, answer_form: AnswerForm = "any", *, thinking_counts: bool = False) -> None:
        if importlib.util.find_spec("reasoning_gym") is None:
            raise RewardError(
                "the reward 'reasoning_gym' needs the package reasoning-gym; "
                "install it with: pip install 'perilune[reasoning-gym]'"
            )
        self._answer_form = answer_form
        self._thinking_counts = thinking_counts

    def __call__(self, problem: Problem, response: str, stop: Stop) -> Grade:
        """Grade the response.

        Raises:
            ValueError: the entry cannot be judged by; says why.
        """
        return self.explain(problem, response, stop).grade

    def check_reference(self, problem: Problem) -> None:
        """Raise ValueError unless the entry can be judged by: its own answer earns 1, and nonsense does not."""
        own = read_entry(problem.answer).answer
        if own is not None and "\n" in own.strip() and self._answer_form in _ONE_LINE:
            raise ValueError(
                f"the answer has several lines, and rewards.answer_form = {self._answer_form!r} takes one; "
                "set it to 'answer_tag', 'boxed' or 'any'"
            )

    def explain(self, problem: Problem, response: str, stop: Stop) -> Explanation:
        """The grade, and how it came about.

        Raises:
            ValueError: the entry cannot be judged by; says why.
        """
        entry = read_entry(problem.answer)
        reference = "none: the task's scorer alone says what is right" if entry.answer is None else entry.answer
        answers = find_answers(response, self._answer_form, in_thinking=self._thinking_counts)
        if not answers:
            nothing = Grade(Verdict.WRONG, 0.0, "no answer found")
            return Explanation(nothing, reference=reference, rule="no answer found")
        found = answers[-1]
        grade, rule = _judged(entry, found)
        return Explanation(grade, found.text, found.mark, reference, found.text, rule)


def _judged(entry: GymEntry, found: FoundAnswer) -> tuple[Grade, str]:
    """The grade, and the rule that decided."""
    own, scorer = entry.answer or "", f"the scorer of reasoning-gym's task {entry.task}"
    if found.text != own.strip():
        fault = fault_of(entry.task, found.text, own)
        if fault is not None:
            return Grade(Verdict.WRONG, 0.0, fault), "what no scorer is shown"
    try:
        score = entry.score(found.text)
    except Exception as error:
        # Its own answer can be scored, so that it is this text which cannot.
        return Grade(Verdict.WRONG, 0.0, f"{scorer} cannot read it: {named(error)}"), f"{scorer} cannot read it"
    if score >= 1.0 and "nan" in found.text.lower() and "nan" not in own.lower():
        # A distance to what is no number is no number, and some scorers take that for none.
        return Grade(Verdict.WRONG, 0.0, f"{found.text}: not a number"), "what is no number equals none"
    score = min(1.0, max(0.0, score))
    verdict = Verdict.RIGHT if score >= 1.0 else Verdict.WRONG
    return Grade(verdict, score, found.text), f"{scorer} gives {score:g} of 1"
