"""The torch trainer against transformers and plain autograd, sequence by sequence."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from perilune.backends.trainers.packing import pack
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.backends.weights.shared_memory import SharedBlock
from perilune.errors import TrainerError
from perilune.recipe.training import TrainerConfig
from perilune.types import Objective, OptimizerStep, Sample, StepMetrics

OPMD = Objective("opmd", tau=0.1)


def make_sample(seed: int, prompt: int, response: int, advantage: float, version: int = 0) -> Sample:
    """Prompts depend on their length alone, so samples of equal prompt length share it."""
    prompt_tokens = tuple((11 * place + prompt) % 250 + 3 for place in range(prompt))
    tokens = tuple((seed * 31 + 17 * place * place) % 250 + 3 for place in range(response))
    mask = (False,) * prompt + (True,) * response
    noted = (-1.0,) * response
    return Sample(prompt_tokens + tokens, prompt, mask, advantage, noted, (version,) * response, group=prompt)


def samples() -> list[Sample]:
    return [
        make_sample(1, 6, 9, 0.5),
        make_sample(2, 6, 4, -0.5),
        make_sample(3, 6, 1, 0.25),
        make_sample(4, 11, 7, -0.25),
        make_sample(5, 11, 12, 0.75),
        make_sample(6, 3, 5, 1.0),
    ]


def make_trainer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype = torch.float32, **settings: Any
) -> TorchTrainer:
    return TorchTrainer(copy.deepcopy(model), tokenizer, TrainerConfig(**settings), dtype)


def response_logprobs(model: PreTrainedModel, sample: Sample) -> torch.Tensor:
    """[R] with gradient, by the unchanged model on this sample alone."""
    tokens = torch.tensor([sample.tokens])
    logprobs = model(tokens, use_cache=False).logits[0].float().log_softmax(-1)
    return logprobs[sample.prompt_length - 1 : -1].gather(1, tokens[0, sample.prompt_length :, None])[:, 0]


def weights(trainer: TorchTrainer) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in trainer.weights()}


def one_step(indices: Sequence[int], rate: float = 1e-3) -> list[OptimizerStep]:
    return [OptimizerStep(tuple(indices), rate)]


@pytest.mark.parametrize("budget", [8, 40, 4096])
def test_packed_logprobs_are_those_of_each_sample_alone(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, budget: int
) -> None:
    batch = samples()
    found = make_trainer(tiny_model, tiny_tokenizer, micro_batch_tokens=budget).logprobs(batch)
    for sample, row in zip(batch, found, strict=True):
        assert row == pytest.approx(response_logprobs(tiny_model, sample).tolist(), abs=1e-5)


@pytest.mark.parametrize("budget", [30, 4096])
def test_the_gradient_is_that_of_each_sample_alone(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, budget: int
) -> None:
    """One SGD-like look at the first moment: AdamW's first moment after one step is (1 - beta1) times the gradient."""
    batch = samples()
    trainer = make_trainer(tiny_model, tiny_tokenizer, micro_batch_tokens=budget, max_gradient_norm=1e9, beta1=0.0)
    trainer.begin_iteration()
    trainer.update(batch, OPMD, one_step(range(len(batch)), 1e-9))
    assert trainer._optimizer is not None
    (state,) = trainer._optimizer.state.values()
    found = trainer._masters._views(state["exp_avg"])

    model = copy.deepcopy(tiny_model)
    # At the reference the squared term has no gradient: what is left is -A grad log pi of the whole response.
    loss = torch.stack([-s.advantage * response_logprobs(model, s).sum() for s in batch]).mean()
    loss.backward()
    for mine, parameter in zip(found, model.parameters(), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(mine, parameter.grad, atol=1e-5, rtol=1e-3)


def test_tau_acts_from_the_second_step_on(tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    batch = samples()
    ends = []
    for count, tau in ((1, 0.01), (1, 5.0), (3, 0.01), (3, 5.0)):
        trainer = make_trainer(tiny_model, tiny_tokenizer)
        trainer.begin_iteration()
        trainer.update(batch, Objective("opmd", tau=tau), one_step(range(len(batch))) * count)
        ends.append(torch.cat([w.flatten() for w in weights(trainer).values()]))
    assert torch.equal(ends[0], ends[1])
    assert not torch.allclose(ends[2], ends[3], atol=1e-5)


def test_a_large_tau_keeps_the_policy_near_its_reference(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    moved = []
    for tau in (0.01, 20.0):
        trainer = make_trainer(tiny_model, tiny_tokenizer)
        trainer.begin_iteration()
        before = [sum(row) for row in trainer.logprobs(samples())]
        trainer.update(samples(), Objective("opmd", tau=tau), one_step(range(6)) * 12)
        after = [sum(row) for row in trainer.logprobs(samples())]
        moved.append(sum(abs(a - b) for a, b in zip(after, before, strict=True)))
    assert moved[1] < 0.5 * moved[0]


def test_the_reference_is_the_policy_of_the_iterations_start(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer)
    for _ in range(2):
        trainer.begin_iteration()
        before = [sum(row) for row in trainer.logprobs(samples())]
        metrics = trainer.update(samples(), OPMD, [*one_step(range(6)), *one_step(range(6), 0.0)])
        after = [sum(row) for row in trainer.logprobs(samples())]
        expected = sum(a - b for a, b in zip(after, before, strict=True)) / 6
        assert metrics.kl_to_reference == pytest.approx(expected, abs=1e-4)
    assert trainer.version == 2


def test_the_optimiser_is_reset_each_iteration(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    used = make_trainer(tiny_model, tiny_tokenizer)
    used.begin_iteration()
    used.update(samples(), OPMD, one_step([0, 1], 1e-3))
    fresh = make_trainer(tiny_model, tiny_tokenizer)
    fresh._masters.assign([weight for _, weight in used.weights()])
    for trainer in (used, fresh):
        trainer.begin_iteration()
        trainer.update(samples(), OPMD, one_step([3, 4], 1e-3))
    for name, weight in fresh.weights():
        assert torch.equal(weight, weights(used)[name])


def test_tokens_outside_the_mask_do_not_count(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    sample = samples()[0]
    mask = tuple(place >= 10 for place in range(len(sample.tokens)))
    part = Sample(sample.tokens, 6, mask, 1.0, sample.behaviour_logprobs, sample.versions)
    trainer = make_trainer(tiny_model, tiny_tokenizer, max_gradient_norm=1e9, beta1=0.0)
    trainer.begin_iteration()
    metrics = trainer.update([part], OPMD, one_step([0], 1e-9))
    own = response_logprobs(tiny_model, sample)[4:].sum()
    assert metrics.loss == pytest.approx(-float(own.detach()), abs=1e-4)


def test_supervised_loss_is_the_mean_over_response_tokens(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer, micro_batch_tokens=32)
    trainer.begin_iteration()
    metrics = trainer.update(samples(), Objective("sft"), one_step(range(6)))
    rows = [response_logprobs(tiny_model, sample) for sample in samples()]
    assert metrics.loss == pytest.approx(-float(torch.cat(rows).mean().detach()), abs=1e-5)
    assert math.isnan(metrics.mismatch_mean)


def test_supervised_steps_learn_the_response(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer)
    trainer.begin_iteration()
    steps: list[float] = []
    trainer.update(samples(), Objective("sft"), one_step(range(6), 5e-3) * 30, lambda step: steps.append(step.loss))
    assert len(steps) == 30
    assert steps[-1] < 0.3 * steps[0]


@pytest.mark.parametrize("algorithm", ["rest", "grpo"])
def test_the_compared_algorithms_raise_what_was_good(
    algorithm: Any, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    batch = [make_sample(1, 6, 9, 1.0), make_sample(2, 6, 9, 0.0 if algorithm == "rest" else -1.0)]
    trainer = make_trainer(tiny_model, tiny_tokenizer)
    trainer.begin_iteration()
    before = [sum(row) for row in trainer.logprobs(batch)]
    trainer.update(batch, Objective(algorithm), one_step([0, 1]) * 3)
    after = [sum(row) for row in trainer.logprobs(batch)]
    assert after[0] > before[0] + 0.1


def test_grpo_pulls_to_a_kept_reference(tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    distances = []
    for beta in (0.0, 5.0):
        trainer = make_trainer(tiny_model, tiny_tokenizer)
        start = [sum(row) for row in trainer.logprobs(samples())]
        for _ in range(4):
            trainer.begin_iteration(keep_reference=True)
            trainer.update(samples(), Objective("grpo", beta=beta), one_step(range(6)) * 2)
        end = [sum(row) for row in trainer.logprobs(samples())]
        distances.append(sum(abs(a - b) for a, b in zip(end, start, strict=True)))
    assert distances[1] < distances[0]


def test_bf16_keeps_what_small_steps_add_up_to(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer, torch.bfloat16)
    start = weights(trainer)
    for _ in range(5):
        trainer.begin_iteration()
        trainer.update(samples(), OPMD, one_step(range(6), 1e-6))
    name = "model.layers.0.mlp.up_proj.weight"
    end = weights(trainer)[name]
    assert end.dtype == torch.float32
    # Steps of 1e-6 vanish in bf16 (eight bits) next to weights of 0.1; the masters keep them.
    assert 0 < (end - start[name]).abs().max() < 1e-4
    assert torch.equal(trainer._model.get_parameter(name), end.bfloat16())


def test_checkpointing_gives_the_same_weights(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    ends = []
    for setting in (False, True):
        trainer = make_trainer(tiny_model, tiny_tokenizer, gradient_checkpointing=setting)
        trainer.begin_iteration()
        trainer.update(samples(), OPMD, one_step(range(6)) * 2)
        ends.append(weights(trainer))
    for name, weight in ends[0].items():
        assert torch.allclose(weight, ends[1][name], atol=1e-6)


def test_mismatch_is_measured_on_tokens_of_the_current_version(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer)
    sample = make_sample(1, 6, 4, 1.0)
    own = trainer.logprobs([sample])[0]
    noted = (own[0] + 0.5, own[1] - 0.1, own[2] + 9.0, own[3] + 9.0)
    stamped = Sample(sample.tokens, 6, sample.loss_mask, 1.0, noted, (0, 0, -1, -1))
    trainer.begin_iteration()
    metrics = trainer.update([stamped], OPMD, one_step([0]))
    assert metrics.mismatch_mean == pytest.approx(0.3, abs=1e-4)
    assert metrics.mismatch_max == pytest.approx(0.5, abs=1e-4)
    # Ratios e^-0.5 and e^0.1; KL as the mean of r - 1 - log r.
    assert metrics.mismatch_beyond == 0.0
    ratios = (math.exp(-0.5) - 1 + 0.5, math.exp(0.1) - 1 - 0.1)
    assert metrics.mismatch_kl == pytest.approx(sum(ratios) / 2, abs=1e-4)
    assert math.isnan(metrics.corrected)


def noting(sample: Sample, logprobs: Sequence[float]) -> Sample:
    """The sample with other log-probabilities noted by the engine."""
    return replace(sample, behaviour_logprobs=tuple(logprobs))


@pytest.mark.parametrize("algorithm", ["opmd", "rest", "grpo"])
def test_token_correction_weighs_each_tokens_gain(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, algorithm: Literal["opmd", "rest", "grpo"]
) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer, max_gradient_norm=1e9, beta1=0.0)
    batch = samples()[:2]
    rows = trainer.logprobs(batch)
    # The engine was surer by log 2 of every even token, and far less sure of every odd one.
    gaps = [[(math.log(2), -5.0)[place % 2] for place in range(len(row))] for row in rows]
    noted = [noting(s, [a + b for a, b in zip(r, g, strict=True)]) for s, r, g in zip(batch, rows, gaps, strict=True)]
    trainer.begin_iteration()
    objective = Objective(algorithm, correction="token", correction_cap=1.5)
    metrics = trainer.update(noted, objective, one_step([0, 1], 1e-9))
    assert trainer._optimizer is not None
    (state,) = trainer._optimizer.state.values()
    found = trainer._masters._views(state["exp_avg"])

    model = copy.deepcopy(tiny_model)
    terms = []
    for sample, row in zip(batch, rows, strict=True):
        weights = torch.tensor([(0.5, 1.5)[place % 2] for place in range(len(row))])
        gain = (weights * response_logprobs(model, sample)).sum()
        terms.append(-sample.advantage * (gain / len(row) if algorithm == "grpo" else gain))
    torch.stack(terms).mean().backward()
    for mine, parameter in zip(found, model.parameters(), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(mine, parameter.grad, atol=1e-5, rtol=1e-3)
    assert metrics.corrected == pytest.approx(sum(len(r) // 2 for r in rows) / sum(map(len, rows)))
    assert metrics.mismatch_beyond == 1.0


def test_sequence_correction_leaves_out_what_is_too_far_apart(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    ends = []
    for masked in (True, False):
        trainer = make_trainer(tiny_model, tiny_tokenizer)
        rows = trainer.logprobs(samples())
        batch = [noting(sample, row) for sample, row in zip(samples(), rows, strict=True)]
        batch[1] = noting(batch[1], [value - 0.5 for value in rows[1]])
        trainer.begin_iteration()
        objective = replace(OPMD, correction="sequence" if masked else "none")
        steps = [OptimizerStep((0, 1, 2), 1e-3), OptimizerStep((3, 4), 1e-3)]
        if not masked:
            steps[0] = OptimizerStep((0, 2), 1e-3)
        metrics = trainer.update(batch, objective, steps)
        assert metrics.corrected == (pytest.approx(1 / 6) if masked else pytest.approx(math.nan, nan_ok=True))
        ends.append(weights(trainer))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_when_every_response_is_masked_the_policy_stays(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer)
    before = weights(trainer)
    trainer.begin_iteration()
    metrics = trainer.update(samples(), replace(OPMD, correction="sequence"), one_step(range(6)))
    assert (metrics.steps, metrics.corrected, trainer.version) == (0, 1.0, 0)
    assert all(torch.equal(weight, before[name]) for name, weight in trainer.weights())


def test_what_was_offloaded_and_taken_back_trains_on(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    ends = []
    for moved in (True, False):
        trainer = make_trainer(tiny_model, tiny_tokenizer, torch.bfloat16)
        for _ in range(2):
            trainer.begin_iteration(keep_reference=True)
            if moved:
                trainer.offload()
                held = weights(trainer)
                trainer.onload()
                assert all(torch.equal(held[name], weight) for name, weight in trainer.weights())
            trainer.update(samples(), OPMD, one_step(range(6)) * 2)
        ends.append(weights(trainer))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masters_in_memory_that_was_given_train_the_same(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype
) -> None:
    block = SharedBlock()
    ends = []
    for allocate in (block.allocate, None):
        trainer = TorchTrainer(copy.deepcopy(tiny_model), tiny_tokenizer, TrainerConfig(), dtype, allocate=allocate)
        trainer.begin_iteration()
        trainer.update(samples(), OPMD, one_step(range(6)) * 2)
        trainer.offload()
        trainer.onload()
        ends.append(weights(trainer))
        inside = [block.offset_of(weight) is not None for _, weight in trainer.weights()]
        assert all(inside) if allocate else not any(inside)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_saves_and_loads(tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer)
    trainer.begin_iteration(keep_reference=True)
    trainer.update(samples(), OPMD, one_step(range(6)))
    trainer.save(tmp_path / "checkpoint")
    other = make_trainer(tiny_model, tiny_tokenizer)
    other.load(tmp_path / "checkpoint")
    assert other.version == 1
    for name, weight in other.weights():
        assert torch.equal(weight, weights(trainer)[name])
    for mine in (trainer, other):
        mine.begin_iteration(keep_reference=True)
        mine.update(samples(), Objective("grpo", beta=0.5), one_step(range(6)))
    for name, weight in other.weights():
        assert torch.equal(weight, weights(trainer)[name])
    (tmp_path / "checkpoint" / "trainer.json").unlink()
    with pytest.raises(TrainerError, match="not whole"):
        other.load(tmp_path / "checkpoint")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_writes_a_hugging_face_model(
    dtype: torch.dtype, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer, dtype)
    trainer.begin_iteration()
    trainer.update(samples(), OPMD, one_step(range(6), 1e-6))
    trainer.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.dtype == torch.float32
    for name, weight in trainer.weights():
        assert torch.equal(loaded.get_parameter(name), weight)
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == tiny_tokenizer.chat_template


BAD = 0
"""Place of the sample that no loss can be made of, in :func:`with_a_bad_one`."""


def with_a_bad_one() -> list[Sample]:
    return [make_sample(9, 6, 9, math.inf), *samples()[1:]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_that_is_not_finite_leaves_no_trace(
    dtype: torch.dtype, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    good, bad = one_step([1, 2, 3, 4, 5]), one_step([BAD, 1])
    clean, soiled = (make_trainer(tiny_model, tiny_tokenizer, dtype, micro_batch_tokens=20) for _ in range(2))
    steps: list[StepMetrics] = []
    results = []
    for trainer, asked in ((clean, good * 3), (soiled, [*good, *bad, *good, *bad, *good])):
        trainer.begin_iteration()
        results.append(trainer.update(with_a_bad_one(), OPMD, asked, steps.append))
    assert [step.skipped for step in steps] == [False] * 3 + [False, True, False, True, False]
    assert not math.isfinite(steps[4].loss)
    expected, found = results
    assert (found.steps, found.skipped, expected.steps, expected.skipped) == (3, 2, 3, 0)
    assert (found.loss, found.gradient_norm) == (expected.loss, expected.gradient_norm)
    assert found.kl_to_reference == expected.kl_to_reference
    assert found.tokens > expected.tokens
    assert soiled.version == clean.version == 1
    # To the bit: masters, both moments and the step count of each, and the compute weights.
    for (name, mine), (_, theirs) in zip(soiled.weights(), clean.weights(), strict=True):
        assert torch.equal(mine, theirs), name
        assert torch.equal(soiled._model.get_parameter(name), clean._model.get_parameter(name)), name
    assert soiled._optimizer is not None and clean._optimizer is not None
    for mine_state, their_state in zip(soiled._optimizer.state.values(), clean._optimizer.state.values(), strict=True):
        assert set(mine_state) == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(mine_state[key], their_state[key]) for key in mine_state)


def test_equal_weights_keep_their_version(tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer)
    start = weights(trainer)
    trainer.begin_iteration()
    metrics = trainer.update(with_a_bad_one(), OPMD, one_step([BAD]) * 2)
    assert (metrics.steps, metrics.skipped, trainer.version) == (0, 2, 0)
    assert math.isnan(metrics.loss) and math.isnan(metrics.kl_to_reference)
    assert all(torch.equal(weight, start[name]) for name, weight in trainer.weights())
    assert trainer.update(with_a_bad_one(), OPMD, one_step([1])).steps == 1
    assert trainer.version == 1


def test_too_many_skipped_steps_in_a_row_are_told_after_the_last_was_reported(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    settings = {"max_skipped_steps": 4}
    trainer = make_trainer(tiny_model, tiny_tokenizer, **settings)
    good, bad = one_step([1]), one_step([BAD])
    trainer.begin_iteration()
    # Three, a good one, three: never four in a row.
    trainer.update(with_a_bad_one(), OPMD, [*bad * 3, *good, *bad * 3])
    trainer.save(tmp_path)
    # The count goes on over the update, the iteration and the process.
    other = make_trainer(tiny_model, tiny_tokenizer, **settings)
    other.load(tmp_path)
    steps: list[StepMetrics] = []
    for mine in (trainer, other):
        mine.begin_iteration()
        with pytest.raises(TrainerError, match=r"4 optimiser steps in a row .*lower the learning rate \(0.001\)"):
            mine.update(with_a_bad_one(), OPMD, bad * 3, steps.append)
    assert [step.skipped for step in steps] == [True, True]


@pytest.mark.parametrize("objective", [OPMD, Objective("sft")])
def test_weights_that_overflow_are_not_kept(
    objective: Objective, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer)
    trainer.begin_iteration()
    steps: list[StepMetrics] = []
    # The first step's own loss is fine; what it leaves behind is not.
    with pytest.raises(TrainerError, match="no finite log-probabilities, so it is not kept"):
        trainer.update(samples(), objective, one_step(range(6), 1e18) * 3, steps.append)
    assert [step.skipped for step in steps] == [False, True, True]
    assert trainer.version == 0


ALGORITHMS = [
    OPMD,
    replace(OPMD, correction="token"),
    Objective("rest"),
    Objective("grpo", beta=0.5),
    Objective("grpo", correction="token"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("objective", ALGORITHMS, ids=lambda o: f"{o.algorithm}-{o.correction}")
@pytest.mark.parametrize("split", [5, 3], ids=["one step", "two steps"])
def test_what_the_first_step_computes_anyway_is_not_scored_before(
    split: int,
    objective: Objective,
    dtype: torch.dtype,
    tiny_model: PreTrainedModel,
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Beside an update that scores all first: a step that is skipped comes before, in micro-batches of its own."""
    batch = [*samples()[1:], make_sample(9, 3, 9, math.inf)]
    steps = [*one_step(range(split)), *(one_step(range(split, 5)) if split < 5 else [])]
    ends, counts = [], []
    for before in ([], one_step([0, 5])):
        signs: list[None] = []
        trainer = TorchTrainer(
            copy.deepcopy(tiny_model),
            tiny_tokenizer,
            TrainerConfig(micro_batch_tokens=16),
            dtype,
            alive=lambda signs=signs: signs.append(None),  # type: ignore[misc]
        )
        for _ in range(2):
            trainer.begin_iteration(keep_reference=True)
            found = trainer.update(batch, objective, [*before, *steps])
            assert found.skipped == len(before)
        assert trainer._optimizer is not None
        (state,) = trainer._optimizer.state.values()
        ends.append((replace(found, skipped=0, tokens=0), *weights(trainer).values(), *state.values()))
        counts.append(len(signs))
    for mine, theirs in zip(*ends, strict=True):
        assert torch.equal(mine, theirs) if isinstance(mine, torch.Tensor) else repr(mine) == repr(theirs)
    # Whole micro-batches of the first step, in each of the two updates.
    whole = set(pack(batch, range(6), 16)) & set(pack(batch, range(split), 16))
    skipped = pack(batch, [0, 5], 16)
    assert whole and counts[1] - counts[0] == 2 * (len(whole) + len(skipped))


def test_an_update_needs_something_to_train_on(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    trainer = make_trainer(tiny_model, tiny_tokenizer)
    with pytest.raises(TrainerError, match="at least one sample"):
        trainer.update([], OPMD, one_step([0]))


def test_each_micro_batch_is_a_sign_of_life(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    signs: list[None] = []
    config = TrainerConfig(micro_batch_tokens=8)
    trainer = TorchTrainer(
        copy.deepcopy(tiny_model), tiny_tokenizer, config, torch.float32, alive=lambda: signs.append(None)
    )
    trainer.begin_iteration()
    trainer.update(samples(), OPMD, one_step(range(6)))
    # Trained on, and one more for the new policy.
    assert len(signs) == len(pack(samples(), range(6), 8)) + 1


def test_packing_shares_prompts_within_the_budget() -> None:
    batch = samples()
    (whole,) = pack(batch, range(6), 4096)
    # Prompts once, responses without their last tokens.
    assert len(whole.tokens) == (6 + 11 + 3) + (8 + 3 + 0 + 6 + 11 + 4)
    assert len(whole.targets) == len(whole.predictors) == 9 + 4 + 1 + 7 + 12 + 5
    small = pack(batch, range(6), 20)
    assert all(len(p.tokens) <= 22 for p in small)
    spans = sorted((sample, last - first) for p in small for sample, first, last in p.spans)
    assert spans == [(0, 9), (1, 4), (2, 1), (3, 7), (4, 12), (5, 5)]


def test_an_update_on_several_threads_can_be_repeated_bit_for_bit(
    tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase
) -> None:
    # So many responses of one token that several threads add up the gradient of the prompts' last positions.
    batch = [make_sample(seed, 4 + seed % 2, 1, 1.0 if seed % 3 else -1.0) for seed in range(800)]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = []
        for _ in range(4):
            trainer = make_trainer(tiny_model, tiny_tokenizer)
            measured = trainer.update(batch, OPMD, one_step(range(800)) * 2)
            found.append((measured, torch.cat([weight.flatten() for weight in weights(trainer).values()])))
    finally:
        torch.set_num_threads(before)
    assert all(measured == found[0][0] and torch.equal(moved, found[0][1]) for measured, moved in found)
