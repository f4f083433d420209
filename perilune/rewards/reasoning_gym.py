"""The reward of Reasoning Gym's tasks: each task's own scorer."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from perilune.errors import RewardError
from perilune.rewards.answers import AnswerForm, last_answer
from perilune.types import Grade, Problem, Stop, Verdict


class ReasoningGymReward:
    """Scores the response's last answer with the task's own scorer, which may give part of the score.

    ``Problem.answer`` is the task's entry as JSON: an object with ``question``, ``answer`` and ``metadata``, the last
    with ``source_dataset``. Right is a score of 1.

    Args:
        answer_form: where the answer must be.

    Raises:
        RewardError: Reasoning Gym is not installed.
    """

    def __init__(self, answer_form: AnswerForm = "any") -> None:
        if importlib.util.find_spec("reasoning_gym") is None:
            raise RewardError(
                "the reward 'reasoning_gym' needs the package reasoning-gym; "
                "install it with: pip install 'perilune[reasoning-gym]'"
            )
        self._answer_form = answer_form

    def __call__(self, problem: Problem, response: str, stop: Stop) -> Grade:
        """Grade the response; an entry that cannot be read, or a scorer that fails, is an error."""
        entry = _entry(problem.answer)
        answer = last_answer(response, self._answer_form)
        if answer is None:
            return Grade(Verdict.WRONG, 0.0, "no answer found")
        import reasoning_gym

        score = float(reasoning_gym.get_score_answer_fn(entry["metadata"]["source_dataset"])(answer, entry))
        return Grade(Verdict.RIGHT if score >= 1.0 else Verdict.WRONG, min(1.0, max(0.0, score)), answer)


def _entry(text: str) -> dict[str, Any]:
    entry = json.loads(text)
    if not isinstance(entry, dict) or "source_dataset" not in entry.get("metadata", {}):
        raise ValueError("the reference answer is no Reasoning Gym entry: metadata.source_dataset is missing")
    return entry
