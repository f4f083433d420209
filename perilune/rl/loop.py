"""The master of k1.5's Figure 3a, one iteration per turn:

begin iteration       reference <- policy, optimiser reset
rollout phase         serve the weights; resume what was cut, draw fresh problems, grade what finishes
training phase        complete groups -> rewards -> advantages -> samples -> a few minibatch steps
commit                checkpoint and buffer agree on the next iteration
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from perilune.protocols import Engine, Trainer, Workers
from perilune.recipe.training import RLConfig
from perilune.rewards.nothing import check_graded
from perilune.rewards.pool import GradingPool
from perilune.rl.rollout import Decode, OnProgress, Render, RolloutResult, fresh_group, roll_out
from perilune.rl.sampler import Draw, ProblemSampler
from perilune.rl.samples import RewardedGroup, make_samples, objective_of, reward_group
from perilune.run.buffer import RolloutCounts
from perilune.run.folder import RunFolder
from perilune.run.observations import Observation
from perilune.run.skipped import saving_skipped
from perilune.run.state import RunState
from perilune.run.timing import Clock
from perilune.types import Group, OptimizerStep, Sample, StepMetrics, UpdateMetrics, Verdict


@dataclass(frozen=True, slots=True)
class Master:
    """What the master of Figure 3a holds: policy and engine, grading, the run, and whom it tells."""

    trainer: Trainer
    workers: Workers
    grader: GradingPool
    run: RunFolder
    """The replay buffer, and where commits go."""
    sampler: ProblemSampler
    render: Render
    decode: Decode
    seed: int
    on_segment: OnProgress
    """Called with (segments done, segments in all) during a rollout phase."""
    on_step: Callable[[StepMetrics], None]
    """Called after each optimiser step."""
    tell: Callable[[Iteration], None] = lambda done: None
    """Called within the transaction that commits an iteration."""


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
    generated: RolloutCounts
    """What the rollout phase has made, before an interruption too."""
    seconds: dict[str, float]
    """Per phase, in this process."""
    draws: tuple[Draw, ...] = ()
    """The fresh problems, and why each was drawn."""


def iterate(master: Master, config: RLConfig) -> Iterator[Iteration]:
    """Run the iterations that the buffer says are still to come; each is committed before it is yielded."""
    buffer = master.run.buffer
    for number in range(master.run.state.iteration, config.iterations):
        clock = Clock()
        _begin(master.trainer, config, number)

        with clock.phase("rollout"), master.workers.serving(master.trainer) as engine:
            _discard_stale(master, config, number)
            draws = _draw(master, config, number)
            rollout = _roll_out(master, engine, config, number)
        _check_graded(master, number)
        clock.move("rollout", "grade_wait", rollout.grade_wait_seconds)
        with clock.phase("train"):
            still_open = buffer.open_groups()
            complete = tuple(group for group in still_open if group.complete)
            rewarded = tuple(r for r in (reward_group(group, config, number) for group in complete) if r)
            samples = tuple(make_samples(rewarded, config, master.trainer.version))
            update = _update(master, samples, config, number)

        observed = _observe(master, number, complete)
        with clock.phase("save"):
            name, state = _write_checkpoint(master, number)
        done = Iteration(
            number=number,
            rollout=rollout,
            complete=complete,
            rewarded=rewarded,
            samples=samples,
            update=update,
            waiting=len(still_open) - len(complete),
            discarded=buffer.count_closed("discarded", number),
            generated=buffer.rollout_counts(number),
            seconds=clock.seconds,
            draws=draws,
        )
        with clock.phase("save"):
            master.run.commit(name, state, partial(_close, master, done, observed))
        yield done


def _begin(trainer: Trainer, config: RLConfig, number: int) -> None:
    """Reference <- policy and the optimiser reset; a KL term such as GRPO's keeps its reference for many iterations."""
    keeps = objective_of(config).beta > 0
    if not keeps or number % config.grpo_reference_iterations == 0:
        trainer.begin_iteration()
    if keeps:
        # Also right after a new one: the trainer must hold on to it before the first step moves the policy away.
        trainer.begin_iteration(keep_reference=True)


