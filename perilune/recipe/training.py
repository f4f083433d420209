"""The recipe's tables of training: supervised fine-tuning, preferences and reinforcement learning."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from perilune.recipe.section import Dtype, PositiveFloat, PositiveInt, Section, Share


class TrainerConfig(Section):
    """[trainer]: how weights are updated; fp32 masters always."""

    backend: Literal["torch"] = "torch"
    """torch: one process."""
    dtype: Dtype = "auto"
    """Compute type under fp32 masters; auto measures what this processor does well."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 …"""
    micro_batch_tokens: PositiveInt = 2048
    """Tokens that go forward and backward at once; bounds memory."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    max_gradient_norm: PositiveFloat = 1.0
    """Gradient clipping by global norm."""
    max_skipped_steps: PositiveInt = 8
    """A step whose loss or gradient is not finite is skipped; so many in a row end the run."""
    timeout_seconds: PositiveFloat = 1800.0
    """A trainer that ends no micro-batch for so long is stuck; the run is ended with a message, and can be resumed."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW's decoupled weight decay."""
    beta1: Share = 0.9
    """AdamW's first-moment decay."""
    beta2: Share = 0.95
    """AdamW's second-moment decay."""


class SFTConfig(Section):
    """[sft]: supervised fine-tuning; the long-CoT warm-up (k1.5, section 2.2)."""

    demonstrations: str | None = None
    """JSONL file of chat messages; by default what the stage warmup or sample wrote, else the generators' own."""
    count: PositiveInt = 320
    """Demonstrations used."""
    style: Literal["long", "brief", "short"] = "long"
    """Manner of the generators' demonstrations: long plans, checks and corrects; brief works; short gives equations."""
    brief_share: Share = 0.0
    """Share of the generators' demonstrations that work step by step without plan and check."""
    direct_share: Share = 0.0
    """Share of the generators' demonstrations that state the answer at once; the others are of that style."""
    response: str = "{solution}\nAnswer: {answer}"
    """Response made of a source's worked solutions (problems.train.fields.solution)."""
    epochs: PositiveInt = 1
    """Passes over them."""
    learning_rate: PositiveFloat = 2e-5
    """Peak learning rate (k1.5's vanilla SFT: 2e-5)."""
    final_learning_rate: PositiveFloat = 2e-6
    """Learning rate at the end of the linear decay (k1.5's vanilla SFT: 2e-6)."""
    warmup_share: Share = 0.05
    """Share of the steps in which the learning rate rises."""
    batch_size: PositiveInt = 8
    """Demonstrations per optimiser step."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.brief_share + self.direct_share > 1:
            raise ValueError("brief_share and direct_share are shares of one whole; together they may be at most 1")
        return self


class ShortSFTConfig(SFTConfig):
    """[short_sft]: the short-CoT model that long2short merges with, from the same base (k1.5, section 2.4)."""

    style: Literal["long", "brief", "short"] = "short"
    """As sft.style, but short by default."""


class DPOConfig(Section):
    """[dpo]: direct preference optimisation (Rafailov et al., 2023) on pairs of responses (k1.5, section 2.4)."""

    pairs: str | None = None
    """JSONL file of preferences (prompt, chosen, rejected); by default what the stage sample wrote."""
    count: PositiveInt | None = None
    """Pairs used; all by default."""
    beta: PositiveFloat = 0.1
    """Strength of the pull to the reference, the model before the stage."""
    length_normalized: bool = False
    """Divide each response's log-ratio by its length in tokens."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Assumed share of pairs whose order is wrong (conservative DPO)."""
    epochs: PositiveInt = 1
    """Passes over the pairs."""
    learning_rate: PositiveFloat = 1e-6
    """Peak learning rate."""
    final_learning_rate: PositiveFloat = 1e-7
    """Learning rate at the end of the linear decay."""
    warmup_share: Share = 0.1
    """Share of the steps in which the learning rate rises."""
    batch_size: PositiveInt = 8
    """Pairs per optimiser step."""


