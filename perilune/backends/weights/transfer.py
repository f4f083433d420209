"""How weights reach vLLM: register → transfer → confirm the version.

in_process          vLLM in the trainer's process takes the tensors one by one
shared_memory       another process reads them where they lie
checkpoint_engine   Moonshot's checkpoint-engine carries them over CUDA IPC (k1.5, section 2.6.3)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor

from perilune.backends.engines.vllm.host import VllmHost
from perilune.backends.weights.shared_memory import SharedBlock, SharedWeights
from perilune.errors import EngineError


class WeightTransfer(Protocol):
    """One way for weights to travel."""

    def register(self, weights: Iterable[tuple[str, Tensor]], version: int) -> None:
        """Take hold of the weights under their Hugging Face names; they replace those before."""
        ...

    def transfer(self, host: VllmHost) -> None:
        """Hand what is registered to a started engine; may be called again, for another process of it."""
        ...

    def release(self) -> None:
        """Let go of what is registered."""
        ...


def send_weights(transfer: WeightTransfer, host: VllmHost, version: int) -> None:
    """Transfer what is registered, and read back what the engine serves.

    Raises:
        EngineError: it serves another version than the one that was registered.
    """
    transfer.transfer(host)
    served = host.served_versions()
    if set(served) != {version}:
        raise EngineError(
            f"the engine was given the weights of version {version}, but its workers serve {served}: a rollout would "
            "not be from the policy that is trained. Restart the run with: perilune resume RUN; if it happens again, "
            "use another engine.vllm.transfer"
        )


class InProcessTransfer:
    """vLLM in this process reads the trainer's tensors."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._weights: list[tuple[str, Tensor]] | None = None
        self._version = -1

    def register(self, weights: Iterable[tuple[str, Tensor]], version: int) -> None:
        """Note where they are; nothing is copied."""
        self._weights, self._version = list(weights), version

    def transfer(self, host: VllmHost) -> None:
        """Each is rounded and loaded in turn."""
        if self._weights is None:
            raise EngineError("no weights are registered")
        host.load_named(self._weights, self._version)

    def release(self) -> None:
        """Forget where they are."""
        self._weights = None


class SharedMemoryTransfer:
    """Weights in memory that the engine's process sees; they stay for another process, should that one die."""

    def __init__(self, dtype: torch.dtype, home: SharedBlock | None = None):
        """Take no memory yet.

        Args:
            dtype: the engine's: they are rounded on the way, which halves the bytes of bfloat16.
            home: where the trainer keeps its weights, if another process can read them there.
        """
        self._shared = SharedWeights(dtype, home)

    def register(self, weights: Iterable[tuple[str, Tensor]], version: int) -> None:
        """Copy them to shared memory, unless they lie there already."""
        self._shared.write(weights, version)

    def transfer(self, host: VllmHost) -> None:
        """The engine reads them."""
        if self._shared.manifest is None:
            raise EngineError("no weights are registered")
        host.load_shared(self._shared.manifest)

    def release(self) -> None:
        """Give the memory back."""
        self._shared.release()
