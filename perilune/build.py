"""Recipe to components: which backend stands behind each seam. Part of the composition root."""

from __future__ import annotations

import sys
from functools import partial

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.devices import available_cores, pick_device, pick_dtype
from perilune.backends.engines.integers import integer_products
from perilune.backends.engines.local import LocalEngine
from perilune.backends.engines.products import packed
from perilune.backends.engines.vllm.core import VllmCore
from perilune.backends.engines.vllm.engine import VllmEngine
from perilune.backends.engines.vllm.host import VllmHost
from perilune.backends.engines.vllm.options import VllmOptions
from perilune.backends.engines.vllm.process import VllmProcess
from perilune.backends.hybrid_workers import HybridWorkers
from perilune.backends.local_workers import LocalWorkers
from perilune.backends.memory import bound_kernel_caches
from perilune.backends.models import end_token_ids, load_model, load_tokenizer, resolve_model, share_weights
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.backends.weights.checkpoint_engine import CheckpointEngineTransfer
from perilune.backends.weights.shared_memory import SharedBlock
from perilune.backends.weights.transfer import InProcessTransfer, SharedMemoryTransfer, WeightTransfer
from perilune.data.chat import render_demonstration, render_prompt
from perilune.errors import BackendUnavailable, RecipeError
from perilune.protocols import Workers
from perilune.recipe.engine import EngineConfig
from perilune.recipe.recipe import Recipe
from perilune.run.watchdog import Watchdog
from perilune.stages.backends import Backends


def build_backends(recipe: Recipe) -> Backends:
    """Load the model twice, once to train in fp32 and once to generate, and put the seams' implementations on them.

    Raises:
        ModelError: the model or its tokenizer cannot be used.
        BackendUnavailable: a device is named that is not here.
    """
    bound_kernel_caches()
    torch.set_num_threads(recipe.threads or available_cores())
    name, revision = recipe.model.name, recipe.model.revision
    tokenizer = load_tokenizer(name, recipe.model.chat_template, revision=revision)
    trainer_device, engine_device = pick_device(recipe.trainer.device), pick_device(recipe.engine.device)
    trainer_dtype = pick_dtype(recipe.trainer.dtype, trainer_device)
    integers = recipe.engine.dtype == "int8"
    # Beside layers in int8 fp32 is faster than bf16, also where bf16 layers are the faster ones.
    engine_dtype = pick_dtype("float32" if integers else recipe.engine.dtype, engine_device)

    check_engine(recipe.engine, engine_device)
    model = load_model(name, torch.float32, trainer_device, revision=revision)
    ends = end_token_ids(model, tokenizer)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    watchdog = Watchdog()
    # The engine's process reads the trainer's weights where they lie.
    home = SharedBlock() if _shares_memory(recipe.engine) else None
    allocate = home.allocate if home is not None else None
    trainer = TorchTrainer(model, tokenizer, recipe.trainer, trainer_dtype, alive=watchdog.alive, allocate=allocate)
    if recipe.engine.backend == "vllm":
        workers = _vllm(recipe, model.config, ends, engine_device, engine_dtype, watchdog, home)
    else:
        workers = _local(recipe, model, ends, engine_device, engine_dtype, watchdog)
    return Backends(
        trainer=trainer,
        workers=workers,
        render=lambda problem: render_prompt(problem, tokenizer, recipe.model.system_prompt),
        render_demonstration=lambda shown: render_demonstration(shown, tokenizer, recipe.model.system_prompt),
        decode=lambda tokens: str(tokenizer.decode(list(tokens), skip_special_tokens=True)),
        description=(
            f"{name}: {parameters / 1e6:.0f}M parameters; training on {trainer_device} in {_short(trainer_dtype)} with "
            f"float32 masters, generating on {engine_device} in {'int8 and ' * integers}{_short(engine_dtype)} with "
            f"{_engine_name(recipe.engine)}, {recipe.engine.slots} at once"
        ),
        watchdog=watchdog,
    )


def _local(
    recipe: Recipe,
    trained: PreTrainedModel,
    ends: tuple[int, ...],
    device: torch.device,
    dtype: torch.dtype,
    watchdog: Watchdog,
) -> Workers:
    """The local engine; where it computes as the trainer does, its weights are the trainer's own."""
    model = load_model(recipe.model.name, dtype, device, revision=recipe.model.revision)
    if (trained.dtype, trained.device) == (dtype, model.device):
        share_weights(model, trained)
    detector = partial(_detector, recipe.engine)
    engine = LocalEngine(
        model,
        ends,
        slots=recipe.engine.slots,
        detector=detector,
        alive=watchdog.alive,
        attention=recipe.engine.attention,
        drafts=recipe.engine.drafts,
        make=integer_products(output=recipe.engine.int8_output) if recipe.engine.dtype == "int8" else packed,
    )
    return LocalWorkers(engine)


