"""[engine]: how responses are generated, by the local engine or by vLLM."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from perilune.recipe.section import PositiveFloat, PositiveInt, Section

EngineDtype = Literal["auto", "float32", "bfloat16", "int8"]
AfterRollout = Literal["keep", "sleep", "end"]
Transfer = Literal["auto", "in_process", "shared_memory", "checkpoint_engine"]


class VllmConfig(Section):
    """[engine.vllm]: vLLM beside the trainer on the same devices (k1.5, section 2.6.3)."""

    process: bool = True
    """Run vLLM in a process of its own, which can be ended and which may die without the run; else in the trainer's."""
    python: str | None = None
    """The Python that has vLLM, if it is another than this one: an environment's bin/python, for the process."""
    after_rollout: AfterRollout = "end"
    """keep: it stays as it is; sleep: it gives up its weights and cache (CUDA alone); end: its process is ended."""
    transfer: Transfer = "auto"
    """How weights reach it; auto is in_process in the trainer's process, else shared_memory."""
    cache_gb: PositiveFloat | None = None
    """Key/value cache, in GiB; by default 1 on a CPU, and on a GPU what memory_share leaves."""
    memory_share: Annotated[float, Field(gt=0, le=1)] = 0.85
    """Share of a GPU's memory that vLLM may use, weights included."""
    max_model_tokens: PositiveInt | None = None
    """Longest prompt and response together; by default the model's context."""
    tensor_parallel: PositiveInt = 1
    """GPUs that share each layer."""
    seeded: bool = True
    """A random generator for each segment, from its trajectory's seed; costs speed, mostly on a CPU."""
    compiled: bool | None = None
    """Compile the model at its start; by default on a GPU alone, for it takes a minute each time."""
    start_seconds: PositiveFloat = 600.0
    """How long it may take to start or to take new weights."""
    silent_seconds: PositiveFloat = 300.0
    """A process that makes no step for so long is ended and started again."""
    deaths: PositiveInt = 3
    """So many deaths of the process in a row, without a token between them, end the run."""


class EngineConfig(Section):
    """[engine]: how responses are generated."""

    backend: Literal["local", "vllm"] = "local"
    """local: the embedded continuous-batching engine; vllm: vLLM, which needs its extra. Both for CPU and CUDA."""
    dtype: EngineDtype = "auto"
    """Compute type; auto measures what this processor does well. int8 is for the local engine on a CPU: linear layers
    in int8, all else in float32; rl.correction is token then, unless it is set."""
    int8_output: bool = True
    """With dtype int8, the output layer is in int8 too."""
    attention: Literal["auto", "compiled", "torch"] = "auto"
    """How the local engine reads its cache: compiled for this processor (in fp32 and bf16), or by torch; auto takes
    compiled on a CPU. One of the two throughout a run: they round differently."""
    drafts: bool = True
    """Guesses from siblings at the tokens to come are computed beside, where they are likely to pay; responses do not
    change by it. For the compiled attention."""
    slots: PositiveInt = 64
    """Responses generated side by side."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 …"""
    timeout_seconds: PositiveFloat = 1800.0
    """An engine that makes no step for so long is stuck; the run is ended with a message, and can be resumed."""
    repetition_max_period: PositiveInt = 32
    """Longest repeated block, in tokens, that the early stop looks for."""
    repetition_min_repeats: Annotated[int, Field(ge=2)] = 4
    """How many copies of the block in a row count as repetition."""
    repetition_min_tokens: PositiveInt = 24
    """Least tokens that the copies must span together."""
    vllm: VllmConfig = VllmConfig()
    """For the backend vllm."""
