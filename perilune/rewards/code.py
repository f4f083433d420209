"""The code reward: the program in a response, run on the problem's tests in a sandbox."""

from __future__ import annotations

import shutil
from functools import lru_cache
from typing import Protocol

from perilune.errors import RewardError, SandboxError
from perilune.recipe.rewards import CodeRewardConfig
from perilune.sandbox.client import RemoteJudge
from perilune.sandbox.extraction import extract_program
from perilune.sandbox.judge import Judge, JudgeSettings
from perilune.sandbox.languages import languages
from perilune.sandbox.packages import find_packages
from perilune.sandbox.programs import Limits, Program
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import StdioTask, Task, complete_program, read_task
from perilune.sandbox.verdicts import OF_THE_TASK, Judgement, Outcome, told
from perilune.types import Explanation, Grade, Problem, Stop, Verdict

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
        in_thinking: whether the program may stand in the thinking.
    """

    def __init__(self, judge: Judging, format_weight: float = 0.0, *, in_thinking: bool = False) -> None:
        self._judge = judge
        self._format_weight = format_weight
        self._in_thinking = in_thinking

    def __call__(self, problem: Problem, response: str, stop: Stop) -> Grade:
        """Grade the response; a task that cannot be read is an error."""
        return self.explain(problem, response, stop).grade

    def check_reference(self, problem: Problem) -> None:
        """Read the task, look whether what it needs is there, and judge its own solution where it has one.

        Raises:
            ValueError: it is no task, cannot be run here, or takes its own solution for wrong; says why.
            SandboxError: nothing could be judged, which is the machine's fault.
        """
        task = _read_task(problem.answer)
        if isinstance(task, StdioTask):
            if task.checker.kind == "special":
                self._check_needs(task, Program(task.language, ""))
            return
        # Without a solution, a program that is none still shows whether the check itself can be run.
        own = complete_program(task, task.solution) if task.solution.strip() else ""
        judgement = self._check_needs(task, Program("python", own))
        if judgement.outcome is Outcome.INFRASTRUCTURE_ERROR:
            raise SandboxError(f"the task could not be tried: {judgement.detail}")
        if own and judgement.outcome is not Outcome.ACCEPTED:
            raise ValueError(f"the task does not accept its own solution: {judgement.outcome}: {judgement.detail}")

    def _check_needs(self, task: Task, program: Program) -> Judgement:
        """The judgement of a program, where the task itself can be run; ValueError where it cannot."""
        judgement = self._judge.judge(task, program)
        if judgement.outcome is Outcome.INFRASTRUCTURE_ERROR and judgement.detail.startswith(OF_THE_TASK):
            raise ValueError(judgement.detail)
        return judgement

    def explain(self, problem: Problem, response: str, stop: Stop) -> Explanation:
        """The grade, the program that was found, and how far it came."""
        try:
            task = _read_task(problem.answer)
        except ValueError as error:
            grade = Grade(Verdict.ERROR, 0.0, f"the problem's task: {error}")
            return Explanation(grade, rule="the task cannot be read")
        language, asked = (task.language, "") if isinstance(task, StdioTask) else ("python", task.entry_point)
        # Lone surrogates, which a tokenizer can leave, are in no file that a compiler reads.
        readable = response.encode("utf-8", errors="replace").decode("utf-8")
        text = extract_program(readable, language, entry_point=asked, in_thinking=self._in_thinking)
        if text is None:
            grade = Grade(Verdict.WRONG, 0.0, f"no fenced block with a {language} program")
            return Explanation(grade, reference=_described(task), rule="a program stands in a fenced block")
        judgement = self._judge.judge(task, Program(language, complete_program(task, text)))
        grade = grade_of(judgement, self._format_weight)
        return Explanation(
            grade,
            found=text,
            where=f"a fenced block of {language}",
            reference=_described(task),
            answer=_how_far(task, judgement),
            rule="every test must pass",
        )


def _described(task: Task) -> str:
    if isinstance(task, StdioTask):
        return f"{len(task.cases)} case(s) of input and output, compared as {task.checker.kind}"
    compared = "its own solution is known" if task.solution.strip() else "no solution is known"
    return f"a check of the function {task.entry_point}; {compared}"


def _how_far(task: Task, judgement: Judgement) -> str:
    """How many cases passed, of those that were run."""
    if not isinstance(task, StdioTask) or not judgement.cases:
        return ""
    passed = sum(case.outcome is Outcome.ACCEPTED for case in judgement.cases)
    left = len(task.cases) - len(judgement.cases)
    return f"{passed} of {len(judgement.cases)} case(s) passed" + (f", {left} not run" if left else "")


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
        return Judge(_sandbox(config).__enter__(), settings)
    return RemoteJudge(config.service, settings, patience_seconds=config.longest_seconds)


def judge_settings(config: CodeRewardConfig) -> JudgeSettings:
    """The judge's limits as the recipe sets them."""
    limits = Limits(config.cpu_seconds, config.wall_seconds, config.memory_mb, config.output_kb << 10)
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
        with _sandbox(config) as sandbox:
            _check_packages(config, sandbox)
            _check_standard(config, sandbox)


def _sandbox(config: CodeRewardConfig) -> Sandbox:
    """A sandbox of our own, of one worker, as the recipe sets it up."""
    packages = find_packages(config.packages, config.environment)
    spoken = languages(config.cpp_standard)
    return Sandbox(workers=1, mode=config.isolation, languages=spoken, packages=packages)


def _check_packages(config: CodeRewardConfig, sandbox: Sandbox) -> None:
    """Refuse a recipe that names packages which cannot be had; the default ones are offered where they are there."""
    if "packages" not in config.model_fields_set and config.environment is None:
        return
    found = find_packages(config.packages, config.environment)
    failed = sorted(set(found.preloaded) - sandbox.modules)
    if missing := [*found.missing, *failed]:
        where = f"in {config.environment}" if config.environment else "beside Perilune"
        raise RewardError(
            f"rewards.code.packages names {', '.join(missing)}, which cannot be imported {where} by this Python, or "
            "lacks a package that it needs: install it there, or leave the name out"
        )


def _check_standard(config: CodeRewardConfig, sandbox: Sandbox) -> None:
    """Refuse a standard of C++ that the compiler does not know; where there is no compiler, nothing is asked of it."""
    if "cpp_standard" not in config.model_fields_set or shutil.which("g++") is None:
        return
    submission = sandbox.run(Program("cpp", "int main() {}"), [])
    if not submission.compiled and submission.compile is not None:
        raise RewardError(f"rewards.code.cpp_standard = {config.cpp_standard!r}: {told(submission.compile)}")
