"""The RL stage: the loop, watched: metrics, draws, sample responses, alarms, evaluations when due."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from perilune.errors import EngineError
from perilune.rl.loop import Iteration, Master, iterate
from perilune.rl.measurements import iteration_metrics, tags_drawn, with_phases
from perilune.rl.sampler import ProblemSampler
from perilune.run.folders import write_folder
from perilune.run.jsonl import append_lines, json_line
from perilune.run.metrics import METRICS_FILE, event_line
from perilune.stages.evaluate import measure
from perilune.stages.session import Session, warn_of_skipped
from perilune.types import Group, StepMetrics, Trajectory, Verdict

SAMPLES_FILE = "samples.jsonl"
DRAWS_FILE = "draws.jsonl"


def reinforce(session: Session) -> None:
    """Run the recipe's RL iterations that are still to come."""
    recipe, run, backends = session.recipe, session.run, session.backends
    sampler = ProblemSampler(session.train, recipe.rl.sampling, recipe.seed)
    sampler.restore(run.observations)
    # The evaluation that was due when the run was stopped.
    _evaluate_when_due(session, run.state.iteration)
    telling = _Telling(session)
    with session.display.phases(recipe.rl.iterations) as phases:

        def on_step(step: StepMetrics) -> None:
            phases.advance("train", step.number, step.steps)
            warn_of_skipped(session, step)

        master = Master(
            trainer=backends.trainer,
            workers=backends.workers,
            grader=session.grader,
            run=run,
            sampler=sampler,
            render=backends.render,
            decode=backends.decode,
            seed=recipe.seed,
            on_segment=lambda done, total: phases.advance("rollout", done, total),
            on_step=on_step,
            tell=telling.commit,
        )
        for done in iterate(master, recipe.rl):
            telling.show(done)
            _keep_model(session, done.number + 1)
            _evaluate_when_due(session, done.number + 1)


class _Telling:
    """Tells what an iteration did: to the journal within its commit, to files and people after it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._metrics: dict[str, float] = {}
        self._told: dict[str, Any] = {}
        self._line = ""
        self._samples: list[str] = []
        self._draws: list[str] = []

    def commit(self, done: Iteration) -> None:
        """Within the transaction."""
        self._metrics = with_phases(iteration_metrics(done), self._session.backends.workers.take_phases())
        self._told = {**self._metrics, "drawn_by_tag": tags_drawn(done.draws)}
        self._line = event_line("iteration", done.number, self._told)
        self._samples = list(_sample_lines(self._session, done))
        self._draws = [json_line(asdict(draw)) for draw in done.draws]
        journal = self._session.run.journal
        journal.add(METRICS_FILE, "iteration", done.number, self._line)
        for sample in self._samples:
            journal.add(SAMPLES_FILE, "sample", done.number, sample)
        for draw in self._draws:
            journal.add(DRAWS_FILE, "draw", done.number, draw)

    def show(self, done: Iteration) -> None:
        """After it."""
        session, metrics = self._session, self._metrics
        for phase, seconds in done.seconds.items():
            session.clock.seconds[phase] = session.clock.seconds.get(phase, 0.0) + seconds
        session.log.append(self._line, "iteration", done.number, self._told)
        append_lines(session.run.path / SAMPLES_FILE, self._samples)
        append_lines(session.run.path / DRAWS_FILE, self._draws)
        session.display.iteration(done.number + 1, session.recipe.rl.iterations, metrics)
        _warn_of_errors(session, done)
        _check_mismatch(session, metrics.get("mismatch_mean", math.nan))


def _check_mismatch(session: Session, mismatch: float) -> None:
    """Warn where trainer and engine disagree, and end the run where they are too far apart.

    Raises:
        EngineError: they disagree by more than ``logging.mismatch_stop``.
    """
    alarm, stop = session.recipe.logging.mismatch_alarm, session.recipe.logging.mismatch_stop
    if not mismatch > min(alarm, stop):
        return
    told = (
        f"trainer and engine disagree by {mismatch:.3g} nats per token on average: the rollouts are not from the "
        "policy that is trained; try float32 in engine.dtype and trainer.dtype, or a correction (rl.correction)"
    )
    if mismatch > stop:
        raise EngineError(f"{told}. The run is ended, for that is more than logging.mismatch_stop = {stop:g}")
    session.display.warn(f"{told}; logging.mismatch_alarm is {alarm:g}")


def _warn_of_errors(session: Session, done: Iteration) -> None:
    if done.generated.grade_errors:
        grades = [t.grade for group in done.complete for t in group.trajectories if t.grade]
        first = next((f" (the first: {g.detail})" for g in grades if g.verdict is Verdict.ERROR), "")
        session.display.warn(
            f"{done.generated.grade_errors} responses are left out of training: their grading ended in an error, "
            f"{session.recipe.rewards.retries} more tries included{first}"
        )


def _evaluate_when_due(session: Session, iterations: int) -> None:
    every, last, name = session.recipe.evaluation.every, session.recipe.rl.iterations, f"iteration-{iterations}"
    due = every and iterations and iterations % every == 0 and iterations < last
    if due and not session.run.journal.has("evaluation", name):
        measure(session, name, iterations, during=True)


def _keep_model(session: Session, iterations: int) -> None:
    """The model in Hugging Face form, each ``checkpoints.models_every`` iterations."""
    every = session.recipe.checkpoints.models_every
    if every and iterations % every == 0 and iterations < session.recipe.rl.iterations:
        with session.clock.phase("save"):
            write_folder(session.run.model(f"iteration-{iterations}"), session.backends.trainer.save_pretrained)


def _sample_lines(session: Session, done: Iteration) -> Iterator[str]:
    """Some responses of the iteration, those of most versions first, for the report."""
    pairs = [(group, t) for group in done.complete for t in group.trajectories]
    pairs.sort(key=lambda pair: -len(set(pair[1].versions)))
    for group, trajectory in pairs[: session.recipe.logging.sample_responses]:
        yield json_line(_sample(session, done.number, group, trajectory))


def _sample(session: Session, iteration: int, group: Group, trajectory: Trajectory) -> dict[str, Any]:
    assert trajectory.grade is not None and trajectory.stop is not None
    return {
        "iteration": iteration,
        "problem": group.problem.id,
        "question": group.problem.messages[-1].content,
        "answer": group.problem.answer,
        "verdict": trajectory.grade.verdict.value,
        "score": trajectory.grade.score,
        "stop": trajectory.stop.value,
        "segments": [
            {
                "version": segment.version,
                "text": session.backends.decode(segment.tokens),
                "tokens": len(segment.tokens),
                "stop": segment.stop.value,
            }
            for segment in trajectory.segments
        ],
    }
