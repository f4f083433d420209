"""Ask the model the held-out problems and grade what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from perilune.algorithm.streams import trajectory_seed
from perilune.errors import EngineError
from perilune.protocols import Engine
from perilune.types import Grade, GradeRequest, Problem, Request, ScoredResponse, Segment, Stop

if TYPE_CHECKING:
    from perilune.rewards.pool import GradingPool


def evaluate(
    engine: Engine,
    grader: GradingPool,
    problems: Sequence[Problem],
    render: Callable[[Problem], tuple[int, ...]],
    decode: Callable[[Sequence[int]], str],
    *,
    max_response_tokens: int,
    samples: int = 0,
    temperature: float = 1.0,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    known: Mapping[str, Segment] | None = None,
    keep: Callable[[str, Segment], None] = lambda name, segment: None,
) -> list[ScoredResponse]:
    """One greedy response to each problem (sample 0), and ``samples`` sampled ones (samples 1 and above).

    Args:
        engine: holds the weights that are evaluated.
        grader: has nothing else to grade meanwhile.
        problems: their ids are unique.
        render: problem to prompt tokens.
        decode: response tokens to text, without special tokens.
        max_response_tokens: beyond it a response is ended with LIMIT.
        samples: sampled responses per problem.
        temperature: of the sampled ones.
        seed: the run's; the same seed samples the same responses.
        progress: called with (responses done, responses in all).
        known: responses that are there already, from an evaluation that was interrupted; they are graded again and
            not generated again. By name: problem id, slash, sample.
        keep: called with the name and the response as soon as there is one.

    Returns:
        All responses, by problem in the given order, then by sample.

    Raises:
        EngineError: the engine cannot serve a request, or leaves one without a finished response.
    """
    asked = {
        f"{number}/{sample}": (problem, sample)
        for number, problem in enumerate(problems)
        for sample in range(1 + samples)
    }
    prompts = {problem.id: render(problem) for problem in problems}
    requests = [
        Request(
            id=request_id,
            prompt_tokens=prompts[problem.id],
            response_tokens=(),
            segment_tokens=max_response_tokens,
            max_response_tokens=max_response_tokens,
            seed=trajectory_seed(seed, problem.id, "evaluation", sample),
            temperature=temperature if sample else 0.0,
        )
        for request_id, (problem, sample) in asked.items()
    ]

    answers: dict[str, tuple[Segment, str]] = {}
    grades: dict[str, Grade] = {}

    def take(request_id: str, segment: Segment) -> None:
        answers[request_id] = (segment, decode(segment.tokens))
        grader.submit(GradeRequest(request_id, asked[request_id][0], answers[request_id][1], segment.stop))
        grades.update(grader.finished())
        progress(len(answers), len(asked))

    names = {request_id: f"{problem.id}/{sample}" for request_id, (problem, sample) in asked.items()}
    for request_id, name in names.items():
        if known and name in known:
            take(request_id, known[name])
    for completion in engine.generate([request for request in requests if request.id not in answers]):
        keep(names[completion.request_id], completion.segment)
        take(completion.request_id, completion.segment)
    grades.update(grader.drain())
    _check_all_answered(asked, answers)

    scored = []
    for request_id, (problem, sample) in asked.items():
        segment, response = answers[request_id]
        scored.append(ScoredResponse(problem, response, len(segment.tokens), segment.stop, grades[request_id], sample))
    return scored


def _check_all_answered(asked: Mapping[str, tuple[Problem, int]], answers: Mapping[str, tuple[Segment, str]]) -> None:
    missing = [request_id for request_id in asked if request_id not in answers]
    cut = [request_id for request_id, (segment, _) in answers.items() if segment.stop is Stop.CUT]
    for names, what in ((missing, "no response"), (cut, "a cut response, though its budget was the maximum length,")):
        if names:
            raise EngineError(
                f"the engine gave {what} to {len(names)} of {len(asked)} requests (the first: problem "
                f"{asked[names[0]][0].id!r}); this is a fault of the engine backend, try another in engine.backend"
            )
