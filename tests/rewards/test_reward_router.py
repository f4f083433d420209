import pytest

from perilune.errors import RewardError
from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.router import build_reward, check_reward_name
from perilune.types import Message, Problem, Stop, Verdict

PROBLEM = Problem("p", (Message("user", "?"),), "18")


def test_built_in_rewards_take_the_recipes_settings():
    config = RewardsConfig(answer_form="boxed", format_weight=0.25)
    math = build_reward("math", config)
    assert math(PROBLEM, "Answer: 18", Stop.ENDED).score == 0.0
    assert math(PROBLEM, r"\boxed{19}", Stop.ENDED).score == 0.25
    assert build_reward("format", config)(PROBLEM, r"\boxed{19}", Stop.ENDED).verdict is Verdict.RIGHT
    think = build_reward("think_format", config)
    assert think(PROBLEM, r"\boxed{19}", Stop.ENDED).verdict is Verdict.WRONG
    assert build_reward("countdown", config)(PROBLEM, r"\boxed{18}", Stop.ENDED).verdict is Verdict.RIGHT


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(RewardError, match="'maths'; did you mean math"):
        build_reward("maths", RewardsConfig())
    with pytest.raises(RewardError, match="known are math, countdown"):
        check_reward_name("zzz")


def test_ones_own_reward_is_named_by_module_and_attribute(tmp_path, monkeypatch):
    (tmp_path / "own_reward_module.py").write_text(
        "from perilune.types import Grade, Verdict\n"
        "def shout(problem, response, stop):\n"
        "    return Grade(Verdict.RIGHT if response.isupper() else Verdict.WRONG, 1.0 * response.isupper())\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert build_reward("own_reward_module:shout", RewardsConfig())(PROBLEM, "HA", Stop.ENDED).score == 1.0
    with pytest.raises(RewardError, match="no attribute whisper"):
        build_reward("own_reward_module:whisper", RewardsConfig())
    with pytest.raises(RewardError, match="not a callable"):
        build_reward("own_reward_module:number", RewardsConfig())
    with pytest.raises(RewardError, match="cannot import"):
        build_reward("no_such_module_here:x", RewardsConfig())
