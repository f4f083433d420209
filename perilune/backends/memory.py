"""Handing memory back between phases, so that trainer and engine do not pay for each other's peaks."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

import torch

KERNEL_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
_KERNELS = "96"


def release_memory() -> None:
    """Return what is free to the system: Python's garbage, glibc's free heap, CUDA's cached blocks.

    glibc keeps freed blocks of up to 32 MB in its arenas, which after a rollout phase is most of the key/value cache.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def bound_kernel_caches() -> None:
    """Keep fewer compiled matrix products, on a CPU; to be called before the first of them, what a user has set stays.

    oneDNN, and torch's layer above it, keep the last 1,024 each by default, one for every shape of its operands. Micro-
    batches have hardly two shapes alike, so that a trainer grew by a gigabyte over ten iterations. A model's layers are
    alike, so what one layer needs for a micro-batch is enough: its products, and five of attention for each response
    (a micro-batch of 1,024 tokens has some ten). With 32 an update of 64 responses took 1.3 times as long.
    """
    for name in KERNEL_CACHES:
        os.environ.setdefault(name, _KERNELS)
