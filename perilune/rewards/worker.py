"""A grading process: takes one task at a time until the pool hangs up. Imports no torch."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from perilune.protocols import Explains, ReadsReferences, Reward
from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.limits import OverLimit, held_bytes, over_limit_grade, within
from perilune.rewards.messages import LEAVING, READY, STARTED, decode_task, encode_grade
from perilune.rewards.router import BUILT_IN, build_reward
from perilune.types import Explanation, Grade, GradeRequest, Problem, Verdict

_ORPHAN_MARGIN_SECONDS = 5.0


def main(descriptor: int, config_json: str, start_seconds: float) -> None:
    """Serve tasks from the socket ``descriptor`` until it closes; a reward may take ``start_seconds`` to import."""
    os.set_inheritable(descriptor, False)
    config = RewardsConfig.model_validate_json(config_json)
    # Where memory runs out, the kernel shall end a grading and not the training.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    rewards: dict[str, Reward] = {}
    held = held_bytes()  # With what the rewards bring with them, and without what gradings leave behind.
    with socket.socket(fileno=descriptor) as pool, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _say(pool, READY)
        for line in pool.makefile("rb"):
            request = decode_task(line)
            before = held_bytes()
            try:
                with _bounded(start_seconds):
                    reward = _built(request.problem.reward, config, rewards)
                held += held_bytes() - before
            except Exception as error:
                _say(pool, encode_grade(_failed(error)))
                continue
            _say(pool, STARTED)
            over_limit = False
            with _bounded(config.timeout_seconds):
                try:
                    found = _judged(reward, request, config)
                except OverLimit as error:
                    found, over_limit = over_limit_grade(request, str(error)), True
            leaving = held_bytes() > held + (config.memory_mb << 20)
            if leaving:
                _say(pool, LEAVING)
            _say(pool, encode_grade(found, over_limit=over_limit))
            if leaving:
                return


def _judged(reward: Reward, request: GradeRequest, config: RewardsConfig) -> Grade | Explanation:
    """What the reward finds.

    Raises:
        OverLimit: it would take more than it may.
    """
    judge = _explained if request.ask == "explanation" else _grade
    known = BUILT_IN.get(request.problem.reward)
    if known is not None and known.runs_programs:
        return judge(reward, request)
    return within(config.cpu_seconds, config.memory_mb, lambda: judge(reward, request))


def _say(pool: socket.socket, message: bytes) -> None:
    pool.sendall(message + b"\n")


def _built(name: str, config: RewardsConfig, rewards: dict[str, Reward]) -> Reward:
    if name not in rewards:
        rewards[name] = build_reward(name, config)
    return rewards[name]


def _explained(reward: Reward, request: GradeRequest) -> Grade | Explanation:
    if not isinstance(reward, Explains):
        return _grade(reward, request)
    try:
        found = reward.explain(request.problem, request.response, request.stop)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        return _failed(error)
    if isinstance(found, Explanation):
        return found
    return Grade(Verdict.ERROR, 0.0, f"the reward's explain returned a {type(found).__name__}, not an Explanation")


def _reading(reward: Reward, problem: Problem) -> Grade:
    """Whether the reference can be read; a reward that does not say can read all."""
    if isinstance(reward, ReadsReferences):
        try:
            reward.check_reference(problem)
        except ValueError as error:
            return Grade(Verdict.WRONG, 0.0, str(error))
    return Grade(Verdict.RIGHT, 1.0)


def _grade(reward: Reward, request: GradeRequest) -> Grade:
    try:
        if request.ask == "reference":
            return _reading(reward, request.problem)
        grade = reward(request.problem, request.response, request.stop)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        return _failed(error)
    if not isinstance(grade, Grade):
        return Grade(Verdict.ERROR, 0.0, f"the reward returned a {type(grade).__name__}, not a Grade")
    if grade.verdict is not Verdict.ERROR and not 0.0 <= grade.score <= 1.0:
        return Grade(Verdict.ERROR, 0.0, f"the reward gave the score {grade.score}, which is not in [0, 1]")
    return grade


def _failed(error: Exception) -> Grade:
    return Grade(Verdict.ERROR, 0.0, f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Let the kernel end this process if nobody else does: the pool may have been killed while this task runs."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds + _ORPHAN_MARGIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
