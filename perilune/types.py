"""The words of Perilune: frozen records that flow between the parts, without behaviour beyond derived views.

A :class:`Problem` becomes a :class:`Group` of k empty :class:`Trajectory` records; the engine appends a
:class:`Segment` to each, at most one per iteration; a reward gives each terminal trajectory a :class:`Grade`;
complete groups become :class:`Sample` records, which the trainer sees. What holds things together (Session, Master,
RunFolder …) is told in docs/architecture.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal


class Stop(StrEnum):
    """Why a segment ended (k1.5, section 2.6.2, Figure 3b)."""

    ENDED = "ended"
    """Normal stop: the model emitted an end token."""
    CUT = "cut"
    """The segment budget was reached; the response goes on in a later iteration."""
    REPEATED = "repeated"
    """Early stop: the response was repeating itself."""
    LIMIT = "limit"
    """The maximum response length was reached."""

    @property
    def terminal(self) -> bool:
        """True if no later segment follows."""
        return self is not Stop.CUT


class Verdict(StrEnum):
    """What a reward found. An error is not a wrong answer."""

    RIGHT = "right"
    WRONG = "wrong"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. ``images`` are file paths or data URLs, in the order of the text."""

    role: str
    content: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A question whose answer can be checked."""

    id: str
    messages: tuple[Message, ...]
    answer: str
    """The reference answer, in the form that the reward named by ``reward`` expects."""
    reward: str = "math"
    """A name, or names and weights as JSON (:mod:`perilune.recipe.reward_names`)."""
    tags: tuple[str, ...] = ()
    difficulty: float | None = None
    """Larger is harder; the scale is the source's own, or 1 - ``pass_rate`` where curation has measured it."""
    pass_rate: float | None = None
    """Share of right answers among those that a model was asked for (k1.5, section 2.1), in [0, 1]."""
    row: str = ""
    """The row that it was made from, as JSON; only where a reward of the user's own judges it."""

    @property
    def columns(self) -> dict[str, Any]:
        """Every column of its row by name; what JSON cannot say, such as a date, is text. Empty without a row."""
        return dict(json.loads(self.row)) if self.row else {}

    @property
    def text(self) -> str:
        """What its messages say, one after another."""
        return "\n".join(message.content for message in self.messages)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A problem with a worked long-CoT response, for the warm-up."""

    problem: Problem
    response: str


@dataclass(frozen=True, slots=True)
class Preference:
    """Two responses to one problem, of which the first is preferred."""

    problem: Problem
    chosen: str
    rejected: str
    rejected_ended: bool = True
    """False if the rejected response was stopped: then it is trained on without an end token."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What one iteration added to a response."""

    tokens: tuple[int, ...]
    """Token ids, [T], the end token included when the model emitted it."""
    logprobs: tuple[float, ...]
    """Log-probability in nats of each token, [T], under the generating weights at temperature 1."""
    version: int
    """The policy version whose weights generated every token of this segment."""
    stop: Stop


