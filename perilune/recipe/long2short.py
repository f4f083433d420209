"""The recipe's tables of long2short: responses to choose from, and the methods (k1.5, section 2.4)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from perilune.recipe.section import PositiveFloat, PositiveInt, Section, Share
from perilune.recipe.training import LengthRewardConfig, RLConfig, SFTConfig

MergeMethod = Literal["linear", "slerp", "ties", "dare_linear", "dare_ties"]
STEPS = ("merge", "shortest", "dpo", "rl")
"""What a method is made of."""


class SampleConfig(Section):
    """[sample]: the stage sample: several responses per problem, the shortest right one for SFT, pairs for DPO."""

    problems: PositiveInt = 200
    """Training problems asked, spread evenly over tags and difficulties; all if there are fewer."""
    samples: PositiveInt = 8
    """n: responses per problem (k1.5: 8)."""
    temperature: PositiveFloat = 1.0
    """Sampling temperature."""
    max_response_tokens: PositiveInt = 256
    """Maximum response length; one that reaches it is never chosen."""
    longer: Annotated[float, Field(ge=1)] = 1.5
    """A right response is rejected where it is more than so many times as long as the chosen one (k1.5: 1.5)."""
    pairs_per_problem: PositiveInt | None = 4
    """At most so many preference pairs of one problem, the longest rejected responses first."""
    cache: str | None = None
    """SQLite file of responses; by default within the run."""


class MergeConfig(Section):
    """[long2short.merge]: merging the long-CoT model with the short-CoT model."""

    method: MergeMethod = "linear"
    """linear: the weighted average; the others need the extra 'merge' (mergekit)."""
    long_weight: Share = 0.5
    """Weight of the long model; the short one has the rest (k1.5: the plain average). With slerp, 1 - t."""
    density: Annotated[float, Field(gt=0, le=1)] = 0.5
    """ties and dare: share of each model's changes to the base that is kept."""


class StartConfig(Section):
    """[long2short.start]: which model the second RL phase starts from."""

    rule: Literal["shortest_within", "balance", "most_accurate"] = "shortest_within"
    """shortest_within: the fewest tokens at tolerance below the best; balance: accuracy less price × tokens' share."""
    tolerance: Share = 0.02
    """shortest_within: accuracy that may be given up against the best candidate."""
    price: Annotated[float, Field(ge=0)] = 0.2
    """balance: accuracy that the tokens of the longest candidate are worth."""
    candidates: tuple[str, ...] = ()
    """Model folders, or methods that come earlier; by default the long model and what the run kept on its way."""
    problems: PositiveInt = 100
    """Training problems that candidates are measured on; the held-out ones stay unseen by the choice."""


class ShortLengthRewardConfig(LengthRewardConfig):
    """[long2short.rl.length_reward]: on, unlike in the first RL phase."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight in the total reward; 0 is off."""


class ShortRLConfig(RLConfig):
    """[long2short.rl]: the second RL phase: length reward on, a much smaller maximum response length."""

    segment_tokens: PositiveInt = 96
    """Budget of new tokens per response and iteration."""
    max_response_tokens: PositiveInt = 96
    """Maximum response length, all segments together; much smaller than in the first phase."""
    limit_response: Literal["grade", "wrong", "exclude"] = "wrong"
    """A response cut at the maximum length is graded as it is, counts as wrong, or is left out."""
    length_reward: ShortLengthRewardConfig = ShortLengthRewardConfig()
    """The length reward."""


class Long2ShortConfig(Section):
    """[long2short]: carry a long-CoT model's strength over to short answers, by several methods side by side."""

    methods: tuple[str, ...] = ("merge", "shortest", "dpo", "rl", "merge+shortest")
    """Steps among merge, shortest, dpo, rl, joined by + where one goes on from another's model; merge is first."""
    long_model: str | None = None
    """The long-CoT model: a folder or a hub id; by default the model of this run's earlier stages."""
    short_model: str | None = None
    """The short-CoT model that merge needs; by default what the stage short_sft made in this run."""
    merge: MergeConfig = MergeConfig()
    """The merge."""
    sft: SFTConfig = SFTConfig()
    """Training on the shortest right responses."""
    start: StartConfig = StartConfig()
    """Where the second RL phase starts."""
    rl: ShortRLConfig = ShortRLConfig()
    """The second RL phase."""

    @model_validator(mode="after")
    def _methods_are_known(self) -> Self:
        for method in self.methods:
            steps = method.split("+")
            unknown = [step for step in steps if step not in STEPS]
            if unknown:
                raise ValueError(f"method {method!r} has the unknown step {unknown[0]!r}; known are {', '.join(STEPS)}")
            if "merge" in steps[1:]:
                raise ValueError(
                    f"method {method!r}: merge takes the long and the short model, so it can only be first"
                )
            if any(first == second for first, second in pairwise(steps)):
                raise ValueError(f"method {method!r} takes one step twice in a row")
        if len(set(self.methods)) < len(self.methods):
            raise ValueError("a method is named twice")
        if not self.methods:
            raise ValueError('name at least one method, e.g. methods = ["merge"]')
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that the methods make, each after the one that it goes on from: merge, merge+shortest …"""
        chains = [method.split("+") for method in self.methods]
        prefixes = ("+".join(chain[:length]) for chain in chains for length in range(1, len(chain) + 1))
        return tuple(dict.fromkeys(prefixes))
