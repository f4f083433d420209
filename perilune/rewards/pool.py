"""The grading pool: worker processes with a time limit that holds, so that an error is never taken for a wrong answer.

    submit → pending → a worker ⇄ supervisor → finished
                 ↑__ retried on error __|

A supervising thread hands out tasks, kills what runs too long, replaces what died, and retries. The caller only
submits and collects.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Pipe, wait
from types import TracebackType
from typing import Self

from perilune.config import RewardsConfig
from perilune.errors import RewardError
from perilune.rewards.messages import READY, STARTED, decode_grade
from perilune.rewards.router import check_reward_name
from perilune.rewards.workers import WorkerProcess
from perilune.types import Grade, GradeRequest, Verdict

_START_ATTEMPTS = 3
_DRAIN_MARGIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class PoolStats:
    """What the pool has done so far."""

    graded: int = 0
    """Grades delivered, errors among them."""
    errors: int = 0
    """Grades delivered as errors, after all retries."""
    timeouts: int = 0
    """Gradings ended because their time was up."""
    restarts: int = 0
    """Workers replaced, after a timeout or because they died."""
    retries: int = 0
    """Gradings tried again."""


class _CannotStart(Exception):
    """Workers die, again and again, before they grade anything."""


class GradingPool:
    """Grades in worker processes; use it as a context manager.

    A worker gets ``rewards.timeout_seconds`` for a grading (importing the reward does not count); then it is killed. A
    grading that is killed, dies, raises or ends in an error is tried ``rewards.retries`` times more, then its grade is
    an error that says what happened.

    Args:
        rewards: the recipe's [rewards].
        on_event: called from the supervising thread with one line when a worker is replaced or a grading is retried.
        start_seconds: how long a worker may take to start, and to import a reward.
    """

    def __init__(
        self,
        rewards: RewardsConfig,
        on_event: Callable[[str], None] | None = None,
        start_seconds: float = 60.0,
    ) -> None:
        self._config = rewards
        self._on_event = on_event or (lambda _: None)
        self._start_seconds = start_seconds
        self._changed = threading.Condition()
        self._pending: deque[GradeRequest] = deque()
        self._attempts: dict[str, int] = {}  # of every request not yet finished
        self._finished: list[tuple[str, Grade]] = []
        self._stats = PoolStats()
        self._failure: str | None = "is not open; use it in a with statement"
        self._closing = False
        # The supervisor's own, touched by no other thread once it runs.
        self._workers: list[WorkerProcess] = []
        self._fruitless_starts = 0
        self._slowest_start = 0.0
        self._wake_receiver, self._wake_sender = Pipe(duplex=False)
        self._thread = threading.Thread(target=self._supervise, name="perilune-grading", daemon=True)

    def __enter__(self) -> Self:
        self._failure = None
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._failure = self._failure or "is closed"
            self._wake()
        self._thread.join()
        self._wake_sender.close()
        self._wake_receiver.close()

    @property
    def stats(self) -> PoolStats:
        """What the pool has done so far."""
        return self._stats

    def submit(self, request: GradeRequest) -> None:
        """Queue a request and return at once.

        Raises:
            RewardError: its reward has an unknown name, or the pool cannot work.
            ValueError: a request of the same id is not finished yet.
        """
        check_reward_name(request.problem.reward)
        with self._changed:
            self._raise_failure()
            if request.id in self._attempts:
                raise ValueError(f"a request with the id {request.id!r} is being graded already")
            self._attempts[request.id] = 0
            self._pending.append(request)
            self._wake()

    def finished(self) -> list[tuple[str, Grade]]:
        """(request id, grade) of what was finished since it was last asked, in order of completion; never waits.

        Raises:
            RewardError: the pool cannot work; what was finished before can still be collected first.
        """
        with self._changed:
            taken, self._finished = self._finished, []
            if not taken and self._attempts:
                self._raise_failure()
            return taken

    def drain(self) -> list[tuple[str, Grade]]:
        """Wait until everything submitted is finished, and return what :meth:`finished` would.

        The wait is bounded by what the time limits and retries allow.

        Raises:
            RewardError: the pool cannot work, or the bound has passed; the message names what is not finished.
        """
        with self._changed:
            deadline = time.monotonic() + self._longest_wait(len(self._attempts))
            while self._attempts:
                self._raise_failure()
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise RewardError(f"the grading pool is stuck; not finished: {self._unfinished()}")
                self._changed.wait(remaining)
        return self.finished()

    def _longest_wait(self, count: int) -> float:
        attempt = self._config.timeout_seconds + self._slowest_start
        turns = math.ceil(count / self._config.workers) * (1 + self._config.retries)
        return turns * attempt + _START_ATTEMPTS * self._start_seconds + _DRAIN_MARGIN_SECONDS

    def _unfinished(self) -> str:
        names = list(self._attempts)
        return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

    def _raise_failure(self) -> None:
        if self._failure:
            stuck = f"; not finished: {self._unfinished()}" if self._attempts else ""
            raise RewardError(f"the grading pool {self._failure}{stuck}")

    def _wake(self) -> None:
        # One unread byte is enough; more could fill the pipe and block the caller.
        if not self._wake_receiver.poll():
            self._wake_sender.send_bytes(b"!")

    # From here on: the supervising thread.

    def _supervise(self) -> None:
        try:
            self._workers = [self._new_worker(number) for number in range(self._config.workers)]
            while not self._closing:
                self._hand_out()
                ready = wait([self._wake_receiver, *(w.connection for w in self._workers)], self._until_next_deadline())
                if self._wake_receiver in ready:
                    self._wake_receiver.recv_bytes()
                for worker in list(self._workers):
                    if worker.connection in ready:
                        self._receive(worker)
                    elif worker.deadline is not None and worker.deadline <= time.monotonic():
                        self._end_overdue(worker)
        except _CannotStart as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(f"failed unexpectedly: {type(error).__name__}: {error}")
            raise
        finally:
            for worker in self._workers:
                worker.end()

    def _new_worker(self, number: int) -> WorkerProcess:
        return WorkerProcess(number, self._config, self._start_seconds)

    def _fail(self, reason: str) -> None:
        with self._changed:
            self._failure = reason
            self._changed.notify_all()

    def _until_next_deadline(self) -> float | None:
        deadlines = [worker.deadline for worker in self._workers if worker.deadline is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _hand_out(self) -> None:
        for worker in list(self._workers):
            if not worker.ready or worker.task is not None:
                continue
            with self._changed:
                if not self._pending:
                    return
                request = self._pending.popleft()
            try:
                worker.assign(request)
            except OSError:  # It died while idle; the request was not tried.
                worker.idle()
                with self._changed:
                    self._pending.appendleft(request)
                self._replace(worker, f"died idle ({worker.exit_text()})")

    def _receive(self, worker: WorkerProcess) -> None:
        try:
            message = worker.connection.recv_bytes()
        except (EOFError, OSError):
            self._replace(worker, f"died ({worker.exit_text()})")
            return
        if message == READY:
            worker.ready = True
            worker.idle()
            self._slowest_start = max(self._slowest_start, time.monotonic() - worker.begun)
        elif message == STARTED:
            worker.started()
            self._fruitless_starts = 0
        elif worker.task is not None:
            request = worker.task
            worker.idle()
            self._fruitless_starts = 0
            self._settle(request, decode_grade(message))

    def _end_overdue(self, worker: WorkerProcess) -> None:
        worker.end()
        if worker.task is not None:
            self._stats = replace(self._stats, timeouts=self._stats.timeouts + 1)
        doing = "gave no grade" if worker.task is not None else "was not ready"
        self._replace(worker, f"{doing} within {worker.limit_seconds:g} s")

    def _replace(self, worker: WorkerProcess, reason: str) -> None:
        """Put a new worker in the place of one that has ended, and settle what it was grading."""
        if worker.task is None:
            self._fruitless_starts += 1
            if self._fruitless_starts >= _START_ATTEMPTS:
                raise _CannotStart(
                    f"cannot work: {_START_ATTEMPTS} times in a row a worker {reason}. Its own messages are on "
                    "standard error; check that this Python can import perilune and that memory is left"
                )
        self._stats = replace(self._stats, restarts=self._stats.restarts + 1)
        self._on_event(f"grading worker {worker.number} {reason}; a new one takes its place")
        self._workers[worker.number] = self._new_worker(worker.number)
        if worker.task is not None:
            self._settle(worker.task, Grade(Verdict.ERROR, 0.0, f"the grading worker {reason}"))

    def _settle(self, request: GradeRequest, grade: Grade) -> None:
        """Deliver a grade, or queue its request again if it is an error that may be retried."""
        failed = grade.verdict is Verdict.ERROR
        with self._changed:
            if failed and self._attempts[request.id] < self._config.retries:
                self._attempts[request.id] += 1
                self._pending.append(request)
                self._stats = replace(self._stats, retries=self._stats.retries + 1)
            else:
                del self._attempts[request.id]
                self._finished.append((request.id, grade))
                self._stats = replace(
                    self._stats, graded=self._stats.graded + 1, errors=self._stats.errors + int(failed)
                )
                failed = False
            self._changed.notify_all()
        if failed:
            self._on_event(f"grading {request.id} again: {grade.detail}")
