"""Memory of caches: of the system's large pages where it has them, and in use only where it was written."""

from __future__ import annotations

import math
import mmap

import torch
from torch import Tensor


def zeros(*shape: int, dtype: torch.dtype) -> Tensor:
    """A tensor of zeros on the CPU, which takes memory only as it is filled.

    Large pages (Linux's transparent huge ones) spare the processor most of the looking up of addresses.
    """
    size = math.prod(shape)
    if not size:
        return torch.zeros(shape, dtype=dtype)
    memory = mmap.mmap(-1, size * dtype.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype, count=size).view(shape)