class LengthRewardConfig(Section):
    """[rl.length_reward]: k1.5, section 2.3.3."""

    weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight in the total reward; 0 is off."""
    warmup_iterations: Annotated[int, Field(ge=0)] = 0
    """Iterations at first without it; constant after."""


class SamplingConfig(Section):
    """[rl.sampling]: which problems are drawn (k1.5, section 2.3.4)."""

    strategy: Literal["uniform", "prioritized"] = "prioritized"
    """prioritized draws problem i with probability proportional to 1 - its success rate."""
    prior_success: Share = 0.5
    """Success rate assumed of a problem never tried, unless curation has measured its pass rate."""
    decay: Share = 0.5
    """Weight of the newest group in the tracked success rate."""
    half_life: PositiveFloat | None = None
    """Iterations in which a tracked success rate fades halfway back to its prior; by default it does not."""
    curriculum: Literal["none", "staged", "gradual"] = "none"
    """staged: every problem at first, then the hard ones only; gradual: easy to hard."""
    curriculum_iteration: PositiveInt = 24
    """Iteration from which staged draws hard ones only, or by which gradual has let all in (k1.5's ablation: 24)."""
    hard_share: Share = 0.5
    """Share of the problems, hardest first, that counts as hard, where hard_difficulty is not given."""
    medium_difficulty: float | None = None
    """Difficulty from which a problem is medium; curation sets it to its own bands."""
    hard_difficulty: float | None = None
    """Difficulty from which a problem is hard; curation sets it to its own bands."""
    balance_tags: bool = False
    """Give every first tag the same total probability."""

    @model_validator(mode="after")
    def _bands_are_ordered(self) -> Self:
        medium, hard = self.medium_difficulty, self.hard_difficulty
        if medium is not None and (hard is None or medium > hard):
            raise ValueError(f"medium_difficulty = {medium} needs a hard_difficulty that is not less, got {hard}")
        return self


class RLConfig(Section):
    """[rl]: online policy mirror descent with partial rollouts (k1.5, sections 2.3 and 2.6)."""

    algorithm: Literal["opmd", "rest", "grpo"] = "opmd"
    """opmd: k1.5's eq. 3; rest and grpo: the baselines it is compared with."""
    iterations: PositiveInt = 10
    """Rollout phase and training phase, so often."""
    problems_per_iteration: PositiveInt = 8
    """Fresh groups drawn per iteration."""
    group_size: Annotated[int, Field(ge=2)] = 8
    """k: responses per problem; the baseline needs at least 2."""
    segment_tokens: PositiveInt = 64
    """Budget of new tokens per response and iteration; a longer response is cut and goes on in the next one."""
    max_response_tokens: PositiveInt = 192
    """Maximum response length, all segments together."""
    max_staleness: Annotated[int, Field(ge=0)] = 8
    """A group whose oldest segment is more policy versions old than this is discarded and its problem released."""
    loss_segments: Literal["all", "current"] = "all"
    """Which segments of a response enter the loss: all of them, or those of the current policy version alone."""
    temperature: PositiveFloat = 1.0
    """Sampling temperature of rollouts."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus of rollouts; 1 is off."""
    tau: PositiveFloat = 0.05
    """The strength of the pull to the reference (eq. 3)."""
    baseline: Literal["mean", "log_partition"] = "mean"
    """What stands for tau log Z: the mean reward, or tau log mean exp(r/tau)."""
    minibatches: PositiveInt = 4
    """Optimiser steps per iteration; with one, tau does nothing."""
    learning_rate: PositiveFloat = 1e-5
    """Constant within the run."""
    train_on_flat_groups: bool = True
    """Keep groups whose advantages are all zero; only the pull to the reference is left in them."""
    limit_response: Literal["grade", "wrong", "exclude"] = "grade"
    """A response cut at the maximum length is graded as it is, counts as wrong, or is left out."""
    repetition_penalty: Annotated[float, Field(ge=0)] = 0.0
    """Taken from the reward of a response that was stopped for repeating itself."""
    length_reward: LengthRewardConfig = LengthRewardConfig()
    """The length reward."""
    sampling: SamplingConfig = SamplingConfig()
    """Which problems are drawn."""
    correction: Literal["none", "token", "sequence"] = "none"
    """Where trainer and engine disagree: none, as in the paper; truncated weights per token; or mask the sequence."""
    correction_cap: Annotated[float, Field(gt=1)] = 2.0
    """Ratio between the two at which a token's weight is truncated, or a response masked."""
    grpo_clip: PositiveFloat = 0.2
    """GRPO's clipping range."""
    grpo_beta: Annotated[float, Field(ge=0)] = 0.001
    """GRPO's weight of the KL term (DeepSeek-R1: 0.001)."""
    grpo_reference_iterations: PositiveInt = 400
    """Iterations after which GRPO's KL reference is replaced (DeepSeek-R1: every 400 steps)."""

    @model_validator(mode="after")
    def _segments_fit(self) -> Self:
        needed = -(-self.max_response_tokens // self.segment_tokens) - 1
        if self.max_staleness < needed:
            raise ValueError(
                f"max_staleness = {self.max_staleness} would discard every response that uses its full length: "
                f"max_response_tokens = {self.max_response_tokens} in segments of segment_tokens = "
                f"{self.segment_tokens} spans {needed} policy versions. Raise max_staleness or segment_tokens"
            )
        return self
