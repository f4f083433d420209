"""Ask the model the held-out problems and grade what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perilune.algorithm.streams import trajectory_seed
from perilune.errors import EngineError
from perilune.protocols import Engine
from perilune.rewards.nothing import check_graded
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
        NothingGraded: every grading ended in an error.
    """
    asked = {
        f"{number}/{sample}": _Asked(problem, sample)
        for number, problem in enumerate(problems)
        for sample in range(1 + samples)
    }
    requests = _requests(asked, render, max_response_tokens, temperature, seed)
    answers = _Answers(asked, grader, decode, progress)
    for request_id, one in asked.items():
        if known and one.name in known:
            answers.take(request_id, known[one.name])
    for completion in engine.generate([request for request in requests if request.id not in answers]):
        keep(asked[completion.request_id].name, completion.segment)
        answers.take(completion.request_id, completion.segment)
    return answers.scored()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one request asks for."""

    problem: Problem
    sample: int

    @property
    def name(self) -> str:
        """How the response is kept."""
        return f"{self.problem.id}/{self.sample}"


def _requests(
    asked: Mapping[str, _Asked],
    render: Callable[[Problem], tuple[int, ...]],
    max_response_tokens: int,
    temperature: float,
    seed: int,
) -> list[Request]:
    """One for each response, to be given in one segment; each problem is rendered once."""
    prompts = {one.problem.id: render(one.problem) for one in asked.values() if one.sample == 0}
    return [
        Request(
            id=request_id,
            prompt_tokens=prompts[one.problem.id],
            response_tokens=(),
            segment_tokens=max_response_tokens,
            max_response_tokens=max_response_tokens,
            seed=trajectory_seed(seed, one.problem.id, "evaluation", one.sample),
            temperature=temperature if one.sample else 0.0,
        )
        for request_id, one in asked.items()
    ]


class _Answers:
    """The responses as they come; each is graded while the engine goes on."""

    def __init__(
        self,
        asked: Mapping[str, _Asked],
        grader: GradingPool,
        decode: Callable[[Sequence[int]], str],
        progress: Callable[[int, int], None],
    ) -> None:
        self._asked, self._grader, self._decode, self._progress = asked, grader, decode, progress
        self._given: dict[str, tuple[Segment, str]] = {}
        self._grades: dict[str, Grade] = {}

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._given

    def take(self, request_id: str, segment: Segment) -> None:
        """A finished response to a request."""
        response = self._decode(segment.tokens)
        self._given[request_id] = (segment, response)
        self._grader.submit(GradeRequest(request_id, self._asked[request_id].problem, response, segment.stop))
        self._grades.update(self._grader.finished())
        self._progress(len(self._given), len(self._asked))

    def scored(self) -> list[ScoredResponse]:
        """All of them, once the last is graded, in the order in which they were asked for.

        Raises:
            EngineError: one is missing, or has no end.
            NothingGraded: every grading ended in an error.
        """
        self._grades.update(self._grader.drain())
        self._check_all_given()
        check_graded(self._grades.values(), "the evaluation", "All responses are kept.")
        scored = []
        for request_id, one in self._asked.items():
            (segment, response), grade = self._given[request_id], self._grades[request_id]
            scored.append(ScoredResponse(one.problem, response, len(segment.tokens), segment.stop, grade, one.sample))
        return scored

    def _check_all_given(self) -> None:
        missing = [request_id for request_id in self._asked if request_id not in self._given]
        cut = [request_id for request_id, (segment, _) in self._given.items() if segment.stop is Stop.CUT]
        unfinished = "a cut response, though its budget was the maximum length,"
        for names, what in ((missing, "no response"), (cut, unfinished)):
            if names:
                raise EngineError(
                    f"the engine gave {what} to {len(names)} of {len(self._asked)} requests (the first: problem "
                    f"{self._asked[names[0]].problem.id!r}); this is a fault of the engine backend, try another in "
                    "engine.backend"
                )
