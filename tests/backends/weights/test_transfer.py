"""register → transfer → confirm: what an engine says that it serves is believed, and compared."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

import pytest
import torch

from perilune.backends.engines.vllm.host import Progress
from perilune.backends.weights.checkpoint_engine import CheckpointEngineTransfer
from perilune.backends.weights.shared_memory import Manifest, read_weights
from perilune.backends.weights.transfer import InProcessTransfer, SharedMemoryTransfer, WeightTransfer, send_weights
from perilune.errors import BackendUnavailable, EngineError
from perilune.types import Request


class Keeper:
    """A host that keeps what it is given, on as many workers as wanted; some of them may stay behind."""

    running = True

    def __init__(self, lagging: Sequence[int] = ()) -> None:
        self.weights: dict[str, torch.Tensor] = {}
        self.versions = [-1, -1]
        self.lagging = lagging

    def start(self) -> None: ...

    def generate(self, requests: Sequence[Request]) -> Generator[list[Progress]]:
        yield []

    def load_shared(self, manifest: Manifest) -> None:
        with read_weights(manifest) as weights:
            self.load_named(((name, weight.clone()) for name, weight in weights), manifest.version)

    def load_named(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        self.weights = dict(weights)
        self.versions = [old if rank in self.lagging else version for rank, old in enumerate(self.versions)]

    def load_ipc(self, handles: dict[str, str], version: int) -> None: ...

    def served_versions(self) -> list[int]:
        return self.versions

    def sleep(self) -> None: ...

    def end(self) -> None: ...


def make_transfers() -> list[WeightTransfer]:
    return [InProcessTransfer(), SharedMemoryTransfer(torch.float32)]


@pytest.mark.parametrize("transfer", make_transfers(), ids=["in-process", "shared-memory"])
def test_weights_arrive_and_stay_for_another_process(transfer: WeightTransfer) -> None:
    for version in (0, 1):
        weights = {"a": torch.randn(3, 4), "b": torch.randn(5)}
        transfer.register(weights.items(), version)
        # The second is what takes the place of one that died.
        for host in (Keeper(), Keeper()):
            send_weights(transfer, host, version)
            assert host.versions == [version, version]
            assert all(torch.equal(host.weights[name], weight) for name, weight in weights.items())
    transfer.release()
    with pytest.raises(EngineError, match="no weights are registered"):
        transfer.transfer(Keeper())


@pytest.mark.parametrize("transfer", make_transfers(), ids=["in-process", "shared-memory"])
def test_an_engine_that_serves_another_version_is_an_error(transfer: WeightTransfer) -> None:
    transfer.register([("a", torch.ones(2))], 3)
    with pytest.raises(EngineError, match=r"given the weights of version 3, but its workers serve \[3, -1\]"):
        send_weights(transfer, Keeper(lagging=[1]), 3)
    transfer.release()


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_checkpoint_engine_says_that_it_needs_a_gpu() -> None:
    with pytest.raises(BackendUnavailable, match=r"needs a CUDA device.*use shared_memory"):
        CheckpointEngineTransfer(torch.bfloat16)
