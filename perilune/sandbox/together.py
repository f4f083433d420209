"""Two runs at the same time that talk through pipes: what either says is data to the other, and nothing more.

first ── its PEER_FD ──▶ second's stdin          stdout and stderr of each are files of its own,
first's stdin ◀── second's PEER_FD ──            which only the trainer's process reads
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from perilune.sandbox.jobs import Job, Result
from perilune.sandbox.memory_files import memory_file
from perilune.sandbox.pool import WorkerPool
from perilune.sandbox.programs import Limits, Run
from perilune.sandbox.seen import seen
from perilune.sandbox.worker import Worker


def run_together(
    pools: tuple[WorkerPool, WorkerPool], job: Job, sources: tuple[bytes, bytes], limits: Limits
) -> tuple[Run, Run]:
    """Run two Python programs; returns when both have ended.

    Args:
        pools: where each takes its worker from; not the same pool.
        job: of both.
        sources: their texts.
        limits: of each.

    Raises:
        WorkerLost: one of the two workers failed.
    """
    with contextlib.ExitStack() as files:
        outputs = [(files.enter_context(memory_file()), files.enter_context(memory_file())) for _ in range(2)]
        texts = [files.enter_context(memory_file(source, sealed=True)) for source in sources]
        with pools[0].worker() as one, pools[1].worker() as other:
            with _pipes() as (to_first, from_first, to_second, from_second):
                one.begin(job, [to_first, *outputs[0], texts[0], from_first])
                other.begin(job, [to_second, *outputs[1], texts[1], from_second])
            results = _both(one, other, job, limits)
        return seen(results[0], *outputs[0], limits), seen(results[1], *outputs[1], limits)


@contextlib.contextmanager
def _pipes() -> Iterator[tuple[int, int, int, int]]:
    """stdin and peer of the first, stdin and peer of the second; closed here, so that each sees the other's end."""
    to_second, from_first = os.pipe()
    to_first, from_second = os.pipe()
    try:
        yield to_first, from_first, to_second, from_second
    finally:
        for descriptor in (to_first, from_first, to_second, from_second):
            os.close(descriptor)


def _both(one: Worker, other: Worker, job: Job, limits: Limits) -> tuple[Result, Result]:
    found: list[Result] = []
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            found.append(other.finish(job, limits))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=wait, name="perilune-partner")
    thread.start()
    try:
        result = one.finish(job, limits)
    finally:
        thread.join()
    if failures:
        raise failures[0]
    return result, found[0]
