"""What stands between our engine and vLLM: the same calls, whether vLLM is in this process or in another."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from perilune.backends.weights.shared_memory import Manifest
from perilune.errors import EngineError
from perilune.types import Request, Stop

if TYPE_CHECKING:
    import torch


class EngineDied(EngineError):
    """The engine's process is gone, or silent for too long; another can take its place."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step added to one response."""

    request_id: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of the tokens, in nats at temperature 1."""
    stop: Stop | None
    """None while it goes on."""


class VllmHost(Protocol):
    """vLLM, started with dummy weights."""

    @property
    def running(self) -> bool:
        """Whether it is started."""
        ...

    def start(self) -> None:
        """Start it, or wake it up; nothing if it runs."""
        ...

    def generate(self, requests: Sequence[Request]) -> Generator[list[Progress]]:
        """What each step adds; closing the iterator aborts what is still going on.

        Raises:
            EngineDied: it is gone; what was yielded before is whole.
            EngineError: a request cannot be served.
        """
        ...

    def load_shared(self, manifest: Manifest) -> None:
        """Take weights from shared memory."""
        ...

    def load_named(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        """Take weights of this process."""
        ...

    def load_ipc(self, handles: dict[str, str], version: int) -> None:
        """Take weights from checkpoint-engine's server: device UUID → address of its socket."""
        ...

    def served_versions(self) -> list[int]:
        """The version of the weights of each of its workers, read back from where they lie."""
        ...

    def sleep(self) -> None:
        """Give up weights and cache, and stay."""
        ...

    def end(self) -> None:
        """Give up everything."""
        ...
