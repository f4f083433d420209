"""Handing memory back between phases, so that trainer and engine do not pay for each other's peaks."""

from __future__ import annotations

import ctypes
import gc
import sys

import torch


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
