"""The trainer of one process: fp32 masters, token-budgeted micro-batches, logits only where the loss needs them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from perilune.algorithm.policy import ALGORITHMS
from perilune.backends.memory import release_memory
from perilune.backends.quiet import quiet_loading
from perilune.backends.trainers.layers import keep_less
from perilune.backends.trainers.logprobs import token_logprobs
from perilune.backends.trainers.masters import MasterWeights
from perilune.backends.trainers.objectives import pack_loss, pairs_of
from perilune.backends.trainers.packing import ATTENTION_NAME, Pack, pack, pack_pairs
from perilune.backends.trainers.scored import Scored
from perilune.errors import TrainerError
from perilune.recipe.training import TrainerConfig
from perilune.types import Objective, OptimizerStep, Sample, StepMetrics, UpdateMetrics

_WEIGHTS = "weights.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_STATE = "trainer.json"
_NO_PAIRS = (math.nan, math.nan)


class TorchTrainer:
    """Implements :class:`perilune.protocols.Trainer` with plain torch."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        config: TrainerConfig,
        dtype: torch.dtype,
        version: int = 0,
        alive: Callable[[], None] = lambda: None,
        allocate: Callable[[int], Tensor] | None = None,
    ):
        """Take ownership of the model.

        Args:
            model: fp32, on its device.
            tokenizer: saved beside the model.
            config: micro-batches, optimiser, checkpointing.
            dtype: compute type; the masters stay fp32.
            version: how many updates the weights have seen.
            alive: called before each micro-batch.
            allocate: gives the fp32 memory, of so many elements, in which the masters lie while they are on the host.
        """
        self._model = model
        self._alive = alive
        self._tokenizer = tokenizer
        self._config = config
        self._version = version
        self._device = model.device
        _repeatable(model.device)
        model.set_attn_implementation(ATTENTION_NAME)
        _without_dropout(model)
        if config.gradient_checkpointing:
            # The name changed within transformers 5.
            enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
            enable()
            model.train()
        self._masters = MasterWeights(model, dtype, allocate)
        if model.device.type == "cpu":
            keep_less(model)
        self._optimizer: torch.optim.AdamW | None = None
        self._reference: list[Tensor] | None = None
        self._skipped_in_a_row = 0

    @property
    def version(self) -> int:
        """How many updates these weights have seen."""
        return self._version

    def begin_iteration(self, *, keep_reference: bool = False) -> None:
        """Reference <- policy; the optimiser is reset, and its memory freed until the first step."""
        self._optimizer = None
        release_memory()
        if not keep_reference:
            self._reference = None
        elif self._reference is None:
            self._reference = self._masters.clone()

    def offload(self) -> None:
        """Move weights to the host and hand free memory back, so that an engine may have the device."""
        self._move(torch.device("cpu"))
        release_memory()

    def onload(self) -> None:
        """Take the device back."""
        release_memory()
        self._move(self._device)

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """The policy's fp32 weights under their Hugging Face names."""
        return self._masters.named()

    def logprobs(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        """Log-probabilities in nats of each sample's response tokens under the policy."""
        return [tuple(row.tolist()) for row in self._score(samples)]

    def update(
        self,
        samples: Sequence[Sample],
        objective: Objective,
        steps: Sequence[OptimizerStep],
        on_step: Callable[[StepMetrics], None] | None = None,
    ) -> UpdateMetrics:
        """Take the optimiser steps; the version rises by one, unless every step was skipped.

        A step whose loss or gradient is not finite is skipped. An update ends in an error where weights came out that
        give no finite log-probabilities: then the state before it is the last good one.

        The policy's log-probabilities before the first step are computed once: they are the old ones of every
        objective, the reference of opmd, and what the engine's are compared with. Where the first step's own forward
        passes give them they are taken from there.

        Raises:
            TrainerError: ``max_skipped_steps`` in a row were skipped, counted over updates; the new policy is not
                finite; or there is nothing to train on.
        """
        if not samples or not steps:
            raise TrainerError("an update needs at least one sample and one step; none was given")
        before = self._before(samples, objective, steps)
        masked = before.masked()
        moved: dict[int, float] = {}
        measured: list[StepMetrics] = []
        for number, whole in enumerate(steps, 1):
            step = replace(whole, indices=tuple(i for i in whole.indices if i not in masked))
            if not step.indices:
                continue  # All of its responses are masked.
            loss, norm, tokens, distances = self._gradient(samples, objective, step, before)
            skipped = not (math.isfinite(loss) and math.isfinite(norm))
            if skipped:
                self._masters.clear_gradient()
            else:
                self._apply(step.learning_rate)
                moved.update(distances)
            margin, preferred = _preferences(samples, step, distances) if objective.algorithm == "dpo" else _NO_PAIRS
            found = StepMetrics(number, len(steps), loss, norm, step.learning_rate, tokens, skipped, margin, preferred)
            measured.append(found)
            self._skipped_in_a_row = self._skipped_in_a_row + 1 if skipped else 0
            if on_step is not None:
                on_step(measured[-1])
            self._check_skipped(measured[-1])
        taken = [step for step in measured if not step.skipped]
        if taken:
            self._check_policy(samples, taken[-1])
            self._version += 1
        self._masters.free_gradient()
        return _summary(measured, before, moved)

    def _before(self, samples: Sequence[Sample], objective: Objective, steps: Sequence[OptimizerStep]) -> Scored:
        """The samples under the policy and the reference before the first step; supervised ones need neither.

        A micro-batch that the first step runs as it is waits for that, unless who trains depends on it.
        """
        algorithm = ALGORITHMS.get(objective.algorithm)
        before = Scored(samples, self._version, algorithm, objective)
        if algorithm is None:
            return before
        budget = self._config.micro_batch_tokens
        if objective.correction != "sequence":
            first = next((step.indices for step in steps if step.indices), ())
            before.awaited = set(pack(samples, first, budget))
        scoring = pack(samples, range(len(samples)), budget)
        before.awaited &= set(scoring)
        with torch.no_grad():
            for micro in scoring:
                if micro not in before.awaited:
                    before.note(micro, self._forward(micro))
        if algorithm.anchored and objective.beta and self._reference is not None:
            before.reference = self._score_reference(samples)
        return before

    def save(self, folder: Path, *, optimizer: bool = False) -> None:
        """Write weights and version, and the optimiser only within an update: each iteration resets it."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: weight.contiguous() for name, weight in self.weights()}, folder / _WEIGHTS)
        if self._reference is not None:
            names = [name for name, _ in self.weights()]
            save_file(dict(zip(names, self._reference, strict=True)), folder / f"reference-{_WEIGHTS}")
        if optimizer and self._optimizer is not None:
            save_file(self._masters.optimizer_state(self._optimizer), folder / _OPTIMIZER)
        state = {"version": self._version, "skipped_in_a_row": self._skipped_in_a_row}
        (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take back what :meth:`save` wrote.

        Raises:
            TrainerError: the folder does not hold a whole checkpoint of this model.
        """
        names = [name for name, _ in self.weights()]
        try:
            loaded = load_file(folder / _WEIGHTS)
            state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            self._version, self._skipped_in_a_row = int(state["version"]), int(state["skipped_in_a_row"])
            self._masters.assign(loaded[name] for name in names)
            reference = folder / f"reference-{_WEIGHTS}"
            self._reference = None
            if reference.exists():
                anchor = load_file(reference)
                self._reference = [anchor[name] for name in names]
            self._optimizer = None
            if (folder / _OPTIMIZER).exists():
                self._optimizer = self._new_optimizer()
                self._masters.load_optimizer(self._optimizer, load_file(folder / _OPTIMIZER))
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise TrainerError(f"the checkpoint {folder} is not whole or is of another model: {error}") from error

    def save_pretrained(self, folder: Path) -> None:
        """Write the policy in fp32 as a Hugging Face model, tokenizer included."""
        state = {name: weight.contiguous() for name, weight in self.weights()}
        with quiet_loading():
            self._model.save_pretrained(folder, state_dict=state)
        self._tokenizer.save_pretrained(folder)
        # save_pretrained notes the compute type; what lies in the file are the masters.
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["dtype"] = "float32"
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def _move(self, device: torch.device) -> None:
        self._masters.move(device, self._optimizer)
        if self._reference is not None:
            self._reference = [weight.to(device) for weight in self._reference]

    def _gradient(
        self,
        samples: Sequence[Sample],
        objective: Objective,
        step: OptimizerStep,
        before: Scored,
    ) -> tuple[float, float, int, dict[int, float]]:
        """The clipped gradient of one minibatch; returns loss, norm, tokens, and how far each sample has moved."""
        budget = self._config.micro_batch_tokens
        if objective.algorithm == "dpo":
            pairs = pairs_of(samples, step.indices)
            micros, count = pack_pairs(samples, pairs, budget), len(pairs)
        else:
            # Supervised loss is a mean over tokens, the others are means over responses.
            token_mean = objective.algorithm == "sft"
            count = sum(sum(samples[i].loss_mask) for i in step.indices) if token_mean else len(step.indices)
            micros = pack(samples, step.indices, budget)
        loss, tokens = 0.0, 0
        moved: dict[int, float] = {}
        self._masters.begin_gradient()
        for micro in micros:
            logprobs = self._forward(micro)
            if micro in before.awaited:
                before.note(micro, logprobs.detach())
            part, distances = pack_loss(
                micro, samples, logprobs, before.old, before.reference, objective, count, before.weights
            )
            part.backward()
            loss += float(part.detach())
            moved.update(distances)
            tokens += len(micro.tokens)
        return loss, self._masters.clip_gradient(self._config.max_gradient_norm), tokens, moved

    def _apply(self, learning_rate: float) -> None:
        """One step of the optimiser, which is made at the first."""
        if self._optimizer is None:
            self._optimizer = self._new_optimizer()
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        self._masters.clear_gradient()
        self._masters.publish()

    def _new_optimizer(self) -> torch.optim.AdamW:
        betas = (self._config.beta1, self._config.beta2)
        return self._masters.optimizer(betas=betas, weight_decay=self._config.weight_decay)

    def _check_skipped(self, step: StepMetrics) -> None:
        if self._skipped_in_a_row >= self._config.max_skipped_steps:
            raise TrainerError(
                f"{self._skipped_in_a_row} optimiser steps in a row were skipped, because loss or gradient was not "
                f"finite (the last: loss {step.loss:.3g}, gradient norm {step.gradient_norm:.3g}); "
                f"trainer.max_skipped_steps allows no more. {_remedy(step)}"
            )

    def _check_policy(self, samples: Sequence[Sample], last: StepMetrics) -> None:
        """Whether the new weights still give finite log-probabilities: the last step's harm shows nowhere else."""
        shortest = min(samples, key=lambda sample: len(sample.tokens))
        (logprobs,) = self._score([shortest])
        if not bool(logprobs.isfinite().all()):
            raise TrainerError(
                f"the weights after this update give no finite log-probabilities, so it is not kept. {_remedy(last)}"
            )

    def _forward(self, micro: Pack) -> Tensor:
        """Log-probabilities of the micro-batch's response tokens, [M], with gradient."""
        self._alive()
        out = self._model(
            input_ids=torch.tensor([micro.tokens], device=self._device),
            position_ids=torch.tensor([micro.positions], device=self._device),
            use_cache=False,
            logits_to_keep=torch.tensor(micro.predictors, device=self._device),
            trees=micro.trees,
        )
        return token_logprobs(out.logits.squeeze(0), torch.tensor(micro.targets, device=self._device))

    @torch.no_grad()
    def _score(self, samples: Sequence[Sample]) -> list[Tensor]:
        """Log-probabilities of each sample's response tokens, [T - prompt_length] each, without gradient."""
        scores: list[Tensor] = [torch.empty(0)] * len(samples)
        for micro in pack(samples, range(len(samples)), self._config.micro_batch_tokens):
            logprobs = self._forward(micro)
            for sample, first, last in micro.spans:
                scores[sample] = logprobs[first:last]
        return scores

    def _score_reference(self, samples: Sequence[Sample]) -> list[Tensor]:
        """The same under the reference weights, which are swapped in and out."""
        assert self._reference is not None
        policy = self._masters.clone()
        self._masters.assign(self._reference)
        try:
            return self._score(samples)
        finally:
            self._masters.assign(policy)


def _repeatable(device: torch.device) -> None:
    """An update repeated from the same state gives the same weights, bit for bit, on the CPU.

    By default several threads add up the gradient of an indexed tensor in whatever order they come.
    """
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _without_dropout(model: PreTrainedModel) -> None:
    """Policy and reference must be the same function: no dropout, also where checkpointing needs train mode."""
    model.eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def _remedy(step: StepMetrics) -> str:
    return (
        "The run stands where it was committed last. Look at the minibatches in its folder skipped/; lower the "
        f"learning rate ({step.learning_rate:g}) or train in float32 (trainer.dtype), and go on with: "
        "perilune run RECIPE --resume"
    )


def _summary(measured: Sequence[StepMetrics], before: Scored, moved: Mapping[int, float]) -> UpdateMetrics:
    """An update's metrics from its steps', the samples before it, and how far each is from the reference."""
    taken = [step for step in measured if not step.skipped]
    mismatch = before.mismatch()
    return UpdateMetrics(
        loss=_mean([step.loss for step in taken]),
        steps=len(taken),
        tokens=sum(step.tokens for step in measured),
        gradient_norm=_mean([step.gradient_norm for step in taken]),
        mismatch_mean=mismatch.mean,
        mismatch_max=mismatch.largest,
        mismatch_beyond=mismatch.beyond,
        mismatch_kl=mismatch.kl,
        corrected=before.corrected(),
        kl_to_reference=_mean(list(moved.values())),
        skipped=len(measured) - len(taken),
    )


def _preferences(samples: Sequence[Sample], step: OptimizerStep, ratios: Mapping[int, float]) -> tuple[float, float]:
    """Mean margin of the step's pairs, and the share of positive ones."""
    margins = [ratios[chosen] - ratios[rejected] for chosen, rejected in pairs_of(samples, step.indices)]
    return _mean(margins), _mean([float(margin > 0) for margin in margins])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