def check_engine(config: EngineConfig, device: torch.device) -> None:
    """Whether the engine can do on this device what a recipe asks of it.

    Raises:
        RecipeError: what is asked for does not go together.
        BackendUnavailable: it cannot be done here.
    """
    vllm = config.vllm
    if config.dtype == "int8" and (config.backend == "vllm" or device.type != "cpu"):
        raise RecipeError(
            f"engine.dtype = 'int8' is for the local engine on a CPU, not for {config.backend} on {device}: set "
            "engine.dtype to auto"
        )
    if config.backend != "vllm":
        return
    if vllm.after_rollout == "sleep" and device.type == "cpu":
        raise BackendUnavailable(
            "engine.vllm.after_rollout = 'sleep' needs a CUDA device: on a CPU vLLM gives nothing up; use end or keep"
        )
    if not vllm.process and (vllm.after_rollout == "end" or vllm.tensor_parallel > 1):
        raise RecipeError(
            "engine.vllm.process = false leaves vLLM in the trainer's process, which cannot be ended or spread over "
            "GPUs: set engine.vllm.after_rollout to keep or sleep, and tensor_parallel to 1"
        )
    if not vllm.process and device.index:
        raise RecipeError(
            f"engine.device = '{device}' needs vLLM in a process of its own, which is given that GPU alone: set "
            "engine.vllm.process to true"
        )
    if device.index is not None and vllm.tensor_parallel > 1:
        raise RecipeError(
            f"engine.device = '{device}' is one GPU, but engine.vllm.tensor_parallel is {vllm.tensor_parallel}; name "
            "the GPUs in CUDA_VISIBLE_DEVICES, and set engine.device to cuda"
        )
    if vllm.transfer == "checkpoint_engine" and (device.type == "cpu" or device.index or vllm.tensor_parallel > 1):
        raise RecipeError(
            "engine.vllm.transfer = 'checkpoint_engine' is for vLLM on the first GPU alone, where the trainer is, too; "
            "use shared_memory"
        )
    if not vllm.process and vllm.python is not None:
        raise RecipeError("engine.vllm.python names another Python, so engine.vllm.process must be true")
    if (vllm.transfer == "in_process") == vllm.process and vllm.transfer != "auto":
        raise RecipeError(
            f"engine.vllm.transfer = {vllm.transfer!r} does not go with engine.vllm.process = "
            f"{str(vllm.process).lower()}; auto finds what does"
        )


def _shares_memory(config: EngineConfig) -> bool:
    """Whether weights go to another process through shared memory."""
    return config.backend == "vllm" and config.vllm.process and config.vllm.transfer != "checkpoint_engine"


def _vllm(
    recipe: Recipe,
    model_config: PreTrainedConfig,
    ends: tuple[int, ...],
    device: torch.device,
    dtype: torch.dtype,
    watchdog: Watchdog,
    home: SharedBlock | None,
) -> Workers:
    """vLLM in turn with the trainer; nothing is started before the first rollout."""
    config, vllm = recipe.engine, recipe.engine.vllm
    on_cpu = device.type == "cpu"
    options = VllmOptions(
        model=resolve_model(recipe.model.name, recipe.model.revision),
        revision=recipe.model.revision,
        dtype=_short(dtype),
        device=device.type,
        device_index=device.index,
        slots=config.slots,
        end_tokens=ends,
        repetition=_repetition(config),
        cache_gb=vllm.cache_gb if vllm.cache_gb is not None or not on_cpu else 1.0,
        memory_share=vllm.memory_share,
        max_model_tokens=vllm.max_model_tokens,
        tensor_parallel=vllm.tensor_parallel,
        compiled=not on_cpu if vllm.compiled is None else vllm.compiled,
        sleep=vllm.after_rollout == "sleep",
        threads=recipe.threads or available_cores(),
        seeded=vllm.seeded,
    )
    host: VllmHost
    if vllm.process:
        host = VllmProcess(
            options,
            log=recipe.run_folder / "engine.log",
            python=vllm.python,
            start_seconds=vllm.start_seconds,
            silent_seconds=vllm.silent_seconds,
            alive=watchdog.alive,
        )
    else:
        host = VllmCore(options, alive=watchdog.alive)
    transfer: WeightTransfer
    if vllm.transfer == "checkpoint_engine":
        transfer = CheckpointEngineTransfer(dtype)
    else:
        transfer = SharedMemoryTransfer(dtype, home) if vllm.process else InProcessTransfer()
    limits = [vllm.max_model_tokens, getattr(model_config.get_text_config(), "max_position_embeddings", None)]
    context = min((limit for limit in limits if limit is not None), default=None)
    engine = VllmEngine(host, transfer, context=context, deaths=vllm.deaths, on_death=warn_of_death)
    return HybridWorkers(engine, vllm.after_rollout)


def warn_of_death(why: str) -> None:
    """Say that the engine died and is started again; the run goes on."""
    sys.stderr.write(f"perilune: {why}\nIt is started again, and the responses in flight go on.\n")


def _engine_name(config: EngineConfig) -> str:
    if config.backend == "local":
        return "the local engine"
    where = "a process of its own" if config.vllm.process else "this process"
    return f"vLLM in {where} ({config.vllm.after_rollout} after each rollout)"


def _detector(config: EngineConfig) -> RepetitionDetector:
    return RepetitionDetector(*_repetition(config))


def _repetition(config: EngineConfig) -> tuple[int, int, int]:
    """Longest period, least repeats and least tokens of the early stop."""
    return config.repetition_max_period, config.repetition_min_repeats, config.repetition_min_tokens


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
