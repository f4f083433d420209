"""Running a kernel's parts side by side on torch's own threads: a second pool would wait for the cores of the first."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch


@cache
def openmp() -> Any | None:
    """The OpenMP library whose threads torch works with, or None where it has another."""
    for path in sorted((Path(torch.__file__).parent / "lib").glob("lib*omp*")):
        try:
            library = ctypes.CDLL(str(path))
            if all(hasattr(library, name) for name in ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")):
                return library
        except OSError:
            continue
    return None


def address_of(name: str) -> int:
    """Where a function of the OpenMP library lies; 0 where there is none."""
    library = openmp()
    return 0 if library is None else int(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0)


def run_parts(arguments: int, parts: int, *, together: int, alone: Callable[[int, int], None]) -> None:
    """Work on all parts; returns when they are done.

    Args:
        arguments: address of what the functions take.
        parts: number of them, at most as many as torch has threads.
        together: address of a function of the arguments, which each thread calls and which finds its own parts.
        alone: function of the arguments and a part.
    """
    library = openmp()
    if parts == 1:
        alone(arguments, 0)
    elif library is not None:
        library.GOMP_parallel(ctypes.c_void_p(together), ctypes.c_void_p(arguments), parts, 0)
    else:
        list(_threads().map(lambda part: alone(arguments, part), range(parts)))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(torch.get_num_threads())
