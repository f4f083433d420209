"""The loop with the real engine, trainer, buffer and grading pool on the tiny model."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from perilune.algorithm.policy import ALGORITHMS
from perilune.errors import NothingGraded, RunFolderError, TrainerError
from perilune.recipe.training import RLConfig
from perilune.rl.loop import Iteration, Master, iterate, minibatches
from perilune.run import folder
from perilune.types import Objective, Sample, StepMetrics, Stop

if TYPE_CHECKING:
    from conftest import Lab, RecordingEngine, RecordingTrainer, Update

OFTEN_ENDING = tuple(range(2, 12))
"""End tokens that about one token in twenty is."""


def changed(config: RLConfig, **settings: object) -> RLConfig:
    return RLConfig.model_validate({**config.model_dump(), **settings})


def updates(master: Master) -> list[Update]:
    trainer: RecordingTrainer = master.trainer  # type: ignore[assignment]
    return trainer.updates


def run(master: Master, config: RLConfig) -> list[Iteration]:
    return list(iterate(master, config))


def segments(folder: Path) -> list[tuple[str, int, bytes, int]]:
    """(trajectory, iteration, tokens, version) of everything that was ever generated, in order."""
    with sqlite3.connect(folder / "buffer.sqlite") as db:
        rows = db.execute("SELECT trajectory_id, iteration, tokens, version FROM segments ORDER BY rowid").fetchall()
    db.close()
    return rows


def test_groups_train_only_when_complete(lab: Lab, short_config: RLConfig) -> None:
    master = lab.master()
    done = run(master, short_config)
    # Without an end token a response takes three iterations, so the first group completes in the third.
    assert [len(d.complete) for d in done] == [0, 0, 2, 2, 2]
    assert [d.waiting for d in done] == [2, 4, 4, 4, 4]
    assert [d.update is None for d in done] == [True, True, False, False, False]
    assert [d.rollout.responses for d in done] == [6, 12, 18, 18, 18]
    assert [d.rollout.tokens for d in done] == [36, 72, 96, 96, 96]
    for iteration in done:
        for group in iteration.complete:
            assert all(t.stop is Stop.LIMIT and len(t.tokens) == 16 and t.grade for t in group.trajectories)
    assert master.trainer.version == 3
    assert [update.version for update in updates(master)] == [0, 1, 2]


def test_a_cut_response_goes_on_although_nothing_was_trained(lab: Lab, short_config: RLConfig) -> None:
    done = run(lab.master(), short_config)
    assert {sample.versions for sample in done[2].samples} == {(0,) * 16}
    (first, *_) = done[2].complete
    assert [len(s.tokens) for s in first.trajectories[0].segments] == [6, 6, 4]


def test_responses_span_versions_and_all_sequences_are_aligned(lab: Lab, short_config: RLConfig) -> None:
    master = lab.master()
    done = run(master, short_config)
    assert [set(d.samples and [s.versions for s in d.samples]) for d in done[3:]] == [
        {(0,) * 12 + (1,) * 4},
        {(0,) * 6 + (1,) * 6 + (2,) * 4},
    ]
    for update, iteration in zip(updates(master), done[2:], strict=True):
        assert update.samples == iteration.samples
        trajectories = {t.tokens: (g, t) for g in iteration.complete for t in g.trajectories}
        for sample in update.samples:
            group, trajectory = trajectories[sample.tokens[sample.prompt_length :]]
            assert sample.tokens[: sample.prompt_length] == group.prompt_tokens == lab.render(group.problem)
            assert sample.versions == trajectory.versions
            assert sample.behaviour_logprobs == trajectory.logprobs
            assert sample.loss_mask == (False,) * sample.prompt_length + (True,) * 16


def test_each_segment_is_from_the_weights_whose_version_it_carries(lab: Lab, short_config: RLConfig) -> None:
    master = lab.master()
    run(master, short_config)
    compared, gaps_of_old = 0, []
    for update in updates(master):
        for sample, own in zip(update.samples, update.own_logprobs, strict=True):
            for mine, theirs, version in zip(own, sample.behaviour_logprobs, sample.versions, strict=True):
                if version == update.version:
                    assert abs(mine - theirs) <= 1e-4
                    compared += 1
                else:
                    gaps_of_old.append(abs(mine - theirs))
    assert compared == 6 * (16 + 4 + 4)
    # The weights did move: the older segments are not theirs.
    assert max(gaps_of_old) > 1e-3


def test_only_current_segments_enter_the_loss_where_asked(lab: Lab, short_config: RLConfig) -> None:
    master = lab.master()
    run(master, changed(short_config, loss_segments="current"))
    for update in updates(master):
        for sample in update.samples:
            assert sample.loss_mask[sample.prompt_length :] == tuple(v == update.version for v in sample.versions)
    assert sum(map(sum, (s.loss_mask for s in updates(master)[-1].samples))) == 6 * 4


def test_mixed_lengths_keep_every_promise(lab: Lab, short_config: RLConfig) -> None:
    lab.ends = OFTEN_ENDING
    config = changed(short_config, iterations=6)
    master = lab.master()
    done = run(master, config)
    stops = Counter(t.stop for d in done for g in d.complete for t in g.trajectories)
    assert stops[Stop.ENDED] and stops[Stop.LIMIT]
    assert len({sample.versions for d in done for sample in d.samples}) > 3
    per_iteration = Counter((name, iteration) for name, iteration, _, _ in segments(lab.folder))
    assert set(per_iteration.values()) == {1}
    for iteration in done:
        for group in iteration.complete:
            for t in group.trajectories:
                assert t.grade and t.grade.detail == str(len(master.decode(t.tokens)))
                assert all(s.stop is Stop.CUT for s in t.segments[:-1])
                assert all(token not in lab.ends for token in t.tokens[:-1])
                assert (t.tokens[-1] in lab.ends) == (t.stop is Stop.ENDED)


def test_stale_groups_are_given_up_and_their_problems_freed(lab: Lab, short_config: RLConfig) -> None:
    # No response may be longer than max_staleness allows, so a group grows stale only where a cut was not resumed:
    # here two more segments were needed when the policy has moved on by three versions.
    master = lab.master()
    config = changed(short_config, max_staleness=2)
    generator = iterate(master, config)
    next(generator)
    generator.close()
    first = [group.problem.id for group in master.run.buffer.open_groups()]
    names = [group.id for group in master.run.buffer.open_groups()]
    sample = Sample((5, 6, 7, 8), 2, (False, False, True, True), 1.0, (-5.0, -5.0), (0, 0))
    for _ in range(3):
        master.trainer.begin_iteration()
        master.trainer.update([sample], Objective("opmd"), minibatches([sample], config))
    lab.problems = [problem for problem in lab.problems if problem.id in first]
    sampler = lab.master().sampler
    done = next(iterate(replace(master, sampler=sampler), config))
    assert (done.number, done.discarded) == (1, 2)
    still = master.run.buffer.open_groups()
    assert not {group.id for group in still} & set(names)
    assert sorted(group.problem.id for group in still) == sorted(first)
    assert all(group.born == 1 and group.oldest_version == 3 for group in still)


def test_a_group_within_the_bound_is_kept(lab: Lab, short_config: RLConfig) -> None:
    done = run(lab.master(), changed(short_config, max_staleness=2))
    assert [d.discarded for d in done] == [0] * 5


def test_groups_whose_gradings_fail_do_not_train_and_do_not_stop_the_run(lab: Lab, short_config: RLConfig) -> None:
    lab.problems = [replace(p, reward="rl_rewards:mostly_broken") for p in lab.problems]
    master = lab.master()
    done = run(master, changed(short_config, segment_tokens=16, iterations=2))
    assert [(len(d.complete), len(d.rewarded), d.update) for d in done] == [(2, 0, None)] * 2
    assert [d.generated.grade_errors for d in done] == [4, 4]
    assert master.run.buffer.open_groups() == []


def test_an_iteration_in_which_nothing_can_be_graded_ends_the_run_and_loses_nothing(
    lab: Lab, short_config: RLConfig
) -> None:
    mended = lab.folder / "mended"
    lab.problems = [replace(p, reward="rl_rewards:broken", answer=str(mended)) for p in lab.problems]
    config = changed(short_config, segment_tokens=16, iterations=2)
    for _ in range(2):
        master = lab.master()
        with pytest.raises(NothingGraded, match=r"of iteration 1 .* all 6 .* \(6 × RuntimeError: the judge is out"):
            run(master, config)
        assert master.run.state.iteration == 0
        # An error says nothing of the problem.
        assert list(master.run.observations) == []
    generated = segments(lab.folder)
    mended.touch()
    master = lab.master()
    done = run(master, config)
    assert [d.generated.grade_errors for d in done] == [0, 0]
    assert [d.rollout.responses for d in done] == [0, 6]
    assert segments(lab.folder)[: len(generated)] == generated


class Stopped(KeyboardInterrupt):
    pass


def stop_after(count: int) -> Callable[[int, int], None]:
    def on_segment(done: int, total: int) -> None:
        if done == count:
            raise Stopped

    return on_segment


@pytest.mark.parametrize("count", [1, 7, 12])
def test_an_interrupted_rollout_goes_on_where_it_was(lab: Lab, short_config: RLConfig, count: int) -> None:
    config = changed(short_config, iterations=4)
    whole = run(lab.master(), config)
    uninterrupted = segments(lab.folder)
    (lab.folder / "buffer.sqlite").unlink()

    first = lab.master()
    run(first, changed(config, iterations=3))
    second = lab.master(on_segment=stop_after(count))
    with pytest.raises(Stopped):
        run(second, config)
    kept = segments(lab.folder)
    assert len(kept) == 6 + 12 + 18 + count

    third = lab.master()
    (done,) = run(third, config)
    engine: RecordingEngine = third.workers._engine  # type: ignore[attr-defined]
    finished = {name for name, iteration, _, _ in kept if iteration == 3}
    assert len(engine.asked) == 18 - count
    assert not finished & {request.id for request in engine.asked}
    found = segments(lab.folder)
    assert found[: len(kept)] == kept
    assert set(Counter((name, iteration) for name, iteration, _, _ in found).values()) == {1}
    # The same tokens as without the interruption, and the same groups trained.
    assert sorted(found) == sorted(uninterrupted)
    assert [g.id for g in done.complete] == [g.id for g in whole[3].complete]
    assert [s.advantage for s in done.samples] == [s.advantage for s in whole[3].samples]
    # What was drawn was drawn once, and the reasons are those of then.
    assert done.draws == whole[3].draws
    assert [(draw.problem, draw.iteration) for draw in done.draws] == [
        (group.problem.id, 3) for group in third.run.buffer.open_groups() if group.born == 3
    ]
    assert third.trainer.version == 2


def test_an_interrupted_first_iteration_has_no_checkpoint_and_goes_on(lab: Lab, short_config: RLConfig) -> None:
    config = changed(short_config, segment_tokens=16, iterations=1)
    with pytest.raises(Stopped):
        run(lab.master(on_segment=stop_after(4)), config)
    # Fresh responses that are finished but whose grades were lost with the process are graded now.
    master = lab.master()
    assert master.run.newest_checkpoint(lab.warnings.append) is None
    (done,) = run(master, config)
    assert done.rollout.responses == 2
    assert len(done.complete) == 2
    assert master.trainer.version == 1


def test_an_interruption_while_training_repeats_the_training_alone(lab: Lab, short_config: RLConfig) -> None:
    config = changed(short_config, segment_tokens=16, iterations=2)
    master = lab.master()
    _, expected = run(master, config)
    (lab.folder / "buffer.sqlite").unlink()

    def on_step(step: StepMetrics) -> None:
        raise Stopped

    run(lab.master(), changed(config, iterations=1))
    stopped = replace(lab.master(), on_step=on_step)
    with pytest.raises(Stopped):
        run(stopped, config)
    again = lab.master()
    (done,) = run(again, config)
    assert (done.number, done.rollout.responses) == (1, 0)
    assert done.samples == tuple(updates(stopped)[0].samples)
    assert [sample.tokens for sample in done.samples] == [sample.tokens for sample in expected.samples]
    assert again.trainer.version == master.trainer.version == 2
    for (name, mine), (_, theirs) in zip(again.trainer.weights(), master.trainer.weights(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4), name


def test_an_update_that_ruins_the_weights_is_not_committed_and_its_bad_minibatch_is_kept(
    lab: Lab, short_config: RLConfig
) -> None:
    config = changed(short_config, segment_tokens=16, iterations=2)
    master = lab.master()
    run(master, changed(config, iterations=1))
    good = [weight.clone() for _, weight in master.trainer.weights()]
    with pytest.raises(TrainerError, match="no finite log-probabilities, so it is not kept"):
        run(lab.master(), changed(config, learning_rate=1e18))
    (kept,) = (lab.folder / "skipped").iterdir()
    assert kept.name == "iteration-00002-step-2.jsonl"
    again = lab.master()
    assert again.run.state.iteration == 1
    assert all(torch.equal(mine, theirs) for (_, mine), theirs in zip(again.trainer.weights(), good, strict=True))
    # What was generated is trained on with the changed learning rate.
    (done,) = run(again, config)
    assert (done.rollout.responses, len(done.complete), again.trainer.version) == (0, 2, 2)
    assert done.update is not None and done.update.skipped == 0


def test_each_iteration_commits_a_checkpoint_and_keeps_the_one_before(lab: Lab, short_config: RLConfig) -> None:
    master = lab.master()
    for done in iterate(master, changed(short_config, iterations=4)):
        names = [f"iteration-{number + 1:05d}" for number in range(max(0, done.number - 1), done.number + 1)]
        assert master.run.state.iteration == done.number + 1
        assert master.run.newest_checkpoint(lab.warnings.append) == master.run.checkpoints / names[-1]
        assert sorted(path.name for path in master.run.checkpoints.iterdir()) == names
    loaded = lab.trainer()
    loaded.load(master.run.checkpoints / "iteration-00004")
    assert loaded.version == master.trainer.version
    for (name, mine), (_, theirs) in zip(loaded.weights(), master.trainer.weights(), strict=True):
        assert torch.equal(mine, theirs), name
    assert list(iterate(master, changed(short_config, iterations=4))) == []
    assert lab.warnings == []


def test_a_kill_between_the_commit_and_the_pruning_leaves_no_old_checkpoint(
    lab: Lab, short_config: RLConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(folder: Path, keep: Collection[str]) -> None:
        if "iteration-00003" in keep:
            raise Stopped

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(folder, "prune_checkpoints", kill)
        run(lab.master(), changed(short_config, iterations=3))
    assert len(list((lab.folder / "checkpoints").iterdir())) == 3
    assert lab.master().run.state.iteration == 3
    names = {path.name for path in (lab.folder / "checkpoints").iterdir()}
    assert names == {"iteration-00002", "iteration-00003"}
    assert lab.warnings == []


def damage(path: Path) -> None:
    """Flip one bit in the middle, as a failing disk does."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", ["bit", "cut", "gone", "list"])