@dataclass(frozen=True, slots=True)
class Grade:
    """A reward's finding on one response."""

    verdict: Verdict
    score: float
    """In [0, 1]; 1 for right and 0 for wrong with the plain correctness reward; meaningless on an error."""
    detail: str = ""
    """One line for people: the extracted answer, or what went wrong."""
    parts: tuple[tuple[str, float], ...] = ()
    """Where several rewards are summed, what each gave: (name, score in [0, 1]); not on an error."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A grade, and how it came about, for people."""

    grade: Grade
    found: str = ""
    """What counted in the response, as it stands there; empty where nothing did."""
    where: str = ""
    """By which mark it was found: ``\\boxed{…}``, ``Answer:``, a sentence, a fenced block."""
    reference: str = ""
    """How the reference answer was read."""
    answer: str = ""
    """How what was found was read."""
    rule: str = ""
    """The rule that decided."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One response to one problem: its segments so far, its seed, its grade once it has one."""

    id: str
    """``<group id>/<index>``."""
    index: int
    """Sample number within the group, 0 to k-1."""
    seed: int
    """Key of the trajectory's own random stream, unsigned 64 bit."""
    segments: tuple[Segment, ...] = ()
    grade: Grade | None = None

    @property
    def tokens(self) -> tuple[int, ...]:
        """All response tokens, [T]."""
        return tuple(token for segment in self.segments for token in segment.tokens)

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Behaviour log-probabilities of all response tokens, [T]."""
        return tuple(value for segment in self.segments for value in segment.logprobs)

    @property
    def versions(self) -> tuple[int, ...]:
        """The policy version of each response token, [T]."""
        return tuple(segment.version for segment in self.segments for _ in segment.tokens)

    @property
    def stop(self) -> Stop | None:
        """Why the last segment ended; None before the first."""
        return self.segments[-1].stop if self.segments else None

    @property
    def terminal(self) -> bool:
        """True once the response is finished."""
        return self.stop is not None and self.stop.terminal


@dataclass(frozen=True, slots=True)
class Group:
    """The k trajectories of one problem: the unit of the baseline and of the length reward."""

    id: str
    problem: Problem
    prompt_tokens: tuple[int, ...]
    born: int
    """The iteration that drew it."""
    trajectories: tuple[Trajectory, ...]

    @property
    def complete(self) -> bool:
        """True when every trajectory is terminal and graded: only then may the group train."""
        return all(t.terminal and t.grade is not None for t in self.trajectories)

    @property
    def oldest_version(self) -> int | None:
        """The oldest policy version among its segments; None before the first segment."""
        return min((s.version for t in self.trajectories for s in t.segments), default=None)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the trainer sees of one trajectory. All sequences have the length T of prompt plus response."""

    tokens: tuple[int, ...]
    """Prompt and response tokens, [T]."""
    prompt_length: int
    """How many of the tokens are prompt; ``tokens[prompt_length:]`` is the response."""
    loss_mask: tuple[bool, ...]
    """[T]; True where the token enters the loss. False on every prompt token."""
    advantage: float
    """dpo: positive for the chosen response of its pair, negative for the rejected one."""
    behaviour_logprobs: tuple[float, ...] = ()
    """[T - prompt_length]; the engine's log-probabilities in nats; empty for supervised samples."""
    versions: tuple[int, ...] = ()
    """[T - prompt_length]; the policy version of each response token; empty for supervised samples."""
    group: int = 0
    """Which group of the batch it belongs to; samples of one group share their prompt. dpo: the pair."""
    reference_logprob: float = 0.0
    """dpo: log-probability in nats of the response under the reference, summed over its loss tokens."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the engine is asked to generate: the next segment of one response."""

    id: str
    prompt_tokens: tuple[int, ...]
    response_tokens: tuple[int, ...]
    """What was generated before, [T]; empty for a fresh response."""
    segment_tokens: int
    """At most this many new tokens now; then CUT."""
    max_response_tokens: int
    """At most this many response tokens in all, earlier ones counted; then LIMIT."""
    seed: int
    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class Completion:
    """The engine's answer to a :class:`Request`."""

    request_id: str
    segment: Segment


