"""The long-CoT warm-up set: a model is prompted, its responses are verified, few are kept (k1.5, section 2.2).

problems × variants × samples → responses → ended, right, every step holds → copied from nowhere
    → shows the behaviours → says something new → at most so many of a problem, of all
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from perilune.algorithm.streams import trajectory_seed
from perilune.curation.behaviours import Behaviour, behaviours
from perilune.curation.copies import NearDuplicates, Stories, foreign_name, next_question
from perilune.curation.equations import false_equations
from perilune.curation.spread import by_rarest_behaviour
from perilune.curation.warmup_prompts import WarmupPrompts
from perilune.curation_config import WarmupConfig, WarmupVariant
from perilune.data.generators import AnswerForm
from perilune.errors import EngineError
from perilune.protocols import Engine
from perilune.types import Demonstration, Grade, GradeRequest, Problem, Request, Segment, Stop, Verdict

if TYPE_CHECKING:
    from perilune.rewards.pool import GradingPool


class Rejection(StrEnum):
    """Why a response is no demonstration, in the order in which it is looked for; the words of ``rejected.jsonl``."""

    UNGRADABLE = "ungradable"
    """The reward ended in an error: it may be right."""
    CUT = "cut"
    """It reached the maximum length, or repeated itself."""
    WRONG = "wrong"
    """Its problem's own reward says so."""
    FALSE_STEP = "false_step"
    """The answer is right, but an equation of the path is false and not taken back."""
    NEXT_QUESTION = "next_question"
    """It goes on to another question."""
    LEAKED = "leaked"
    """It tells the story of a worked example, or of another problem."""
    FEW_BEHAVIOURS = "few_behaviours"
    """It shows fewer of the four behaviours than asked for."""
    DUPLICATE = "duplicate"
    """It says what another one says."""
    OVER_PER_PROBLEM = "over_per_problem"
    """Its problem has demonstrations enough."""
    OVER_COUNT = "over_count"
    """There are demonstrations enough."""


@dataclass(frozen=True, slots=True)
class WarmupResponse:
    """One graded response, and what it shows."""

    problem: Problem
    """As the recipe asks it, without examples and instruction."""
    variant: WarmupVariant
    sample: int
    text: str
    tokens: int
    """Response length in tokens, the end token included."""
    stop: Stop
    grade: Grade
    behaviours: frozenset[Behaviour]

    @property
    def name(self) -> str:
        """``<problem id>/<variant>/<sample>``."""
        return f"{self.problem.id}/{self.variant}/{self.sample}"

    @property
    def demonstration(self) -> Demonstration:
        """The plain problem with this response."""
        return Demonstration(self.problem, self.text)


@dataclass(frozen=True, slots=True)
class RejectedResponse:
    """A response that is no demonstration."""

    response: WarmupResponse
    reason: Rejection
    detail: str
    """For people: what was found, in one line."""


@dataclass(frozen=True, slots=True)
class WarmupCounts:
    """The funnel."""

    asked: int
    """Responses generated."""
    dropped: Mapping[Rejection, int]
    """Every reason, zeros included."""
    kept: int


@dataclass(frozen=True, slots=True)
class WarmupSet:
    """The demonstrations, every beginning of them spread over the behaviours, and the rest in the order asked."""

    kept: tuple[WarmupResponse, ...]
    rejected: tuple[RejectedResponse, ...]

    @property
    def counts(self) -> WarmupCounts:
        """How many were asked for, dropped and kept."""
        found = Counter(rejected.reason for rejected in self.rejected)
        dropped = {reason: found[reason] for reason in Rejection}
        return WarmupCounts(len(self.kept) + len(self.rejected), dropped, len(self.kept))


def build_demonstrations(
    engine: Engine,
    grader: GradingPool,
    problems: Sequence[Problem],
    prompts: WarmupPrompts,
    render: Callable[[Problem], tuple[int, ...]],
    decode: Callable[[Sequence[int]], str],
    config: WarmupConfig,
    *,
    answer_form: AnswerForm,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    known: Mapping[str, Segment] | None = None,
    keep: Callable[[str, Segment], None] = lambda name, segment: None,
) -> WarmupSet:
    """Ask for responses in every variant, verify them, and choose.

    Args:
        engine: holds the weights of the model that writes.
        grader: has nothing else to grade meanwhile.
        problems: their ids are unique.
        prompts: of all ``config.variants``.
        render: problem to prompt tokens.
        decode: response tokens to text, without special tokens.
        config: how much is asked for and kept.
        answer_form: where a response states its answer.
        seed: the run's; the same seed samples the same responses.
        progress: called with (responses done, responses in all).
        known: responses that are there already, from a build that was interrupted; by name: problem, variant, sample,
            with slashes.
        keep: called with the name and the response as soon as there is one.

    Raises:
        EngineError: the engine cannot serve a request, or leaves one without a finished response.
    """
    asked = _asked(problems, config)
    requests = _requests(asked, prompts, render, config, seed)
    answers = _answers(engine, grader, asked, requests, decode, progress, known or {}, keep)
    responses = [_response(*place, *answers[name]) for name, place in asked.items()]
    return choose(responses, prompts, config, answer_form)


_Place = tuple[Problem, WarmupVariant, int]


def _asked(problems: Sequence[Problem], config: WarmupConfig) -> dict[str, _Place]:
    return {
        f"{problem.id}/{variant}/{sample}": (problem, variant, sample)
        for problem in problems
        for variant in dict.fromkeys(config.variants)
        for sample in range(config.samples)
    }


