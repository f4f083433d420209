"""Functions and classes judged by a check, in two processes at a time that share no memory.

    the program's process  ◀── call this, with these ──   the check's process
                           ── a value, or an exception ──▶    its candidate is a stand-in that asks
                           ── call your function ──▶          where the check passed one

What the program does, it does among its own arguments and values: exit, printed lines, a patched ``assert`` or
``builtins``, objects that equal everything, stay in a process that says values and exceptions, and nothing about the
verdict. :mod:`perilune.sandbox.crossing` says how values cross. A task's own solution is judged in the same way, once:
what it does not pass is an error of the task, and how many calls it answers is remembered, for a program that ends the
check's loop early has not passed it.
"""

from __future__ import annotations

import ast
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Final

from perilune.sandbox.programs import Ending, Limits, Program, Run
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import FunctionTask, complete_program
from perilune.sandbox.verdicts import OF_THE_TASK, Judgement, Outcome, one_line, outcome_of, told

_REMEMBERED_TASKS = 4096
_LONGEST: Final = 16
"""How long one message may be, in output limits: what is told of a value is longer than the value printed."""


class TaskFault(Exception):
    """The task or the sandbox is at fault: nothing can be said of the program."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the check's process said, and how the program's process ended."""

    kind: str
    detail: str
    calls: int
    run: Run


class Functions:
    """Judges programs by checks; remembers how many calls each task's own solution answers. Thread-safe.

    Args:
        sandbox: open, and not closed here.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._known: OrderedDict[FunctionTask, int] = OrderedDict()
        self._lock = threading.Lock()

    def judge(self, task: FunctionTask, source: str, limits: Limits) -> Judgement:
        """Judge a program.

        Args:
            task: the check, and what it needs.
            source: the whole program that defines the function or class.
            limits: for all calls together; the check itself may take the same once more.
        """
        try:
            calls = self.answered_calls(task, limits)
            heard = self._heard(task, source, limits)
            if isinstance(heard, Run):
                # With the solution's values it could: these values are such that no check can finish on them.
                outcome = outcome_of(heard)
                outcome = Outcome.WRONG_ANSWER if outcome is Outcome.ACCEPTED else outcome
                return Judgement(outcome, f"the check could not finish on the function's values: {told(heard)}")
        except TaskFault as fault:
            return Judgement(Outcome.INFRASTRUCTURE_ERROR, one_line(str(fault)))
        return _judged(heard, calls)

    def answered_calls(self, task: FunctionTask, limits: Limits) -> int:
        """How many calls the task's own solution answers, 0 where there is none.

        Raises:
            TaskFault: it does not pass its check, or the sandbox failed.
        """
        if not task.solution:
            return 0
        with self._lock:
            if task in self._known:
                self._known.move_to_end(task)
                return self._known[task]
        heard = self._heard(task, complete_program(task, task.solution), limits)
        if isinstance(heard, Run):
            raise TaskFault(f"{OF_THE_TASK}own solution did not finish its check: {heard.ending.value}")
        if heard.kind == "lost":
            reason = heard.run.ending.value if heard.run.ending is not Ending.EXITED else heard.detail
            raise TaskFault(f"{OF_THE_TASK}own solution did not finish its check: {reason}")
        if heard.kind != "passed":
            raise TaskFault(f"{OF_THE_TASK}own solution does not pass its check: {heard.detail}")
        with self._lock:
            self._known[task] = heard.calls
            while len(self._known) > _REMEMBERED_TASKS:
                self._known.popitem(last=False)
        return heard.calls

    def _heard(self, task: FunctionTask, source: str, limits: Limits) -> _Heard | Run:
        """What the check says of a program, or the check's run where it says nothing."""
        context = complete_program(task, task.solution) if task.solution else _closed(task.prompt)
        common = {"entry_point": task.entry_point, "longest": _LONGEST * limits.output_bytes}
        asked = {"context": context, "prompt": _closed(task.prompt), "check": task.check}
        programs = (_program("p", {"source": source, **common}), _program("c", {**asked, **common}))
        # Each waits while the other works.
        patient = replace(limits, wall_seconds=2 * limits.wall_seconds)
        run, check = self._sandbox.run_pair(*programs, patient, mentioned=(source, f"{context}\n{task.check}"))
        for one in (run, check):
            if one.ending is Ending.INFRASTRUCTURE:
                raise TaskFault(one.detail)
        try:
            kind, detail, calls = json.loads(check.stdout)
        except (ValueError, TypeError):
            return check
        if kind in {"context", "check"}:
            part = "check" if kind == "check" else "own solution" if task.solution else "prompt"
            raise TaskFault(f"{OF_THE_TASK}{part} cannot be run: {detail}")
        if kind == "passed" and not calls:
            raise TaskFault(f"{OF_THE_TASK}check never calls the candidate, so it would pass every program")
        return _Heard(str(kind), str(detail), int(calls), run)


def _program(side: str, request: dict[str, Any]) -> Program:
    # What runs of a pair find among their names.
    return Program("python", f"start({side!r}, {json.dumps(request)!r})\n")


def _closed(prompt: str) -> str:
    """A prompt as a program: a function that it leaves open gets a body."""
    try:
        ast.parse(prompt)
    except (SyntaxError, ValueError):
        return f"{prompt}\n    pass\n"
    return prompt


def _judged(heard: _Heard, calls: int) -> Judgement:
    if heard.kind == "passed":
        if heard.calls < calls:
            detail = f"the check came to its end after {heard.calls} calls, and with the task's solution after {calls}"
            return Judgement(Outcome.WRONG_ANSWER, detail)
        return Judgement(Outcome.ACCEPTED, f"the check passed after {heard.calls} calls")
    if heard.kind == "lost":
        return _gave_no_value(heard)
    if heard.kind == "refused":
        return Judgement(Outcome.WRONG_ANSWER, one_line(f"after {heard.calls} calls: {heard.detail}"))
    outcome = Outcome.COMPILE_ERROR if heard.kind == "syntax" else Outcome.RUNTIME_ERROR
    if heard.detail.startswith("MemoryError"):
        outcome = Outcome.MEMORY_LIMIT
    return Judgement(outcome, one_line(heard.detail))


def _gave_no_value(heard: _Heard) -> Judgement:
    outcome = outcome_of(heard.run)
    outcome = Outcome.RUNTIME_ERROR if outcome is Outcome.ACCEPTED else outcome
    reason = told(heard.run) if heard.run.ending is not Ending.EXITED or heard.run.exit_code else heard.detail
    if "too long" in heard.detail:
        outcome, reason = Outcome.OUTPUT_LIMIT, heard.detail
    return Judgement(outcome, one_line(f"call {heard.calls} gave no value: {reason}"))