@dataclass(frozen=True, slots=True)
class GradeRequest:
    """What a reward is asked to judge. Text only: decoded for the reward, never encoded again."""

    id: str
    problem: Problem
    response: str
    stop: Stop = Stop.ENDED
    ask: Literal["grade", "trial", "reference", "explanation"] = "grade"
    """trial: a grade that says whether the reward works: what takes too much of its worker is an error, not wrong.
    reference: is the problem's reference answer readable? The grade is then right, or wrong and says why not.
    explanation: a grade, and how it came about."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What an update optimises."""

    algorithm: str
    """sft, dpo, or an algorithm of RL by its name in ``algorithm/policy.py``: opmd, rest, grpo."""
    tau: float = 0.05
    """opmd: strength of the pull to the reference (k1.5, eq. 3)."""
    baseline: Literal["mean", "log_partition"] = "mean"
    """opmd: what stands for tau log Z in the advantage."""
    clip: float = 0.2
    """grpo: clipping range of the ratio."""
    beta: float = 0.0
    """grpo: weight of the KL term; dpo: strength of the pull to the reference."""
    label_smoothing: float = 0.0
    """dpo: assumed share of pairs in the wrong order."""
    length_normalized: bool = False
    """dpo: divide each response's log-ratio by its length in tokens."""
    correction: Literal["none", "token", "sequence"] = "none"
    """opmd, rest, grpo: what is done where trainer and engine disagree about a token."""
    correction_cap: float = 2.0
    """The largest ratio between the two that is let through; also the bound of ``mismatch_beyond``."""


@dataclass(frozen=True, slots=True)
class OptimizerStep:
    """One optimiser step of an update."""

    indices: tuple[int, ...]
    """Which samples of the update make up its minibatch."""
    learning_rate: float


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What the trainer measured in one optimiser step."""

    number: int
    """Counts from 1."""
    steps: int
    """Steps of the whole update."""
    loss: float
    gradient_norm: float
    """Before clipping."""
    learning_rate: float
    tokens: int
    """Tokens that went forward and backward in this step, prompt included."""
    skipped: bool = False
    """Loss or gradient was not finite, so the step left everything as it was."""
    margin: float = float("nan")
    """dpo: mean over the pairs of log-ratio of the chosen - log-ratio of the rejected response, before the step, in
    nats, or nats per token where they are length-normalized."""
    preferred: float = float("nan")
    """dpo: share of the pairs whose margin is positive."""


@dataclass(frozen=True, slots=True)
class UpdateMetrics:
    """What the trainer measured in one update (one iteration of RL, or one stretch of SFT)."""

    loss: float
    """Mean over the steps taken; NaN if all were skipped."""
    steps: int
    """Optimiser steps taken."""
    tokens: int
    """Tokens that went forward and backward, prompt included, summed over all steps."""
    gradient_norm: float
    """Mean over the steps taken, before clipping."""
    mismatch_mean: float = float("nan")
    """Mean |trainer - engine| log-probability in nats, over tokens of the current version."""
    mismatch_max: float = float("nan")
    mismatch_beyond: float = float("nan")
    """Share of those tokens whose ratio exceeds the objective's cap, either way."""
    mismatch_kl: float = float("nan")
    """KL of the policy as the engine computes it to the trainer's, per token in nats."""
    corrected: float = float("nan")
    """What the correction touched: share of loss tokens that were truncated, or of samples that were masked."""
    kl_to_reference: float = float("nan")
    """Mean over samples of log pi_theta(y) - log pi_i(y) when the sample was last stepped on, in nats: how far the
    policy has moved on the responses that it is trained on."""
    skipped: int = 0
    """Optimiser steps skipped, because loss or gradient was not finite."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of the change between training and rollout on shared devices (k1.5, section 2.6.3, Figure 4)."""

    name: Literal["offload", "start", "transfer", "rollout", "stop", "onload"]
    """offload: the trainer gives the device up; start: the engine, with dummy weights; transfer: its weights; rollout;
    stop: it is kept, put to sleep or ended; onload: the trainer takes the device back."""
    seconds: float
    memory_gb: float
    """Memory of the run's processes after it, in GB (1e9 bytes); what they share counts once."""
    device_gb: float = 0.0
    """Memory in use on the GPU after it."""


@dataclass(frozen=True, slots=True)
class ScoredResponse:
    """One evaluated response."""

    problem: Problem
    response: str
    tokens: int
    """Response length in tokens."""
    stop: Stop
    grade: Grade
    sample: int = 0
    """Sample number; 0 for greedy."""
