"""Weights through Moonshot's checkpoint-engine, as k1.5's hybrid deployment has it (section 2.6.3).

Its ParameterServer keeps the weights in pinned host memory and broadcasts them bucket by bucket to the GPUs, where each
of vLLM's workers takes them over CUDA IPC. It refuses to run without a GPU.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from perilune.backends.engines.vllm.host import VllmHost
from perilune.errors import BackendUnavailable, EngineError

_HERE = "127.0.0.1"


class CheckpointEngineTransfer:
    """Implements :class:`perilune.backends.weights.transfer.WeightTransfer` with one ParameterServer.

    One trainer process and one GPU; with several, each rank needs a server of its own, which Ray's workers start.
    """

    def __init__(self, dtype: torch.dtype):
        """Start the server.

        Args:
            dtype: the engine's: weights are rounded as they are registered.

        Raises:
            BackendUnavailable: there is no GPU, or the package is not installed.
        """
        self._dtype = dtype
        self._server: Any = _server()
        self._name: str | None = None
        self._version = -1

    def register(self, weights: Iterable[tuple[str, Tensor]], version: int) -> None:
        """Copy them to the server's pinned memory."""
        self.release()
        if self._server is None:
            self._server = _server()
        named = {name: weight.detach().to("cpu", self._dtype, copy=True) for name, weight in weights}
        name = f"version-{version}"
        self._server.register_checkpoint(name, named_tensors=named, use_inplace_pin_memory=False)
        self._server.gather_metas(name)
        self._name, self._version = name, version

    def transfer(self, host: VllmHost) -> None:
        """The server sends, and calls the engine from a thread of its own."""
        if self._name is None:
            raise EngineError("no weights are registered")
        failed: list[BaseException] = []
        over = threading.Event()

        def load(handles: list[tuple[str, str]]) -> None:
            try:
                host.load_ipc(dict(handles), self._version)
            except BaseException as error:
                failed.append(error)
                over.set()
                raise

        def update() -> None:
            try:
                self._server.update(self._name, load)
            except BaseException as error:
                failed.append(error)
            finally:
                over.set()

        # It waits without a limit for the engine to call back, also when that has failed; so it may wait alone.
        threading.Thread(target=update, name="checkpoint-engine", daemon=True).start()
        over.wait()
        if failed:
            self._server, self._name = None, None
            raise failed[0]

    def release(self) -> None:
        """Give the pinned memory back."""
        if self._name is not None:
            name, self._name = self._name, None
            self._server.unregister_checkpoint(name, force=True)


def _server() -> Any:
    if not torch.cuda.is_available():
        raise BackendUnavailable(
            "engine.vllm.transfer = 'checkpoint_engine' needs a CUDA device, and torch sees none; use shared_memory"
        )
    try:
        from checkpoint_engine.ps import ParameterServer
    except ImportError as error:
        raise BackendUnavailable(
            f"engine.vllm.transfer = 'checkpoint_engine' needs its package: {error}; "
            "pip install 'perilune[checkpoint-engine]'"
        ) from error
    with socket.socket() as free:
        free.bind((_HERE, 0))
        port = free.getsockname()[1]
    # It takes rank 0 for none given, and asks the environment.
    before = os.environ.get("RANK")
    os.environ["RANK"] = "0"
    try:
        return ParameterServer(rank=0, world_size=1, master_addr=_HERE, master_port=port)
    finally:
        if before is None:
            del os.environ["RANK"]
        else:
            os.environ["RANK"] = before
