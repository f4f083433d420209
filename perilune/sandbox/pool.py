"""The workers of a sandbox: handed out one at a time, replaced when they fail."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from perilune.errors import SandboxError
from perilune.sandbox.jobs import Setup
from perilune.sandbox.worker import Worker


class WorkerPool:
    """Safe to use from many threads; a worker that is lost is replaced when its turn comes.

    Args:
        setup: how the workers isolate.
        first: a worker of that kind that has been probed; None where they start when they are needed.
        count: how many there are.
    """

    def __init__(self, setup: Setup, first: Worker | None, count: int) -> None:
        self._setup = setup
        self._changed = threading.Condition()
        self._idle: list[Worker | None] = [*[None] * (count - 1), first]
        self._busy = 0
        self._closed = False
        self.replaced = 0
        """How many workers were lost."""

    @contextlib.contextmanager
    def worker(self) -> Iterator[Worker]:
        """A worker for one job; waits for its turn, which comes since every job has a time limit.

        Raises:
            WorkerLost: no worker can be started, or the one that was handed out failed, which the block says.
            SandboxError: the pool is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._idle)
            if self._closed:
                raise SandboxError("the sandbox is closed: run programs inside its with block")
            worker = self._idle.pop()
            self._busy += 1
        try:
            if worker is None:
                worker = Worker(self._setup)
            yield worker
        except BaseException:
            # Whatever went wrong, an answer may still be on its way: this worker is not to be used again.
            if worker is not None:
                worker.close()
                worker = None
                self.replaced += 1
            raise
        finally:
            with self._changed:
                self._busy -= 1
                self._idle.append(worker)
                self._changed.notify_all()

    def start(self) -> None:
        """Start the workers that are not there yet; WorkerLost where one cannot be."""
        with self._changed:
            missing = [index for index, worker in enumerate(self._idle) if worker is None]
            for index in missing:
                self._idle[index] = Worker(self._setup)

    def close(self) -> None:
        """End all workers; those that are busy when their jobs are done, which their limits see to."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._busy == 0)
            workers, self._idle = self._idle, []
        for worker in workers:
            if worker is not None:
                worker.close()
