import dataclasses

import pytest

from perilune.errors import EngineError, NothingGraded
from perilune.evaluation.benchmark import evaluate
from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.pool import GradingPool
from perilune.types import Completion, Message, Problem, Segment, Stop, Verdict

END = 0


class EchoEngine:
    """An engine over the code points of its text: greedily it answers 'Answer: <prompt>', sampled it depends on the
    seed. It yields in reverse order, and ends a response that is too long."""

    version = 7

    def __init__(self):
        self.requests = []

    def load_weights(self, weights, version):
        self.version = version

    def generate(self, requests):
        self.requests += requests
        for request in reversed(requests):
            text = "Answer: " + decode(request.prompt_tokens)
            if request.temperature > 0:
                text += str(request.seed % 10)
            tokens, stop = (*map(ord, text), END), Stop.ENDED
            if len(tokens) > request.max_response_tokens:
                tokens, stop = tokens[: request.max_response_tokens], Stop.LIMIT
            yield Completion(request.id, Segment(tokens, (0.0,) * len(tokens), self.version, stop))


def problem(text, answer, name=None):
    return Problem(name or text, (Message("user", text),), answer)


def render(asked):
    return tuple(map(ord, asked.messages[-1].content))


def decode(tokens):
    return "".join(chr(token) for token in tokens if token != END)


@pytest.fixture(scope="module")
def grader():
    with GradingPool(RewardsConfig()) as pool:
        yield pool


def test_greedy_responses_are_graded_in_the_order_of_the_problems(grader):
    problems = [problem("12", "12"), problem("13", "14"), problem("a/1", "1"), problem("1234567", "1234567")]
    seen = []
    found = evaluate(
        EchoEngine(), grader, problems, render, decode, max_response_tokens=14, progress=lambda *p: seen.append(p)
    )
    assert [r.problem.id for r in found] == ["12", "13", "a/1", "1234567"]
    assert [r.grade.verdict for r in found][:2] == [Verdict.RIGHT, Verdict.WRONG]
    assert found[0].response == "Answer: 12" and found[0].tokens == 11
    assert [r.stop for r in found] == [Stop.ENDED] * 3 + [Stop.LIMIT]
    assert found[3].tokens == 14
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_greedy_comes_first_and_samples_have_streams_of_their_own(grader):
    engine = EchoEngine()
    problems = [problem("5", "5"), problem("6", "6")]
    found = evaluate(
        engine, grader, problems, render, decode, max_response_tokens=50, samples=3, temperature=0.7, seed=1
    )
    assert [(r.problem.id, r.sample) for r in found] == [(p, s) for p in ("5", "6") for s in range(4)]
    by_id = {request.id: request for request in engine.requests}
    assert [by_id[f"0/{s}"].temperature for s in range(4)] == [0.0, 0.7, 0.7, 0.7]
    assert len({request.seed for request in engine.requests}) == 8
    again = evaluate(
        EchoEngine(), grader, problems[::-1], render, decode, max_response_tokens=50, samples=3, temperature=0.7, seed=1
    )
    assert sorted(map(repr, again)) == sorted(map(repr, found))
    other = evaluate(
        EchoEngine(), grader, problems, render, decode, max_response_tokens=50, samples=3, temperature=0.7, seed=2
    )
    assert [r.response for r in other] != [r.response for r in found]


class LazyEngine(EchoEngine):
    """Leaves the last request without an answer."""

    def generate(self, requests):
        yield from super().generate(requests[:-1])


class CuttingEngine(EchoEngine):
    """Cuts where it should end."""

    def generate(self, requests):
        for done in super().generate(requests):
            yield dataclasses.replace(done, segment=dataclasses.replace(done.segment, stop=Stop.CUT))


@pytest.mark.parametrize(("engine", "message"), [(LazyEngine, "no response to 1 of 2"), (CuttingEngine, "a cut resp")])
def test_an_engine_that_does_not_finish_is_told(grader, engine, message):
    with pytest.raises(EngineError, match=message):
        evaluate(engine(), grader, [problem("1", "1"), problem("2", "2")], render, decode, max_response_tokens=50)


def test_no_problems_are_no_responses(grader):
    assert evaluate(EchoEngine(), grader, [], render, decode, max_response_tokens=5) == []


def test_an_evaluation_in_which_nothing_can_be_graded_ends_and_its_responses_are_kept(grader):
    kept = {}
    problems = [problem("5", ""), problem("6", "")]
    with pytest.raises(NothingGraded, match="nothing of the evaluation could be graded: all 2 gradings") as raised:
        evaluate(EchoEngine(), grader, problems, render, decode, max_response_tokens=50, keep=kept.__setitem__)
    assert raised.value.exit_code == 69
    assert list(kept) == ["6/0", "5/0"]
    # One that can be is enough to go on.
    found = evaluate(
        EchoEngine(), grader, [problem("5", ""), problem("6", "6")], render, decode, max_response_tokens=50
    )
    assert [r.grade.verdict for r in found] == [Verdict.ERROR, Verdict.RIGHT]
