"""The master of k1.5's Figure 3a, one iteration per turn:

begin iteration       reference <- policy, optimiser reset
rollout phase         serve the weights; resume what was cut, draw fresh problems, grade what finishes
training phase        complete groups -> rewards -> advantages -> samples -> a few minibatch steps
commit                checkpoint and buffer agree on the next iteration
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from perilune.config import RLConfig
from perilune.protocols import Trainer, Workers
from perilune.rewards.pool import GradingPool
from perilune.rl.buffer import ReplayBuffer
from perilune.rl.checkpoint import prune_checkpoints, write_checkpoint
from perilune.rl.rollout import Decode, Progress, Render, RolloutResult, fresh_group, roll_out
from perilune.rl.sampler import ProblemSampler
from perilune.rl.samples import RewardedGroup, make_samples, reward_group
from perilune.rl.skipped import saving_skipped
from perilune.rl.timing import Clock
from perilune.types import Group, Objective, OptimizerStep, Sample, StepMetrics, UpdateMetrics, Verdict


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop brings together."""

    trainer: Trainer
    workers: Workers
    grader: GradingPool
    buffer: ReplayBuffer
    sampler: ProblemSampler
    render: Render
    decode: Decode
    checkpoints: Path
    """Folder of checkpoints; the newest replaces the one before."""
    skipped: Path
    """Folder of minibatches whose step was skipped."""
    seed: int
    on_segment: Progress
    """Called with (segments done, segments in all) during a rollout phase."""
    on_step: Callable[[StepMetrics], None]
    """Called after each optimiser step."""


@dataclass(frozen=True, slots=True)
class Iteration:
    """What one iteration did; committed when it is yielded."""

    number: int
    """Counts from 0."""
    rollout: RolloutResult
    complete: tuple[Group, ...]
    """Groups that became complete."""
    rewarded: tuple[RewardedGroup, ...]
    """Those of them with enough gradable responses."""
    samples: tuple[Sample, ...]
    update: UpdateMetrics | None
    """None if there was nothing to train on."""
    waiting: int
    """Groups that go on in the next iteration."""
    discarded: int
    """Groups given up as too stale."""
    seconds: dict[str, float]
    """Per phase."""


def iterate(parts: Parts, config: RLConfig) -> Iterator[Iteration]:
    """Run the iterations that the buffer says are still to come; each is committed before it is yielded."""
    for number in range(parts.buffer.get("iteration", 0), config.iterations):
        clock = Clock()
        _begin(parts.trainer, config, number)

        with clock.phase("rollout"), parts.workers.serving(parts.trainer) as engine:
            discarded = _discard_stale(parts, config, number)
            groups = [*parts.buffer.open_groups(), *_draw(parts, config, number)]
            rollout = roll_out(
                engine,
                groups,
                config,
                iteration=number,
                buffer=parts.buffer,
                grader=parts.grader,
                decode=parts.decode,
                progress=parts.on_segment,
            )

        with clock.phase("train"):
            still_open = parts.buffer.open_groups()
            complete = tuple(group for group in still_open if group.complete)
            rewarded = tuple(r for r in (reward_group(group, config, number) for group in complete) if r)
            samples = tuple(make_samples(rewarded, config, parts.trainer.version))
            update = _update(parts, samples, config, number)

        with clock.phase("save"):
            _commit(parts, number, complete, rewarded)
        waiting = len(still_open) - len(complete)
        yield Iteration(number, rollout, complete, rewarded, samples, update, waiting, discarded, clock.seconds)


def _begin(trainer: Trainer, config: RLConfig, number: int) -> None:
    """Reference <- policy and the optimiser reset; GRPO's KL term keeps its reference for many iterations."""
    keeps = config.algorithm == "grpo" and config.grpo_beta > 0
    if not keeps or number % config.grpo_reference_iterations == 0:
        trainer.begin_iteration()
    if keeps:
        # Also right after a new one: the trainer must hold on to it before the first step moves the policy away.
        trainer.begin_iteration(keep_reference=True)


def _discard_stale(parts: Parts, config: RLConfig, number: int) -> int:
    """Give up open groups whose oldest segment is too many policy versions old; their problems are free again."""
    version = parts.trainer.version
    stale = [
        group.id
        for group in parts.buffer.open_groups()
        if group.oldest_version is not None and version - group.oldest_version > config.max_staleness
    ]
    parts.buffer.close_groups(stale, "discarded", number)
    return len(stale)


def _draw(parts: Parts, config: RLConfig, number: int) -> list[Group]:
    """Fresh groups for this iteration, kept in the buffer; none if it has drawn before it was interrupted."""
    if parts.buffer.drawn(number):
        return []
    busy = {group.problem.id for group in parts.buffer.open_groups()}
    problems = parts.sampler.draw(number, config.problems_per_iteration, busy)
    groups = [
        fresh_group(problem, number, place, config.group_size, parts.render, parts.seed)
        for place, problem in enumerate(problems)
    ]
    parts.buffer.add(groups)
    return groups


def _update(parts: Parts, samples: Sequence[Sample], config: RLConfig, number: int) -> UpdateMetrics | None:
    """A few minibatch steps, each on whole groups; None if no group became complete or all were left out."""
    if not samples:
        return None
    beta = config.grpo_beta if config.algorithm == "grpo" else 0.0
    objective = Objective(config.algorithm, tau=config.tau, clip=config.grpo_clip, beta=beta)
    steps = minibatches(samples, config)
    on_step = saving_skipped(parts.skipped, f"iteration-{number + 1:05d}", samples, steps, parts.on_step)
    return parts.trainer.update(samples, objective, steps, on_step)


def minibatches(samples: Sequence[Sample], config: RLConfig) -> list[OptimizerStep]:
    """Spread whole groups over ``config.minibatches`` steps as evenly as their number allows."""
    groups = sorted({sample.group for sample in samples})
    count = min(config.minibatches, len(groups))
    place = {group: index * count // len(groups) for index, group in enumerate(groups)}
    return [
        OptimizerStep(tuple(i for i, s in enumerate(samples) if place[s.group] == step), config.learning_rate)
        for step in range(count)
    ]


def _commit(parts: Parts, number: int, complete: Sequence[Group], rewarded: Sequence[RewardedGroup]) -> None:
    """The checkpoint first, then one transaction that names it: a run stopped between the two repeats nothing wrong."""
    name = f"iteration-{number + 1:05d}"
    write_checkpoint(parts.trainer, parts.checkpoints, name)
    for group in complete:
        graded = [t.grade.verdict for t in group.trajectories if t.grade and t.grade.verdict is not Verdict.ERROR]
        if graded:
            parts.sampler.observe(group.problem.id, graded.count(Verdict.RIGHT) / len(graded))
    trained = {r.group.id for r in rewarded}
    with parts.buffer.transaction():
        parts.buffer.close_groups(trained, "trained", number)
        parts.buffer.close_groups([g.id for g in complete if g.id not in trained], "skipped", number)
        parts.buffer.set("sampler", parts.sampler.state())
        parts.buffer.set("iteration", number + 1)
        parts.buffer.set("checkpoint", name)
    prune_checkpoints(parts.checkpoints, keep=name)
