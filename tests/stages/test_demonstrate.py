"""The stage that writes the warm-up set, within a run."""

from __future__ import annotations

import json
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from perilune.build import build_backends
from perilune.data.demonstrations import load_demonstrations
from perilune.data.problems import load_problems
from perilune.errors import ProblemsError
from perilune.protocols import Engine, Trainer
from perilune.recipe.recipe import Recipe, load_recipe
from perilune.report.terminal import Display
from perilune.rewards.pool import GradingPool
from perilune.run.metrics import MetricsLog, read_metrics
from perilune.run.opening import open_run
from perilune.run.timing import Clock
from perilune.stages.backends import Backends
from perilune.stages.demonstrate import write_warmup_set
from perilune.stages.session import Session
from perilune.types import Completion, Phase, Problem, Request, Segment, Stop

END = 0


def encode(text: str) -> tuple[int, ...]:
    return tuple(map(ord, text))


@dataclass
class Planner:
    """An engine over code points that plans, then says an answer that it knows from the prompt's last word."""

    most: int = 1000
    """It is killed when it has given so many responses."""
    asked: list[str] = field(default_factory=list)
    version: int = 0

    def load_weights(self, weights: Iterable[tuple[str, object]], version: int) -> None:
        self.version = version

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        for number, request in enumerate(requests):
            if number == self.most:
                raise KeyboardInterrupt
            self.asked.append(request.id)
            answer = "".join(map(chr, request.prompt_tokens)).split()[-1]
            tokens = (*encode(f"Plan: think of the number {request.id} first.\nAnswer: {answer}"), END)
            yield Completion(request.id, Segment(tokens, (0.0,) * len(tokens), self.version, Stop.ENDED))


@dataclass
class Planners:
    """Workers with one such engine."""

    engine: Planner

    @contextmanager
    def serving(self, trainer: Trainer) -> Iterator[Engine]:
        yield self.engine

    def take_phases(self) -> tuple[Phase, ...]:
        return ()

    def close(self) -> None:
        pass


def with_planner(backends: Backends, engine: Planner) -> Backends:
    return replace(
        backends,
        workers=Planners(engine),
        render=lambda problem: encode(f"{problem.messages[-1].content} {problem.answer}"),
        decode=lambda tokens: "".join(chr(token) for token in tokens if token != END),
    )


def no_build(recipe: Recipe) -> Backends:
    raise AssertionError("no teacher was asked for")


@pytest.fixture
def recipe(tiny_recipe: Path) -> Recipe:
    settings = ["warmup.problems=4", "warmup.variants=['plan','check']", "warmup.samples=1"]
    source = "problems.train={kind='generator',generators=[{name='arithmetic'}],count=12}"
    return load_recipe(tiny_recipe, [*settings, source])


@contextmanager
def session_of(recipe: Recipe, engine: Planner, *, resume: bool = False) -> Iterator[Session]:
    backends = with_planner(build_backends(recipe), engine)
    train = tuple(load_problems(recipe.problems.train, "train"))
    run = open_run(recipe, resume=resume, overwrite=False)
    try:
        with GradingPool(recipe.rewards) as grader, MetricsLog(run.path) as log, Display(quiet=True) as display:
            yield Session(recipe, run, backends, grader, log, display, train, (), Clock())
    finally:
        run.buffer.close()


def test_the_files_the_event_and_the_step(recipe: Recipe) -> None:
    engine = Planner()
    with session_of(recipe, engine) as session:
        path = write_warmup_set(session, no_build, done="warmup")
        assert session.run.state.steps_done == ("warmup",)
        known = {problem.id: problem for problem in session.train}
    assert path == recipe.run_folder / "warmup" / "demonstrations.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 8 and {line["variant"] for line in lines} == {"plan", "check"}
    # Four problems, of the three difficulties in turn.
    assert sorted(Counter(known[n].difficulty for n in {line["problem"] for line in lines}).values()) == [1, 1, 2]
    shown = load_demonstrations(path)
    assert {d.problem.messages for d in shown} == {known[line["problem"]].messages for line in lines}
    summary = json.loads((path.parent / "summary.json").read_text())
    assert (summary["asked"], summary["kept"]) == (8, 8)
    (event,) = [event for event in read_metrics(recipe.run_folder) if event["event"] == "warmup_set"]
    assert event["kept"] == 8 and event["behaviours"]["kept"]["planning"] == 8
    assert (path.parent / "rejected.jsonl").read_text() == ""


def test_a_killed_run_asks_for_the_rest_alone(recipe: Recipe) -> None:
    first, second = Planner(most=5), Planner()
    with session_of(recipe, first) as session, pytest.raises(KeyboardInterrupt):
        write_warmup_set(session, no_build)
    with session_of(recipe, second, resume=True) as session:
        path = write_warmup_set(session, no_build)
        assert session.run.answers.of("") == {}
    assert len(first.asked) == 5 and len(second.asked) == 3
    assert set(first.asked).isdisjoint(second.asked)
    assert len(path.read_text().splitlines()) == 8


def test_a_teacher_writes_in_place_of_the_model_and_leaves_nothing_in_memory(recipe: Recipe) -> None:
    own, teacher = Planner(), Planner()
    built: list[tuple[str, weakref.ref[Trainer]]] = []

    def build(wanted: Recipe) -> Backends:
        backends = build_backends(wanted.model_copy(update={"model": recipe.model}))
        built.append((wanted.model.name, weakref.ref(backends.trainer)))
        return with_planner(backends, teacher)

    taught = recipe.model_copy(update={"warmup": recipe.warmup.model_copy(update={"teacher": "some/teacher"})})
    with session_of(taught, own) as session:
        write_warmup_set(session, build)
        ((name, trainer),) = built
        assert name == "some/teacher" and trainer() is None
    assert len(teacher.asked) == 8 and own.asked == []


def wrong(problem: Problem) -> tuple[int, ...]:
    return encode("none")


def test_a_model_that_is_never_right_is_told(recipe: Recipe) -> None:
    with session_of(recipe, Planner()) as session:
        hopeless = replace(session, backends=replace(session.backends, render=wrong))
        with pytest.raises(ProblemsError, match=r"not one of 8 responses .* as wrong: 8.*warmup\.teacher"):
            write_warmup_set(hopeless, no_build)
    rejected = recipe.run_folder / "warmup" / "rejected.jsonl"
    assert {json.loads(line)["reason"] for line in rejected.read_text().splitlines()} == {"wrong"}
    assert not (rejected.parent / "demonstrations.jsonl").exists()
