"""Weights in shared memory: whole, of one version, seen by other processes, and gone when they are released."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from perilune.backends.weights.shared_memory import Manifest, SharedBlock, SharedWeights, read_weights
from perilune.errors import ModelError


def some_weights(seed: int) -> list[tuple[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"model.embed.weight": (17, 5), "model.norm.weight": (3,), "scale": (), "none": (0, 4)}
    floats = [(name, torch.randn(shape, generator=generator)) for name, shape in shapes.items()]
    return [*floats, ("positions", torch.arange(9))]


def read(manifest: Manifest) -> dict[str, torch.Tensor]:
    with read_weights(manifest) as weights:
        return {name: weight.clone() for name, weight in weights}


def held(shared: SharedWeights) -> Manifest:
    assert shared.manifest is not None
    return shared.manifest


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_read_is_what_was_written(dtype: torch.dtype) -> None:
    shared = SharedWeights(dtype)
    for version in range(3):
        weights = some_weights(version)
        found = read(shared.write(weights, version))
        assert list(found) == [name for name, _ in weights]
        for name, weight in weights:
            expected = weight.to(dtype) if weight.is_floating_point() else weight
            assert found[name].dtype == expected.dtype
            assert torch.equal(found[name], expected)
    shared.release()


def test_another_process_reads_it_from_the_manifest_alone() -> None:
    shared = SharedWeights(torch.float32)
    weights = some_weights(1)
    manifest = json.dumps(shared.write(weights, 7).to_json())
    program = (
        "import json, sys\n"
        "from perilune.backends.weights.shared_memory import Manifest, read_weights\n"
        "with read_weights(Manifest.from_json(json.loads(sys.argv[1]))) as weights:\n"
        "    print(json.dumps({name: float(weight.double().sum()) for name, weight in weights}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, manifest], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == pytest.approx({name: float(w.double().sum()) for name, w in weights})
    shared.release()


def test_its_pages_are_used_again() -> None:
    shared = SharedWeights(torch.float32)
    paths = {shared.write(some_weights(version), version).path for version in range(3)}
    assert len(paths) == 1
    larger = shared.write([*some_weights(3), ("more", torch.ones(50_000))], 3)
    assert larger.size > 200_000
    assert torch.equal(read(larger)["more"], torch.ones(50_000))
    shared.release()


def test_a_manifest_of_weights_that_were_replaced_is_refused() -> None:
    shared = SharedWeights(torch.float32)
    old = shared.write(some_weights(0), 4)
    shared.write(some_weights(1), 5)
    with pytest.raises(ModelError, match="no longer holds the weights of version 4"):
        read(old)
    shared.release()


def test_a_write_that_broke_off_leaves_no_version_behind() -> None:
    shared = SharedWeights(torch.float32)
    first = shared.write(some_weights(0), 4)
    wrong = torch.ones(17, 5, device="meta")
    with pytest.raises(NotImplementedError):
        shared.write([("model.embed.weight", wrong)], 5)
    with pytest.raises(ModelError, match="no longer holds the weights of version 4"):
        read(first)
    shared.release()


def test_released_memory_is_gone() -> None:
    shared = SharedWeights(torch.float32)
    manifest = shared.write(some_weights(0), 4)
    before = open_memory()
    shared.release()
    assert open_memory() < before
    assert shared.manifest is None
    with pytest.raises(ModelError, match="cannot read the weights of version 4"):
        read(manifest)
    # A second time is nothing, and it can be used again.
    shared.release()
    assert read(shared.write(some_weights(2), 6))["scale"] == dict(some_weights(2))["scale"]
    assert held(shared).version == 6
    shared.release()


def test_what_lies_in_shared_memory_is_not_copied() -> None:
    block = SharedBlock()
    flat = block.allocate(30)
    flat.copy_(torch.arange(30.0))
    weights = [("a", flat[:12].view(3, 4)), ("b", flat[12:])]
    shared = SharedWeights(torch.bfloat16, block)
    before = open_memory()
    manifest = shared.write(weights, 3)
    assert open_memory() == before
    found = read(manifest)
    assert all(torch.equal(found[name], weight) for name, weight in weights)
    # The next version is what the trainer has made of them since.
    flat.add_(1.0)
    assert torch.equal(read(shared.write(weights, 4))["b"], flat[12:])
    with pytest.raises(ModelError, match="no longer holds the weights of version 3"):
        read(manifest)
    # What lies elsewhere, or is not in one piece, is copied, and rounded.
    for odd in (torch.full((3, 4), 1.01), flat[:12].view(4, 3).T):
        copied = shared.write([("a", odd), weights[1]], 5)
        assert copied.path != manifest.path
        assert torch.equal(read(copied)["a"], odd.to(torch.bfloat16))
    last = shared.write(weights, 6)
    shared.release()
    with pytest.raises(ModelError, match="no longer holds the weights of version 6"):
        read(last)
    assert float(flat[0]) == 1.0


def open_memory() -> int:
    """How many anonymous files of ours this process has open."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += "perilune-weights" in str(entry.readlink())
    return found