def test_a_damaged_checkpoint_takes_the_run_back_to_the_one_before(lab: Lab, short_config: RLConfig, harm: str) -> None:
    lab.ends = OFTEN_ENDING
    config = changed(short_config, iterations=6)
    expected = lab.master()
    whole = run(expected, config)
    told = segments(lab.folder)
    (lab.folder / "buffer.sqlite").unlink()

    first = lab.master()
    run(first, changed(config, iterations=4))
    before = segments(lab.folder)
    newest = first.run.checkpoints / "iteration-00004"
    if harm == "bit":
        damage(newest / "weights.safetensors")
    elif harm == "cut":
        with (newest / "weights.safetensors").open("r+b") as file:
            file.truncate(1000)
    elif harm == "gone":
        (newest / "trainer.json").unlink()
    else:
        (newest / "SHA256SUMS").unlink()
    # Part of the fifth iteration was there as well.
    with pytest.raises(Stopped):
        run(replace(first, on_segment=stop_after(3)), config)

    again = lab.master()
    assert len(lab.warnings) == 2
    assert lab.warnings[0].startswith(f"the checkpoint {newest} is damaged: ")
    assert "goes back to the checkpoint" in lab.warnings[1] and "iteration-00003" in lab.warnings[1]
    assert again.run.state.iteration == 3
    assert [row for row in before if row[1] < 3] == segments(lab.folder)
    done = run(again, config)
    # It comes to the very end that it would have come to.
    assert [d.number for d in done] == [3, 4, 5]
    assert [[g.id for g in d.complete] for d in done] == [[g.id for g in d.complete] for d in whole[3:]]
    assert sorted(segments(lab.folder)) == sorted(told)
    for (name, mine), (_, theirs) in zip(again.trainer.weights(), expected.trainer.weights(), strict=True):
        assert torch.equal(mine, theirs), name