def _discard_stale(master: Master, config: RLConfig, number: int) -> None:
    """Give up open groups whose oldest segment is too many policy versions old; their problems are free again."""
    version = master.trainer.version
    stale = [
        group.id
        for group in master.run.buffer.open_groups()
        if group.oldest_version is not None and version - group.oldest_version > config.max_staleness
    ]
    master.run.buffer.close_groups(stale, "discarded", number)


def _draw(master: Master, config: RLConfig, number: int) -> tuple[Draw, ...]:
    """Put this iteration's fresh groups into the buffer, unless it has drawn before it was interrupted."""
    buffer, sampler = master.run.buffer, master.sampler
    if not buffer.drawn(number):
        busy = {group.problem.id for group in buffer.open_groups()}
        draws = sampler.draw(number, config.problems_per_iteration, busy)
        # Before the groups: where those are, after a kill too, it is known why.
        buffer.set("draws", [asdict(draw) for draw in draws])
        buffer.add(
            fresh_group(sampler[draw.problem], number, place, config.group_size, master.render, master.seed)
            for place, draw in enumerate(draws)
        )
    kept = (Draw(**row) for row in buffer.get("draws", []))
    return tuple(draw for draw in kept if draw.iteration == number)


def _roll_out(master: Master, engine: Engine, config: RLConfig, number: int) -> RolloutResult:
    """Every open group's next segments; the cut ones are the oldest, and so come first."""
    return roll_out(
        engine,
        master.run.buffer.open_groups(),
        config,
        iteration=number,
        buffer=master.run.buffer,
        grader=master.grader,
        decode=master.decode,
        progress=master.on_segment,
    )


def _check_graded(master: Master, number: int) -> None:
    """End the run where no response that the phase has finished could be graded; then all of them are graded again."""
    buffer = master.run.buffer
    counts = buffer.rollout_counts(number)
    if not 0 < counts.graded == counts.grade_errors:
        return
    grades = [t.grade for group in buffer.open_groups() for t in group.trajectories if t.grade]
    buffer.forget_errors()
    errors = [grade for grade in grades if grade.verdict is Verdict.ERROR]
    check_graded(errors, f"iteration {number + 1}", "All responses are kept.")


def _update(master: Master, samples: Sequence[Sample], config: RLConfig, number: int) -> UpdateMetrics | None:
    """A few minibatch steps, each on whole groups; None if no group became complete or all were left out."""
    if not samples:
        return None
    steps = minibatches(samples, config)
    on_step = saving_skipped(master.run.skipped, f"iteration-{number + 1:05d}", samples, steps, master.on_step)
    return master.trainer.update(samples, objective_of(config), steps, on_step)


def minibatches(samples: Sequence[Sample], config: RLConfig) -> list[OptimizerStep]:
    """Spread whole groups over ``config.minibatches`` steps as evenly as their number allows."""
    groups = sorted({sample.group for sample in samples})
    count = min(config.minibatches, len(groups))
    place = {group: index * count // len(groups) for index, group in enumerate(groups)}
    return [
        OptimizerStep(tuple(i for i, s in enumerate(samples) if place[s.group] == step), config.learning_rate)
        for step in range(count)
    ]


def _observe(master: Master, number: int, complete: Sequence[Group]) -> list[Observation]:
    """What the groups say of how well their problems are solved."""
    observed = []
    for group in complete:
        graded = [t.grade.verdict for t in group.trajectories if t.grade and t.grade.verdict is not Verdict.ERROR]
        if graded:
            rate = graded.count(Verdict.RIGHT) / len(graded)
            observed.append(master.sampler.observe(group.problem.id, rate, number))
    return [observation for observation in observed if observation is not None]


def _write_checkpoint(master: Master, number: int) -> tuple[str, RunState]:
    """The checkpoint after an iteration."""
    state = replace(master.run.state, iteration=number + 1)
    name = f"iteration-{number + 1:05d}"
    master.run.write_checkpoint(master.trainer, name, state)
    return name, state


def _close(master: Master, done: Iteration, observed: Sequence[Observation]) -> None:
    """What the transaction of an iteration's commit holds beside its state."""
    trained = {r.group.id for r in done.rewarded}
    buffer = master.run.buffer
    buffer.close_groups(trained, "trained", done.number)
    buffer.close_groups([g.id for g in done.complete if g.id not in trained], "skipped", done.number)
    master.run.observations.add(observed)
    master.tell(done)
