"""The rollout phase: resume what was cut, start what is fresh, grade what is finished while others still generate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from perilune.algorithm.streams import trajectory_seed
from perilune.protocols import Engine
from perilune.recipe.training import RLConfig
from perilune.rewards.pool import GradingPool
from perilune.run.buffer import ReplayBuffer
from perilune.types import Grade, GradeRequest, Group, Problem, Request, Trajectory, Verdict

Render = Callable[[Problem], tuple[int, ...]]
Decode = Callable[[Sequence[int]], str]
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class RolloutResult:
    """What one rollout phase did."""

    responses: int
    """Segments generated."""
    tokens: int
    """Tokens generated."""
    grade_errors: int
    grading_seconds: float = 0.0
    """Wall time of the grading processes on responses, added up over them; most of it passes while others are
    generated."""
    grade_wait_seconds: float = 0.0
    """Wall time in which nothing was generated any more, and the last grades were waited for."""
    grades_over_limit: int = 0
    """Responses that are wrong because their grading took more processor time or memory than it may."""


def fresh_group(problem: Problem, iteration: int, place: int, k: int, render: Render, run_seed: int) -> Group:
    """k empty trajectories for a problem, each with its own random stream.

    Args:
        problem: what to answer.
        iteration: the one that draws it.
        place: which of the iteration's draws this is.
        k: how many responses.
        render: problem to prompt tokens.
        run_seed: the recipe's seed.
    """
    group_id = f"{iteration:05d}-{place:03d}"
    trajectories = tuple(
        Trajectory(f"{group_id}/{index}", index, trajectory_seed(run_seed, problem.id, group_id, index))
        for index in range(k)
    )
    return Group(group_id, problem, render(problem), iteration, trajectories)


def roll_out(
    engine: Engine,
    groups: Sequence[Group],
    config: RLConfig,
    *,
    iteration: int,
    buffer: ReplayBuffer,
    grader: GradingPool,
    decode: Decode,
    progress: OnProgress,
) -> RolloutResult:
    """Give each unfinished trajectory its next segment, and each finished one its grade; the buffer keeps both.

    A trajectory that has its segment of this iteration already (the phase was interrupted) is not asked again.

    Args:
        engine: holds the policy's weights.
        groups: everything open, in the order in which it is to be served: cut responses first.
        config: budgets and temperature.
        iteration: which one this phase belongs to.
        buffer: takes each segment and grade as it arrives.
        grader: grades in other processes.
        decode: response tokens to text, for the reward alone.
        progress: called with (segments done, segments in all).
    """
    owner = {t.id: (group, t) for group in groups for t in group.trajectories}

    def ask_grade(group: Group, trajectory: Trajectory) -> None:
        stop = trajectory.stop
        assert stop is not None
        grader.submit(GradeRequest(trajectory.id, group.problem, decode(trajectory.tokens), stop))

    requests = []
    served = buffer.served(iteration)
    for group, trajectory in owner.values():
        if trajectory.terminal and trajectory.grade is None:
            ask_grade(group, trajectory)
        elif not trajectory.terminal and trajectory.id not in served:
            requests.append(_request(group, trajectory, config))

    before = grader.stats
    done = tokens = errors = 0
    for completion in engine.generate(requests):
        group, trajectory = owner[completion.request_id]
        buffer.append(trajectory.id, completion.segment, iteration)
        done += 1
        tokens += len(completion.segment.tokens)
        if completion.segment.stop.terminal:
            ask_grade(group, replace(trajectory, segments=(*trajectory.segments, completion.segment)))
        errors += _store(grader.finished(), buffer)
        progress(done, len(requests))
    generated = time.perf_counter()
    errors += _store(grader.drain(), buffer)
    waited = time.perf_counter() - generated
    after = grader.stats
    over_limit = after.over_limit - before.over_limit
    return RolloutResult(done, tokens, errors, after.busy_seconds - before.busy_seconds, waited, over_limit)


def _store(grades: Sequence[tuple[str, Grade]], buffer: ReplayBuffer) -> int:
    """Keep grades; return how many of them are errors."""
    for trajectory_id, grade in grades:
        buffer.grade(trajectory_id, grade)
    return sum(grade.verdict is Verdict.ERROR for _, grade in grades)


def _request(group: Group, trajectory: Trajectory, config: RLConfig) -> Request:
    return Request(
        id=trajectory.id,
        prompt_tokens=group.prompt_tokens,
        response_tokens=trajectory.tokens,
        segment_tokens=config.segment_tokens,
        max_response_tokens=config.max_response_tokens,
        seed=trajectory.seed,
        temperature=config.temperature,
        top_p=config.top_p,
    )
