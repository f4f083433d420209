"""The pools of workers that a sandbox has: of each kind one, started when it is first needed.

Programs that mention an offered package are forked from a zygote that has imported it, the others from one that has
not, which forks faster. A run that another run waits for comes from a pool of its own: nobody who holds a worker of the
first kind ever waits for another of the same kind.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from perilune.sandbox.jobs import Setup
from perilune.sandbox.pool import WorkerPool
from perilune.sandbox.probes import probed_worker
from perilune.sandbox.worker import Worker


class Workshop:
    """Safe to use from many threads.

    Args:
        setup: how workers isolate, and what they may import beforehand.
        first: a worker that imports nothing beforehand, and has been probed.
        count: workers of each kind.
    """

    def __init__(self, setup: Setup, first: Worker, count: int) -> None:
        self._setup = setup
        self._count = count
        self._lock = threading.Lock()
        self._pools = {(False, False): WorkerPool(replace(setup, preloaded=()), first, count)}
        self._failed: tuple[str, ...] | None = None if setup.preloaded else ()
        self._closed = False

    def pool(self, *, packages: bool = False, partner: bool = False) -> WorkerPool:
        """A pool.

        Args:
            packages: whether its workers have imported the packages.
            partner: whether it is for runs that another run waits for.

        Raises:
            WorkerLost: it is the first of its kind, and the canary got out.
        """
        kind = (packages and bool(self._setup.preloaded), partner)
        with self._lock:
            if kind not in self._pools:
                setup = self._setup if kind[0] else replace(self._setup, preloaded=())
                worker = probed_worker(setup)
                if kind[0]:
                    self._failed = worker.failed
                self._pools[kind] = WorkerPool(setup, worker, self._count)
                if self._closed:
                    self._pools[kind].close()
            return self._pools[kind]

    def failed(self) -> tuple[str, ...]:
        """Of what is to be imported beforehand, what cannot be; WorkerLost where nothing can be started."""
        if self._failed is None:
            self.pool(packages=True)
        return self._failed or ()

    def start(self) -> None:
        """Start all workers of the plain kind; WorkerLost where one cannot be."""
        self.pool().start()

    @property
    def replaced(self) -> int:
        """How many workers were lost."""
        with self._lock:
            return sum(pool.replaced for pool in self._pools.values())

    def close(self) -> None:
        """End all workers, once their jobs are done."""
        with self._lock:
            self._closed = True
            pools = list(self._pools.values())
        for pool in pools:
            pool.close()
