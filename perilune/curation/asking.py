"""Ask a model each problem several times and grade what it answers; what was asked before comes from the cache."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from perilune.algorithm.streams import trajectory_seed
from perilune.curation.sample_cache import SampleCache, cache_key
from perilune.errors import EngineError
from perilune.protocols import Engine
from perilune.rewards.nothing import check_graded
from perilune.rewards.pool import GradingPool
from perilune.types import Grade, GradeRequest, Problem, Request, Segment, Stop, Verdict


@dataclass(frozen=True, slots=True)
class Ask:
    """How a problem is asked."""

    problem: Problem
    """Whose reward judges the answers."""
    prompt_tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """How answers are drawn."""

    samples: int
    temperature: float
    max_response_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One graded answer."""

    text: str
    tokens: int
    stop: Stop
    grade: Grade


@dataclass(slots=True)
class Spent:
    """What asking has cost so far."""

    generated: int = 0
    """Samples generated."""
    cached: int = 0
    """Samples taken from the cache."""
    tokens: int = 0
    """Tokens generated."""


@dataclass(slots=True)
class Asker:
    """A model with its judge and its cache.

    A sample's random stream is named by seed, model, prompt, settings and number alone: so ten samples are the first
    ten of twenty, and a sample that is asked for again is the one in the cache.
    """

    engine: Engine
    grader: GradingPool
    decode: Callable[[Sequence[int]], str]
    cache: SampleCache
    model: str
    """Names the model and what else its answers depend on, for the cache."""
    judge: str
    """Names the settings of the rewards, for the cache."""
    seed: int
    spent: Spent = field(default_factory=Spent)

    def ask(
        self,
        asks: Sequence[Ask],
        settings: Settings,
        progress: Callable[[int, int], None],
        stated: Callable[[Problem, str], str] = lambda problem, text: text,
    ) -> dict[str, tuple[Answer, ...]]:
        """Every problem's answers, by problem id, in the order of their numbers.

        Args:
            asks: problems of unique ids.
            settings: how many answers, and how they are drawn.
            progress: called with (answers done, answers in all).
            stated: what the reward is given for an answer's text.

        Raises:
            EngineError: the engine cannot serve a request, or leaves one out.
            NothingGraded: every grading ended in an error.
        """
        keys = {a.problem.id: self._key(a, settings) for a in asks}
        owner = {a.problem.id: a.problem for a in asks}
        found: dict[str, dict[int, Segment]] = {
            name: self.cache.samples(k, settings.samples) for name, k in keys.items()
        }
        known = sum(map(len, found.values()))
        total, done = len(asks) * settings.samples, known
        self.spent.cached += known
        graded = _Grading(self, owner, keys, stated)
        for name, segments in found.items():
            graded.submit(name, segments)
        progress(done, total)
        for completion in self.engine.generate(self._requests(asks, keys, found, settings)):
            name, _, number = completion.request_id.rpartition("\n")
            self.cache.keep_sample(keys[name], int(number), completion.segment)
            found[name][int(number)] = completion.segment
            self.spent.generated += 1
            self.spent.tokens += len(completion.segment.tokens)
            graded.submit(name, {int(number): completion.segment})
            graded.collect()
            done += 1
            progress(done, total)
        graded.finish()
        _check_whole(found, settings.samples)
        graded.check()
        return {name: graded.answers(name, segments) for name, segments in found.items()}

    def _key(self, ask: Ask, settings: Settings) -> str:
        how = [settings.temperature, settings.max_response_tokens, self.seed]
        return cache_key(self.model, ask.prompt_tokens, how)

    def _requests(
        self,
        asks: Sequence[Ask],
        keys: Mapping[str, str],
        found: Mapping[str, Mapping[int, Segment]],
        settings: Settings,
    ) -> list[Request]:
        return [
            Request(
                id=f"{a.problem.id}\n{number}",
                prompt_tokens=a.prompt_tokens,
                response_tokens=(),
                segment_tokens=settings.max_response_tokens,
                max_response_tokens=settings.max_response_tokens,
                seed=trajectory_seed(self.seed, keys[a.problem.id], "curation", number),
                temperature=settings.temperature,
            )
            for a in asks
            for number in range(settings.samples)
            if number not in found[a.problem.id]
        ]


class _Grading:
    """Grades answers as they come, those alone that no cached grade speaks of."""

    def __init__(
        self,
        asker: Asker,
        owner: Mapping[str, Problem],
        keys: Mapping[str, str],
        stated: Callable[[Problem, str], str],
    ) -> None:
        self._asker, self._owner, self._keys, self._stated = asker, owner, keys, stated
        self._judges = {name: _judge(asker.judge, problem) for name, problem in owner.items()}
        self._grades = {name: asker.cache.grades(key, self._judges[name]) for name, key in keys.items()}

    def submit(self, name: str, segments: Mapping[int, Segment]) -> None:
        for number, segment in segments.items():
            if number not in self._grades[name]:
                text = self._stated(self._owner[name], self._asker.decode(segment.tokens))
                self._asker.grader.submit(GradeRequest(f"{name}\n{number}", self._owner[name], text, segment.stop))

    def collect(self) -> None:
        self._take(self._asker.grader.finished())

    def finish(self) -> None:
        self._take(self._asker.grader.drain())

    def check(self) -> None:
        """Raise NothingGraded if every grading ended in an error."""
        grades = (grade for found in self._grades.values() for grade in found.values())
        check_graded(grades, "what was asked", "All responses are kept.")

    def _take(self, grades: Sequence[tuple[str, Grade]]) -> None:
        for request_id, grade in grades:
            name, _, number = request_id.rpartition("\n")
            self._grades[name][int(number)] = grade
            self._asker.cache.keep_grade(self._keys[name], int(number), self._judges[name], grade)

    def answers(self, name: str, segments: Mapping[int, Segment]) -> tuple[Answer, ...]:
        return tuple(
            Answer(
                self._asker.decode(segments[number].tokens),
                len(segments[number].tokens),
                segments[number].stop,
                self._grades[name][number],
            )
            for number in sorted(segments)
        )


def pass_rate(answers: Sequence[Answer]) -> float | None:
    """Share of right answers among those that could be graded; None if none could."""
    graded = [answer.grade.verdict for answer in answers if answer.grade.verdict is not Verdict.ERROR]
    return graded.count(Verdict.RIGHT) / len(graded) if graded else None


def rights(answers: Sequence[Answer]) -> int:
    """How many answers are right."""
    return sum(answer.grade.verdict is Verdict.RIGHT for answer in answers)


def _judge(settings: str, problem: Problem) -> str:
    return cache_key(settings, problem.reward, problem.answer, *([problem.row] if problem.row else []))


def _check_whole(found: Mapping[str, Mapping[int, Segment]], samples: int) -> None:
    missing = [name for name, segments in found.items() if len(segments) < samples]
    if missing:
        raise EngineError(
            f"the engine left {len(missing)} of {len(found)} problems without all their answers (the first: "
            f"{missing[0]!r}); this is a fault of the engine backend, try another in engine.backend"
        )


def rewards_key(settings: Mapping[str, object]) -> str:
    """The name of the rewards' settings for the cache: those alone that a grade depends on."""
    free = {"workers", "timeout_seconds", "cpu_seconds", "memory_mb", "retries", "files"}
    return json.dumps({key: value for key, value in sorted(settings.items()) if key not in free}, default=str)
