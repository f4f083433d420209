"""The long-CoT warm-up set: a model is prompted for demonstrations, and its responses are verified (k1.5, section 2.2).

problems × variants × samples → responses → those that :mod:`perilune.curation.choosing` keeps
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from perilune.algorithm.streams import trajectory_seed
from perilune.curation.behaviours import behaviours
from perilune.curation.choosing import choose
from perilune.curation.warmup_prompts import WarmupPrompts
from perilune.curation.warmup_set import WarmupResponse, WarmupSet
from perilune.data.generators import AnswerForm
from perilune.errors import EngineError
from perilune.protocols import Engine
from perilune.recipe.curation import WarmupConfig, WarmupVariant
from perilune.rewards.nothing import check_graded
from perilune.types import Grade, GradeRequest, Problem, Request, Segment, Stop

if TYPE_CHECKING:
    from perilune.rewards.pool import GradingPool


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
        NothingGraded: every grading ended in an error.
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
    check_graded(grades.values(), "the demonstrations", "All responses are kept.")
    return {name: (segment, text, grades[name]) for name, (segment, text) in found.items()}


def _response(
    problem: Problem, variant: WarmupVariant, sample: int, segment: Segment, text: str, grade: Grade
) -> WarmupResponse:
    tokens = len(segment.tokens)
    return WarmupResponse(problem, variant, sample, text, tokens, segment.stop, grade, behaviours(text))