def test_without_a_whole_checkpoint_a_run_does_not_go_on(lab: Lab, short_config: RLConfig) -> None:
    master = lab.master()
    run(master, changed(short_config, iterations=3))
    for path in master.run.checkpoints.iterdir():
        damage(path / "weights.safetensors")
    with pytest.raises(RunFolderError, match=r"no checkpoint of .* is whole \(iteration-00002, iteration-00003\)"):
        lab.master()


@pytest.mark.parametrize(
    "settings",
    [
        {"algorithm": "rest"},
        {"algorithm": "grpo", "grpo_beta": 0.1},
        {"algorithm": "opmd", "baseline": "log_partition"},
        *({"algorithm": name} for name in ALGORITHMS if name not in {"opmd", "rest", "grpo"}),
    ],
)
def test_every_algorithm_moves_the_weights(lab: Lab, short_config: RLConfig, settings: dict[str, object]) -> None:
    master = lab.master()
    before = {name: weight.clone() for name, weight in master.trainer.weights()}
    done = run(master, changed(short_config, segment_tokens=8, iterations=4, **settings))
    trained = [d for d in done if d.update is not None]
    assert len(trained) >= 2
    assert any(not torch.equal(weight, before[name]) for name, weight in master.trainer.weights())
    for iteration in trained:
        if settings["algorithm"] == "rest":
            assert {sample.advantage for sample in iteration.samples} == {1.0}
            groups = [sample.group for sample in iteration.samples]
            assert len(groups) == len(set(groups))