def _requests(
    asked: Mapping[str, _Place],
    prompts: WarmupPrompts,
    render: Callable[[Problem], tuple[int, ...]],
    config: WarmupConfig,
    seed: int,
) -> list[Request]:
    """Samples of one prompt stand side by side, so that an engine can share their prompt."""
    requests, rendered = [], dict[tuple[str, str], tuple[int, ...]]()
    for name, (problem, variant, sample) in asked.items():
        key = (problem.id, variant)
        if key not in rendered:
            rendered[key] = render(prompts.ask(problem, variant))
        requests.append(
            Request(
                id=name,
                prompt_tokens=rendered[key],
                response_tokens=(),
                segment_tokens=config.max_response_tokens,
                max_response_tokens=config.max_response_tokens,
                seed=trajectory_seed(seed, problem.id, f"warmup/{variant}", sample),
                temperature=config.temperature,
            )
        )
    return requests


def _answers(
    engine: Engine,
    grader: GradingPool,
    asked: Mapping[str, _Place],
    requests: Sequence[Request],
    decode: Callable[[Sequence[int]], str],
    progress: Callable[[int, int], None],
    known: Mapping[str, Segment],
    keep: Callable[[str, Segment], None],
) -> dict[str, tuple[Segment, str, Grade]]:
    """Each response with its text and grade, by name; grading goes on beside generation."""
    found: dict[str, tuple[Segment, str]] = {}
    grades: dict[str, Grade] = {}

    def take(name: str, segment: Segment) -> None:
        found[name] = (segment, decode(segment.tokens).strip())
        grader.submit(GradeRequest(name, asked[name][0], found[name][1], segment.stop))
        grades.update(grader.finished())
        progress(len(found), len(asked))

    for name in asked:
        if name in known:
            take(name, known[name])
    for completion in engine.generate([request for request in requests if request.id not in found]):
        keep(completion.request_id, completion.segment)
        take(completion.request_id, completion.segment)
    grades.update(grader.drain())
    lacking = [name for name in asked if name not in found or found[name][0].stop is Stop.CUT]
    if lacking:
        raise EngineError(
            f"the engine gave no finished response to {len(lacking)} of {len(asked)} requests (the first: "
            f"{lacking[0]!r}); this is a fault of the engine backend, try another in engine.backend"
        )
    return {name: (segment, text, grades[name]) for name, (segment, text) in found.items()}


def _response(
    problem: Problem, variant: WarmupVariant, sample: int, segment: Segment, text: str, grade: Grade
) -> WarmupResponse:
    tokens = len(segment.tokens)
    return WarmupResponse(problem, variant, sample, text, tokens, segment.stop, grade, behaviours(text))


def choose(
    responses: Sequence[WarmupResponse], prompts: WarmupPrompts, config: WarmupConfig, answer_form: AnswerForm
) -> WarmupSet:
    """The responses that become demonstrations, and why the others do not."""
    stories = Stories(_question(problem) for problem in {r.problem.id: r.problem for r in responses}.values())
    rejected: dict[str, RejectedResponse] = {}
    passed: list[WarmupResponse] = []
    for response in responses:
        fault = _fault(response, prompts, stories, config.min_behaviours, answer_form)
        if fault is None:
            passed.append(response)
        else:
            rejected[response.name] = RejectedResponse(response, *fault)
    known = NearDuplicates(config.duplicate_threshold)
    new: list[WarmupResponse] = []
    # Of two that say the same, the one that shows more stays.
    for response in sorted(passed, key=lambda r: -len(r.behaviours)):
        twin = known.add(response.name, response.text)
        if twin is None:
            new.append(response)
        else:
            rejected[response.name] = RejectedResponse(response, Rejection.DUPLICATE, twin)
    kept = by_rarest_behaviour(new, _shown, _problem_id, config.per_problem, config.count)
    names, of_problem = {r.name for r in kept}, Counter(map(_problem_id, kept))
    for response in new:
        if response.name not in names:
            full = of_problem[response.problem.id] >= config.per_problem
            reason = Rejection.OVER_PER_PROBLEM if full else Rejection.OVER_COUNT
            rejected[response.name] = RejectedResponse(response, reason, "")
    return WarmupSet(tuple(kept), tuple(rejected[r.name] for r in responses if r.name in rejected))


def _fault(
    response: WarmupResponse, prompts: WarmupPrompts, stories: Stories, least: int, answer_form: AnswerForm
) -> tuple[Rejection, str] | None:
    """What speaks against a response by itself, and what was found; None if nothing does."""
    if (unverified := _unverified(response)) is not None:
        return unverified
    if (asks := next_question(response.text, answer_form)) is not None:
        return Rejection.NEXT_QUESTION, asks
    own = _question(response.problem)
    examples = [example.question for example in prompts.examples(response.problem, response.variant)]
    copied = Stories(examples).copied(response.text, own) or stories.copied(response.text, own)
    if leak := copied or foreign_name(response.text, own, examples):
        return Rejection.LEAKED, leak
    if len(response.behaviours) < least:
        return Rejection.FEW_BEHAVIOURS, f"{len(response.behaviours)} of {least}"
    return None


def _unverified(response: WarmupResponse) -> tuple[Rejection, str] | None:
    """What keeps a path from being verified: its end, its answer, its steps."""
    grade = response.grade
    if grade.verdict is Verdict.ERROR:
        return Rejection.UNGRADABLE, grade.detail
    if response.stop is not Stop.ENDED:
        return Rejection.CUT, response.stop.value
    if grade.verdict is Verdict.WRONG:
        return Rejection.WRONG, grade.detail
    if false := false_equations(response.text):
        return Rejection.FALSE_STEP, false[0]
    return None


def _question(problem: Problem) -> str:
    return "\n".join(message.content for message in problem.messages)


def _shown(response: WarmupResponse) -> frozenset[Behaviour]:
    return response.behaviours


def _problem_id(response: WarmupResponse) -> str:
    return response.problem.id
