"""The judge: a program and a task to a verdict that the program cannot forge.

Expected outputs never enter the sandbox; what a program printed is compared here, after it has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from perilune.sandbox.checkers import difference
from perilune.sandbox.functions import Functions
from perilune.sandbox.imports import unoffered
from perilune.sandbox.programs import Limits, Program, Run, Submission
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.special import ask_special_judge
from perilune.sandbox.tasks import Case, Checker, FunctionTask, StdioTask, Task, lowered
from perilune.sandbox.verdicts import CaseResult, Judgement, Outcome, one_line, outcome_of, told


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """How strictly and how long."""

    limits: Limits = field(default_factory=Limits)
    """For each case, or for all calls of a function together; a task's own limits may lower them."""
    total_seconds: float = 30.0
    """Wall time that the cases may take together; beyond it the verdict is time limit."""
    stop_at_first: bool = True
    """Leave the cases after the first failure out."""


class Judge:
    """Judges programs in a sandbox; as thread-safe as the sandbox is.

    Args:
        sandbox: open, and not closed here.
        settings: limits.
        functions: what judges functions, where it is shared with another judge.
    """

    def __init__(
        self, sandbox: Sandbox, settings: JudgeSettings | None = None, functions: Functions | None = None
    ) -> None:
        self._sandbox = sandbox
        self._settings = settings or JudgeSettings()
        self._functions = functions or Functions(sandbox)

    def under(self, settings: JudgeSettings) -> Judge:
        """The same judge with other settings; what it knows of functions' tasks is shared."""
        return Judge(self._sandbox, settings, self._functions)

    def judge(self, task: Task, program: Program) -> Judgement:
        """Run the program on the task; an error of ours is an outcome, not an exception."""
        if missing := unoffered(task, lambda: self._sandbox.modules):
            return Judgement(Outcome.INFRASTRUCTURE_ERROR, missing)
        limits = lowered(self._settings.limits, task.cpu_seconds, task.memory_mb)
        if isinstance(task, FunctionTask):
            return self._function(task, program, limits)
        return self._stdio(task, program, limits)

    def _stdio(self, task: StdioTask, program: Program, limits: Limits) -> Judgement:
        results: list[CaseResult] = []
        spent = 0.0

        def look(run: Run) -> bool:
            nonlocal spent
            spent += run.wall_seconds
            results.append(case_result(run, task.cases[len(results)], task.checker))
            failed = results[-1].outcome is not Outcome.ACCEPTED
            return spent > self._settings.total_seconds or (failed and self._settings.stop_at_first)

        inputs = [case.input.encode("utf-8", errors="surrogateescape") for case in task.cases]
        submission = self._sandbox.run(program, inputs, limits, look)
        if not submission.compiled:
            return _not_compiled(submission)
        if task.checker.kind == "special":
            results = self._specially_judged(task, submission.runs, results)
        return _judgement(results, len(task.cases), self._settings)

    def _specially_judged(
        self, task: StdioTask, runs: Sequence[Run], results: Sequence[CaseResult]
    ) -> list[CaseResult]:
        """What ended well is given to the task's own judge, which runs in the sandbox too."""
        ended_well = [place for place, result in enumerate(results) if result.outcome is Outcome.ACCEPTED]
        asked = [(task.cases[place], runs[place].stdout) for place in ended_well]
        opinions = ask_special_judge(
            self._sandbox, task.checker, asked, self._settings.limits, self._settings.total_seconds
        )
        judged = list(results)
        for place, opinion in zip(ended_well, opinions, strict=True):
            outcome = {
                True: Outcome.ACCEPTED,
                False: Outcome.WRONG_ANSWER,
                None: Outcome.INFRASTRUCTURE_ERROR,
            }[opinion.accepted]
            judged[place] = replace(results[place], outcome=outcome, detail=opinion.detail)
        return judged

    def _function(self, task: FunctionTask, program: Program, limits: Limits) -> Judgement:
        if program.language != "python":
            return Judgement(Outcome.COMPILE_ERROR, f"a Python function is asked for, not {program.language}")
        return self._functions.judge(task, program.source, limits)


def case_result(run: Run, case: Case, checker: Checker) -> CaseResult:
    """One run against one case; with a special judge, a run that ended well counts as accepted for now."""
    outcome, detail = outcome_of(run), ""
    if outcome is not Outcome.ACCEPTED:
        detail = told(run)
    elif checker.kind != "special":
        expected = case.output.encode("utf-8", errors="surrogateescape")
        if found := difference(checker, expected, run.stdout):
            outcome, detail = Outcome.WRONG_ANSWER, one_line(found)
    return CaseResult(outcome, detail, run.cpu_seconds, run.wall_seconds, run.peak_memory_mb)


def _judgement(results: Sequence[CaseResult], count: int, settings: JudgeSettings) -> Judgement:
    """The first failure that is the program's own decides; an error of ours counts where there is none."""
    bad = [(place, result) for place, result in enumerate(results, 1) if result.outcome is not Outcome.ACCEPTED]
    own = [(place, result) for place, result in bad if result.outcome is not Outcome.INFRASTRUCTURE_ERROR]
    if bad:
        place, first = (own or bad)[0]
        return Judgement(first.outcome, f"case {place} of {count}: {first.outcome}, {first.detail}", tuple(results))
    if len(results) < count:
        detail = f"{len(results)} of {count} cases took more than {settings.total_seconds:g} s together"
        return Judgement(Outcome.TIME_LIMIT, detail, tuple(results))
    return Judgement(Outcome.ACCEPTED, f"{count} cases passed", tuple(results))


def _not_compiled(submission: Submission) -> Judgement:
    run = submission.compile
    assert run is not None
    ours = outcome_of(run) is Outcome.INFRASTRUCTURE_ERROR
    return Judgement(Outcome.INFRASTRUCTURE_ERROR if ours else Outcome.COMPILE_ERROR, told(run))
