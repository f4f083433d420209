"""The grading pool: worker processes with a time limit that holds, so that an error is never taken for a wrong answer.

    submit → pending → a worker ⇄ supervisor → finished
                 ↑__ retried on error __|

A supervising thread hands out tasks, kills what runs too long, replaces what died, and retries. The caller only
submits and collects. No wait is without a bound: the supervisor never waits for one worker alone, and the caller waits
no longer than one grading can take.
"""

from __future__ import annotations

import math
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Pipe
from types import TracebackType
from typing import Self

from perilune.errors import RewardError
from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.channel import GarbledMessage
from perilune.rewards.limits import over_limit_grade, over_time
from perilune.rewards.messages import LEAVING, READY, STARTED, decode_explanation, decode_grade, is_over_limit
from perilune.rewards.router import check_reward_name
from perilune.rewards.workers import WorkerProcess
from perilune.types import Explanation, Grade, GradeRequest, Verdict

_START_ATTEMPTS = 3
_START_PAUSES = (0.2, 1.0)
"""Seconds before each further try where the system starts no process: what it lacks at one moment it may have soon."""
_MARGIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class PoolStats:
    """What the pool has done so far."""

    graded: int = 0
    """Grades delivered, errors among them."""
    errors: int = 0
    """Grades delivered as errors, after all retries."""
    timeouts: int = 0
    """Gradings ended because their wall time was up."""
    over_limit: int = 0
    """Gradings that took more processor time or memory than they may, so that their responses are wrong."""
    restarts: int = 0
    """Workers replaced: after a timeout, because they died, or because they held on to too much memory."""
    retries: int = 0
    """Gradings tried again."""
    busy_seconds: float = 0.0
    """Wall time that workers have spent on gradings, added up over the workers."""


class _CannotStart(Exception):
    """Workers die, again and again, before they grade anything."""


