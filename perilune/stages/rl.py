"""The RL stage: the loop, watched: metrics, sample responses, alarms, evaluations when due."""

from __future__ import annotations

import json
import math
from typing import Any

from perilune.rl.loop import Iteration, Parts, iterate
from perilune.rl.measurements import iteration_metrics
from perilune.rl.sampler import ProblemSampler
from perilune.stages.evaluate import measure
from perilune.stages.session import Session, warn_of_skipped
from perilune.types import Group, StepMetrics, Trajectory, Verdict


def reinforce(session: Session) -> None:
    """Run the recipe's RL iterations that are still to come."""
    recipe, run, components = session.recipe, session.run, session.components
    sampler = ProblemSampler(session.train, recipe.rl.sampling, recipe.seed)
    sampler.restore(run.buffer.get("sampler", {}))
    with session.display.phases(recipe.rl.iterations) as phases:

        def on_step(step: StepMetrics) -> None:
            phases.advance("train", step.number, step.steps)
            warn_of_skipped(session, step)

        parts = Parts(
            trainer=components.trainer,
            workers=components.workers,
            grader=session.grader,
            buffer=run.buffer,
            sampler=sampler,
            render=components.render,
            decode=components.decode,
            checkpoints=run.checkpoints,
            skipped=run.skipped,
            seed=recipe.seed,
            on_segment=lambda done, total: phases.advance("rollout", done, total),
            on_step=on_step,
        )
        for done in iterate(parts, recipe.rl):
            _report(session, done)
            _evaluate_when_due(session, done.number + 1)


def _report(session: Session, done: Iteration) -> None:
    metrics = iteration_metrics(done)
    for phase, seconds in done.seconds.items():
        session.clock.seconds[phase] = session.clock.seconds.get(phase, 0.0) + seconds
    session.log.write("iteration", done.number, metrics)
    session.display.iteration(done.number + 1, session.recipe.rl.iterations, metrics)
    _keep_samples(session, done)
    _warn_of_errors(session, done)
    limit, mismatch = session.recipe.logging.mismatch_alarm, metrics.get("mismatch_mean", math.nan)
    if mismatch > limit:
        session.display.warn(
            f"trainer and engine disagree by {mismatch:.3g} nats per token on average, more than {limit:g}: the "
            "rollouts are not from the policy that is trained; try float32 in engine.dtype and trainer.dtype"
        )


def _warn_of_errors(session: Session, done: Iteration) -> None:
    if done.rollout.grade_errors:
        grades = [t.grade for group in done.complete for t in group.trajectories if t.grade]
        first = next((f" (the first: {g.detail})" for g in grades if g.verdict is Verdict.ERROR), "")
        session.display.warn(
            f"{done.rollout.grade_errors} responses are left out of training because their grading ended in an error, "
            f"{session.recipe.rewards.retries} more tries included{first}"
        )


def _evaluate_when_due(session: Session, iterations: int) -> None:
    every, last = session.recipe.evaluation.every, session.recipe.rl.iterations
    if every and iterations % every == 0 and iterations < last:
        measure(session, f"iteration-{iterations}", iterations, during=True)


def _keep_samples(session: Session, done: Iteration) -> None:
    """Write some responses of the iteration, those of most versions first, for the report."""
    pairs = [(group, t) for group in done.complete for t in group.trajectories]
    pairs.sort(key=lambda pair: -len(set(pair[1].versions)))
    lines = [
        json.dumps(_sample(session, done.number, group, trajectory), ensure_ascii=False)
        for group, trajectory in pairs[: session.recipe.logging.sample_responses]
    ]
    with (session.run.path / "samples.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)


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
                "text": session.components.decode(segment.tokens),
                "tokens": len(segment.tokens),
                "stop": segment.stop.value,
            }
            for segment in trajectory.segments
        ],
    }
