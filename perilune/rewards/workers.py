"""One worker process as the pool sees it: started, spoken to, and ended for good."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.channel import Channel
from perilune.rewards.limits import OVER_TIME_SIGNAL
from perilune.rewards.messages import encode_task
from perilune.types import GradeRequest

# The worker finds modules where this process does, users' own rewards among them.
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[4]); from perilune.rewards.worker import main; "
_BOOT += "main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))"

_REAP_SECONDS = 5.0
"""A killed process is gone at once unless the kernel holds it; then it is left to the kernel."""


class WorkerProcess:
    """A fresh interpreter: not a fork, so that it holds neither this process's memory nor its GPU.

    It leads its own session: Ctrl-C does not reach it, and whatever it starts can be ended with it.

    Args:
        number: its place in the pool, for messages.
        config: the recipe's [rewards].
        start_seconds: how long it may take to say that it is ready, and to build a reward.

    Raises:
        OSError: the system starts no further process.
    """

    def __init__(self, number: int, config: RewardsConfig, start_seconds: float) -> None:
        self.number = number
        self.task: GradeRequest | None = None
        self.ready = False
        self.leaving = False
        self._config = config
        self._start_seconds = start_seconds
        self.limit_seconds = start_seconds
        self.deadline: float | None = time.monotonic() + start_seconds
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        arguments = [str(theirs.fileno()), config.model_dump_json(), str(start_seconds), json.dumps(sys.path)]
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _BOOT, *arguments],
                    pass_fds=[theirs.fileno()],
                    # A copy: another thread's setenv moves the process's own, which the new one would be reading.
                    env=dict(os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=2,
                    start_new_session=True,
                )
            except OSError:
                self.channel.close()
                raise

    def assign(self, task: GradeRequest) -> None:
        """Give it a task; it must be ready and idle.

        Raises:
            OSError: it has died meanwhile.
        """
        self.task = task
        self._began = time.monotonic()
        self._limit(self._start_seconds)
        self.channel.send(encode_task(task))

    def started(self) -> None:
        """Its reward is built: the time limit of the task runs from now."""
        self._began = time.monotonic()
        self._limit(self._config.timeout_seconds)

    def busy_seconds(self) -> float:
        """How long it has been grading its task."""
        return time.monotonic() - self._began

    def idle(self) -> None:
        """It has no task, and may wait as long as it likes."""
        self.task = None
        self.deadline = None

    def kill(self) -> None:
        """Hang up, and kill it and all it started, once."""
        if not self.channel.closed:
            self.channel.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> bool:
        """Kill it and wait a little; true when it is gone."""
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_REAP_SECONDS)
        return self._process.returncode is not None

    @property
    def over_time(self) -> bool:
        """Whether the kernel ended it because its grading would not come to an end; after :meth:`exit_text`."""
        return self._process.returncode == -OVER_TIME_SIGNAL

    def exit_text(self) -> str:
        """End it, and say how it ended."""
        # A process that hung up by itself is about to be reaped; its own exit status says more than our SIGKILL.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)
        code = self._process.returncode
        self.end()
        if code is None:
            return "it hung up and was ended"
        if code == -signal.SIGKILL:
            return "signal SIGKILL, which is also how the kernel ends a process when memory runs out"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def _limit(self, seconds: float) -> None:
        self.limit_seconds = seconds
        self.deadline = time.monotonic() + seconds
