"""A program, not a test: imports what a run needs once, then forks a process for each command that it is given.

A job comes as a line of JSON on standard input; its process id, and in the end its exit status, go back as lines. The
child notes in files what it is doing, so that a test knows when to kill it:

    phases   "begin rollout", "end rollout" …; grading is the wait for the last grades
    asked    what the engine is asked to generate: seed of the response, tokens of it that are there, policy version
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import perilune.build
import perilune.stages.pipeline  # noqa: F401
from perilune.backends.engines.local import LocalEngine
from perilune.cli import main
from perilune.rewards.pool import GradingPool
from perilune.run.timing import Clock
from perilune.types import Completion, Request


def observe(job: dict[str, Any]) -> None:
    """Note phases and requests, and change nothing else."""
    phases = os.open(job["phases"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    asked = os.open(job["asked"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    phase, drain, generate = Clock.phase, GradingPool.drain, LocalEngine.generate

    @contextmanager
    def noted(name: str) -> Iterator[None]:
        os.write(phases, f"begin {name}\n".encode())
        try:
            yield
        finally:
            os.write(phases, f"end {name}\n".encode())

    @contextmanager
    def noted_phase(self: Clock, name: str) -> Iterator[None]:
        with noted(name), phase(self, name):
            yield

    def noted_drain(self: GradingPool) -> Any:
        with noted("grading"):
            return list(drain(self))

    def noted_generate(self: LocalEngine, requests: Sequence[Request]) -> Iterator[Completion]:
        for request in requests:
            os.write(asked, f"{request.seed} {len(request.response_tokens)} {self.version}\n".encode())
        return generate(self, requests)

    Clock.phase = noted_phase  # type: ignore[method-assign]
    GradingPool.drain = noted_drain  # type: ignore[method-assign]
    LocalEngine.generate = noted_generate  # type: ignore[method-assign]


def run(job: dict[str, Any]) -> int:
    """In the child: one command."""
    os.setsid()
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.path[:0] = job["path"]
    observe(job)
    status = main(job["arguments"])
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if not child:
            code = 99
            try:
                code = run(json.loads(line))
            finally:
                os._exit(code)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, ended = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(ended)}\n")
        sys.stdout.flush()
