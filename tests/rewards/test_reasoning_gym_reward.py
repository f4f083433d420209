import importlib.util
import json

import pytest

from perilune.errors import RewardError
from perilune.rewards.reasoning_gym import ReasoningGymReward
from perilune.types import Message, Problem, Stop, Verdict

INSTALLED = importlib.util.find_spec("reasoning_gym") is not None


@pytest.mark.skipif(INSTALLED, reason="reasoning-gym is installed")
def test_without_the_package_the_message_says_what_to_install():
    with pytest.raises(RewardError, match=r"perilune\[reasoning-gym\]"):
        ReasoningGymReward()


@pytest.mark.skipif(not INSTALLED, reason="needs the extra reasoning-gym")
def test_the_tasks_own_scorer_judges():
    import reasoning_gym

    reward = ReasoningGymReward("any")
    for task in ("gcd", "countdown", "basic_arithmetic"):
        entry = reasoning_gym.create_dataset(task, size=1, seed=3)[0]
        answer = entry["metadata"]["expression"] if task == "countdown" else entry["answer"]
        problem = Problem("p", (Message("user", entry["question"]),), json.dumps(entry), "reasoning_gym")
        right = reward(problem, f"thinking\nAnswer: {answer}", Stop.ENDED)
        assert (right.verdict, right.score) == (Verdict.RIGHT, 1.0), task
        wrong = reward(problem, "Answer: 123456789", Stop.ENDED)
        assert wrong.verdict is Verdict.WRONG
        assert wrong.score < 0.5  # some scorers give a little for a well-formed or partly matching answer
        assert reward(problem, "no form", Stop.ENDED).detail == "no answer found"
    with pytest.raises(ValueError, match="source_dataset"):
        reward(Problem("p", problem.messages, '{"answer": "3"}'), "Answer: 3", Stop.ENDED)
