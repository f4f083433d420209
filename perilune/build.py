"""Recipe to components: which backend stands behind each seam. Part of the composition root."""

from __future__ import annotations

from functools import partial

import torch

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.devices import available_cores, pick_device, pick_dtype
from perilune.backends.engines.local import LocalEngine
from perilune.backends.local_workers import LocalWorkers
from perilune.backends.models import end_token_ids, load_model, load_tokenizer
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.config import EngineConfig, Recipe
from perilune.data.chat import render_demonstration, render_prompt
from perilune.stages.components import Components
from perilune.stages.watchdog import Watchdog


def build_components(recipe: Recipe) -> Components:
    """Load the model twice, once to train in fp32 and once to generate, and put the seams' implementations on them.

    Raises:
        ModelError: the model or its tokenizer cannot be used.
        BackendUnavailable: a device is named that is not here.
    """
    torch.set_num_threads(recipe.threads or available_cores())
    name, revision = recipe.model.name, recipe.model.revision
    tokenizer = load_tokenizer(name, recipe.model.chat_template, revision=revision)
    trainer_device, engine_device = pick_device(recipe.trainer.device), pick_device(recipe.engine.device)
    trainer_dtype = pick_dtype(recipe.trainer.dtype, trainer_device)
    engine_dtype = pick_dtype(recipe.engine.dtype, engine_device)

    model = load_model(name, torch.float32, trainer_device, revision=revision)
    ends = end_token_ids(model, tokenizer)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    watchdog = Watchdog()
    trainer = TorchTrainer(model, tokenizer, recipe.trainer, trainer_dtype, alive=watchdog.alive)
    serving = load_model(name, engine_dtype, engine_device, revision=revision)
    detector = partial(_detector, recipe.engine)
    engine = LocalEngine(serving, ends, slots=recipe.engine.slots, detector=detector, alive=watchdog.alive)
    return Components(
        trainer=trainer,
        workers=LocalWorkers(engine),
        render=lambda problem: render_prompt(problem, tokenizer, recipe.model.system_prompt),
        render_demonstration=lambda shown: render_demonstration(shown, tokenizer, recipe.model.system_prompt),
        decode=lambda tokens: str(tokenizer.decode(list(tokens), skip_special_tokens=True)),
        description=(
            f"{name}: {parameters / 1e6:.0f}M parameters; training on {trainer_device} in {_short(trainer_dtype)} with "
            f"float32 masters, generating on {engine_device} in {_short(engine_dtype)}, {recipe.engine.slots} at once"
        ),
        watchdog=watchdog,
    )


def _detector(config: EngineConfig) -> RepetitionDetector:
    return RepetitionDetector(config.repetition_max_period, config.repetition_min_repeats, config.repetition_min_tokens)


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
