"""The code reward: the program in a response, run on the problem's tests in a sandbox."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from perilune.recipe.rewards import CodeRewardConfig
from perilune.sandbox.client import RemoteJudge
from perilune.sandbox.extraction import extract_program
from perilune.sandbox.judge import Judge, JudgeSettings
from perilune.sandbox.programs import Limits, Program
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import StdioTask, Task, complete_program, read_task
from perilune.sandbox.verdicts import Judgement, Outcome
from perilune.types import Grade, Problem, Stop, Verdict

_read_task = lru_cache(maxsize=256)(read_task)


class Judging(Protocol):
    """A :class:`perilune.sandbox.judge.Judge`, or a :class:`perilune.sandbox.client.RemoteJudge`."""

    def judge(self, task: Task, program: Program) -> Judgement:
        """Run the program on the task."""
        ...


class CodeReward:
    """Right if the program passes every test; some of them earn nothing (k1.5's rewards are 0 or 1).

    ``Problem.answer`` is a task as JSON (:mod:`perilune.sandbox.tasks`). An infrastructure error is an error.

    Args:
        judge: what the program is given to: one of our own, or a service.
        format_weight: score of a wrong response that has a program in its form.
    """

    def __init__(self, judge: Judging, format_weight: float = 0.0) -> None:
        self._judge = judge
        self._format_weight = format_weight

    def __call__(self, problem: Problem, response: str, stop: Stop) -> Grade:
        """Grade the response; a task that cannot be read is an error."""
        try:
            task = _read_task(problem.answer)
        except ValueError as error:
            return Grade(Verdict.ERROR, 0.0, f"the problem's task: {error}")
        language = task.language if isinstance(task, StdioTask) else "python"
        # Lone surrogates, which a tokenizer can leave, are in no file that a compiler reads.
        text = extract_program(response.encode("utf-8", errors="replace").decode("utf-8"), language)
        if text is None:
            return Grade(Verdict.WRONG, 0.0, f"no fenced block with a {language} program")
        judgement = self._judge.judge(task, Program(language, complete_program(task, text)))
        return grade_of(judgement, self._format_weight)


def grade_of(judgement: Judgement, format_weight: float = 0.0) -> Grade:
    """A judgement as a grade."""
    detail = f"{judgement.outcome}: {judgement.detail}"
    if judgement.outcome is Outcome.ACCEPTED:
        return Grade(Verdict.RIGHT, 1.0, detail)
    if judgement.outcome is Outcome.INFRASTRUCTURE_ERROR:
        return Grade(Verdict.ERROR, 0.0, detail)
    return Grade(Verdict.WRONG, format_weight, detail)


def build_judge(config: CodeRewardConfig) -> Judging:
    """The judge that the recipe names; a sandbox of our own lives as long as this process.

    Raises:
        SandboxUnavailable: this machine cannot isolate programs.
        RewardError: the service's address is none, or its client is not installed.
    """
    settings = judge_settings(config)
    if config.service is None:
        return Judge(Sandbox(workers=1, mode=config.isolation).__enter__(), settings)
    return RemoteJudge(config.service, settings, patience_seconds=config.longest_seconds)


def judge_settings(config: CodeRewardConfig) -> JudgeSettings:
    """The judge's limits as the recipe sets them."""
    limits = Limits(config.cpu_seconds, config.wall_seconds, config.memory_mb)
    return JudgeSettings(limits, config.total_seconds, config.stop_at_first)


def check_code_reward(config: CodeRewardConfig) -> None:
    """Say before a run begins that its programs could not be judged.

    Raises:
        SandboxUnavailable: this machine cannot isolate programs.
        RewardError: the service does not answer, or not to us.
    """
    if config.service is not None:
        with RemoteJudge(config.service, judge_settings(config), patience_seconds=10.0) as judge:
            judge.check()
    else:
        with Sandbox(workers=1, mode=config.isolation):
            pass