def test_grpo_holds_on_to_its_first_reference(lab: Lab, short_config: RLConfig) -> None:
    config = changed(
        short_config, segment_tokens=16, iterations=3, algorithm="grpo", grpo_beta=0.1, grpo_reference_iterations=2
    )
    master = lab.master()
    weights = []
    references = []
    weights.append([weight.clone() for _, weight in master.trainer.weights()])
    for _ in iterate(master, config):
        weights.append([weight.clone() for _, weight in master.trainer.weights()])
        references.append([weight.clone() for weight in master.trainer._reference or []])  # type: ignore[attr-defined]

    def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
        return bool(one) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    assert not same(weights[0], weights[1])
    # Iterations 0 and 1 are held to the policy before 0; iteration 2 starts with a new reference.
    assert same(references[1], weights[0])
    assert same(references[2], weights[2])


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [
        ((2, 2, 2, 2), 2, [2, 2]),
        ((2, 1, 3), 2, [2, 1]),
        ((3, 3, 3, 3, 3), 4, [2, 1, 1, 1]),
        ((4, 4), 5, [1, 1]),
        ((1,), 4, [1]),
    ],
)
def test_minibatches_are_whole_groups(sizes: tuple[int, ...], count: int, expected: list[int]) -> None:
    # Group numbers have gaps where groups were left out.
    samples = [Sample((1, 2), 1, (False, True), 0.0, group=3 * g) for g, size in enumerate(sizes) for _ in range(size)]
    steps = minibatches(samples, RLConfig(minibatches=count, learning_rate=0.5))
    assert sorted(i for step in steps for i in step.indices) == list(range(len(samples)))
    groups = [{samples[i].group for i in step.indices} for step in steps]
    assert [len(found) for found in groups] == expected
    assert all(not one & other for n, one in enumerate(groups) for other in groups[:n])
    assert {step.learning_rate for step in steps} == {0.5}
