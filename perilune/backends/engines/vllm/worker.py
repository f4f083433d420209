"""What runs inside vLLM's workers: taking weights under Hugging Face names, and saying whose they are.

vLLM mixes :class:`WeightsExtension` into its worker class (``worker_extension_cls``), so it is there in each worker
process of a tensor-parallel engine, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from perilune.backends.weights.shared_memory import Manifest, read_weights


class WeightsExtension:
    """Methods for ``collective_rpc``; all names begin with ours, since they live among vLLM's."""

    device: torch.device
    model_runner: Any
    model_config: Any
    vllm_config: Any
    perilune_served: int = -1
    """The policy version of the weights; -1 for dummy ones, or when a transfer broke off."""

    def perilune_version(self) -> int:
        """The policy version of the weights that this worker serves."""
        return self.perilune_served

    def perilune_load_named(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        """Take weights of this process."""
        with self._perilune_reloading(version) as load:
            load(weights)

    def perilune_load_shared(self, manifest: dict[str, Any]) -> None:
        """Take weights from shared memory; the version is read from there, too."""
        found = Manifest.from_json(manifest)
        with self._perilune_reloading(found.version) as load, read_weights(found) as weights:
            load(weights)

    def perilune_load_ipc(self, handles: dict[str, str], version: int) -> None:
        """Take weights from checkpoint-engine's ParameterServer, bucket by bucket over CUDA IPC.

        Args:
            handles: device UUID → ZeroMQ address, as ``ParameterServer.update`` gives them.
            version: whose weights they are.
        """
        import zmq
        from checkpoint_engine.worker import update_weights_from_ipc
        from vllm.platforms import current_platform

        index = self.device.index or 0
        with self._perilune_reloading(version) as load:
            # The bucket is filled anew for each call, and vLLM may keep what it is given until a layer is whole.
            update_weights_from_ipc(
                zmq.Context.instance(),
                handles[current_platform.get_device_uuid(index)],
                device_id=index,
                run=lambda weights: load((name, tensor.clone()) for name, tensor in weights),
            )

    @contextmanager
    def _perilune_reloading(self, version: int) -> Iterator[Any]:
        """Reload all weights layer by layer, in place; all of them, or it is an error."""
        from vllm.config import set_current_vllm_config
        from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

        model = self.model_runner.get_model()
        expected = {name for name, _ in model.named_parameters()}
        found: set[str] = set()
        self.perilune_served = -1
        with set_current_vllm_config(self.vllm_config):
            initialize_layerwise_reload(model)
            yield lambda weights: found.update(model.load_weights(weights) or ())
            finalize_layerwise_reload(model, self.model_config)
            _repack_tied_output(model)
        if missing := expected - found:
            raise ValueError(f"{len(missing)} weight(s) of vLLM's model were not given, e.g. {min(missing)}")
        for reset in ("reset_lora_state", "reset_encoder_cache", "reset_mm_cache"):
            if hasattr(self.model_runner, reset):
                getattr(self.model_runner, reset)()
        self.perilune_served = version


def _repack_tied_output(model: Any) -> None:
    """On a CPU the output layer is packed; where it shares the embedding's weight, a reload passes it by."""
    from vllm.platforms import current_platform

    head = getattr(model, "lm_head", None)
    weight = getattr(head, "weight", None)
    if not current_platform.is_cpu() or weight is None or getattr(head, "cpu_linear", None) is None:
        return
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

    if weight.numel():
        dispatch_cpu_unquantized_gemm(head, remove_weight=False)