class GradingPool:
    """Grades in worker processes; use it as a context manager.

    A grading gets ``rewards.cpu_seconds`` of processor time and ``rewards.memory_mb`` (importing the reward does not
    count); a response that takes more is wrong, and its worker goes on, or is replaced where it comes to no end. After
    ``rewards.timeout_seconds`` of wall time the worker is killed. A grading that is killed, dies, raises or ends in an
    error is tried ``rewards.retries`` times more, then its grade is an error that says what happened.

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
        self._changed = threading.Condition()  # notified when a grading has ended, or the pool has failed
        self._pending: deque[GradeRequest] = deque()
        self._attempts: dict[str, int] = {}  # of every request not yet finished
        self._finished: list[tuple[str, Grade]] = []
        self._explanations: dict[str, Explanation] = {}
        self._stats = PoolStats()
        self._failure: str | None = "is not open; use it in a with statement"
        self._closing = False
        # The supervisor's own, touched by no other thread once it runs.
        self._workers: list[WorkerProcess] = []
        self._fruitless_starts = 0
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
        self._thread.join(_MARGIN_SECONDS)
        if self._thread.is_alive():
            # Killed processes that the kernel does not let go of; they end with whatever holds them.
            self._on_event("the grading workers were killed but are not gone; left to the system")
            return
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

    def explanation(self, request_id: str) -> Explanation | None:
        """How a finished grade came about, once; None where it was not asked for, or no reward lived to tell."""
        with self._changed:
            return self._explanations.pop(request_id, None)

    def drain(self) -> list[tuple[str, Grade]]:
        """Wait until everything submitted is finished, and return what :meth:`finished` would.

        The wait is bounded: a grading must end within what its start, its time limit and a few new workers can take.

        Raises:
            RewardError: the pool cannot work, or the bound has passed; the message names what is not finished.
        """
        longest = (1 + _START_ATTEMPTS) * self._start_seconds + self._config.timeout_seconds + _MARGIN_SECONDS
        with self._changed:
            while self._attempts:
                self._raise_failure()
                if not self._changed.wait(longest):
                    raise RewardError(
                        f"the grading pool is stuck: no grading has ended for {longest:.0f} s; not finished: "
                        f"{self._unfinished()}. Look at the load of this machine, then resume the run"
                    )
        return self.finished()

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
            for number in range(self._config.workers):
                self._workers.append(self._new_worker(number))
            while not self._closing:
                self._hand_out()
                ready = self._wait()
                if self._wake_receiver.fileno() in ready:
                    self._wake_receiver.recv_bytes()
                for worker in list(self._workers):
                    if worker.channel.fileno() in ready:
                        self._exchange(worker)
                    elif worker.deadline is not None and worker.deadline <= time.monotonic():
                        self._end_overdue(worker)
        except _CannotStart as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(f"failed unexpectedly: {type(error).__name__}: {error}")
            raise
        finally:
            for worker in self._workers:
                worker.kill()
            for worker in self._workers:
                worker.end()

    def _new_worker(self, number: int, pauses: tuple[float, ...] = _START_PAUSES) -> WorkerProcess:
        try:
            return WorkerProcess(number, self._config, self._start_seconds)
        except OSError as error:
            if not pauses:
                raise _CannotStart(
                    f"cannot work: no grading process can be started ({error}); free memory or processes, or lower "
                    "rewards.workers, then resume the run"
                ) from error
            self._on_event(f"grading worker {number} could not be started ({error}); tried again in {pauses[0]:g} s")
        time.sleep(pauses[0])
        return self._new_worker(number, pauses[1:])

    def _wait(self) -> set[int]:
        """Wait for the caller, a worker's message, room for a message to a worker, or the next deadline."""
        poller = select.poll()
        poller.register(self._wake_receiver, select.POLLIN)
        for worker in self._workers:
            poller.register(worker.channel, select.POLLIN | (select.POLLOUT if worker.channel.sending else 0))
        deadlines = [worker.deadline for worker in self._workers if worker.deadline is not None]
        milliseconds = math.ceil(1000 * max(0.0, min(deadlines) - time.monotonic())) if deadlines else None
        return {descriptor for descriptor, _ in poller.poll(milliseconds)}

    def _fail(self, reason: str) -> None:
        with self._changed:
            self._failure = reason
            self._changed.notify_all()

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

    def _exchange(self, worker: WorkerProcess) -> None:
        """Read what a worker has sent, and send it what it has not yet taken."""
        try:
            worker.channel.flush()
            for message in worker.channel.receive():
                self._take(worker, message)
        except GarbledMessage as error:
            worker.end()
            self._replace(worker, f"sent {error}")
        except (EOFError, OSError):
            ending = worker.exit_text()
            self._replace(worker, "did not come to itself" if worker.over_time else f"died ({ending})")

    def _take(self, worker: WorkerProcess, message: bytes) -> None:
        request = worker.task
        if message == READY and not worker.ready:
            worker.ready = True
            worker.idle()
        elif request is None:
            raise GarbledMessage(f"{message[:40]!r} without having been asked")
        elif message == STARTED:
            worker.started()
            self._fruitless_starts = 0
        elif message == LEAVING:
            worker.leaving = True
        else:
            grade = decode_grade(message)
            if request.ask == "explanation":
                self._explanations[request.id] = decode_explanation(message)
            self._count_busy(worker)
            worker.idle()
            self._fruitless_starts = 0
            self._settle(request, grade, over_limit=is_over_limit(message))
            if worker.leaving:
                worker.end()
                self._replace(worker, "held on to more memory than a grading may take (rewards.memory_mb)")

    def _count_busy(self, worker: WorkerProcess) -> None:
        self._stats = replace(self._stats, busy_seconds=self._stats.busy_seconds + worker.busy_seconds())

    def _end_overdue(self, worker: WorkerProcess) -> None:
        worker.end()
        if worker.task is not None:
            self._count_busy(worker)
            self._stats = replace(self._stats, timeouts=self._stats.timeouts + 1)
        doing = "gave no grade" if worker.task is not None else "was not ready"
        self._replace(worker, f"{doing} within {worker.limit_seconds:g} s")

    def _replace(self, worker: WorkerProcess, reason: str) -> None:
        """Put a new worker in the place of one that has ended, and settle what it was grading."""
        # A worker that dies while there is nothing to do is no sign that workers cannot work.
        if worker.task is None and (self._pending or not worker.ready):
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
            grade = _last_grade(worker, worker.task, reason, self._config.cpu_seconds)
            self._settle(worker.task, grade, over_limit=worker.over_time)

    def _settle(self, request: GradeRequest, grade: Grade, *, over_limit: bool) -> None:
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
                    self._stats,
                    graded=self._stats.graded + 1,
                    errors=self._stats.errors + int(failed),
                    over_limit=self._stats.over_limit + int(over_limit),
                )
                failed = False
            self._changed.notify_all()
        if failed:
            self._on_event(f"grading {request.id} again: {grade.detail}")


def _last_grade(worker: WorkerProcess, request: GradeRequest, reason: str, cpu_seconds: float) -> Grade:
    """Of what a worker was grading when it ended."""
    if worker.over_time:
        return over_limit_grade(request, over_time(cpu_seconds))
    return Grade(Verdict.ERROR, 0.0, f"the grading worker {reason}")
