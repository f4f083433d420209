"""Functions judged by a check function, in rounds, so that candidate and check never share a process.

    the check, with the reference behind it  →  the calls that it makes        (once for each task)
    the candidate, on all these calls        →  values and exceptions
    the check, with these answers            →  passed, or refused, or one more call: once around again

What the candidate does, it does among its own arguments and values: exit, printed lines, a patched ``assert`` or
``builtins``, objects that equal everything, stay in a process whose only product is plain values. Values are compared
as None, bool, int, float, complex, str, bytes, list, tuple, dict, set, range, or an iterator of these; any other kind
equals nothing. Arguments changed in place come back changed. All calls of a round run in one process, in the check's
order; a further round starts anew.
"""

from __future__ import annotations

import ast
import json
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from perilune.sandbox.programs import Ending, Limits, Program, Run
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import FunctionTask, complete_program
from perilune.sandbox.verdicts import Judgement, Outcome, one_line, outcome_of, told

_MOST_ROUNDS = 64
_REMEMBERED_TASKS = 4096
_HARNESS = files("perilune.sandbox").joinpath("calls_harness.py").read_text(encoding="utf-8")
_CANDIDATE = Program("python", f"{_HARNESS}\n\nmain(run_candidate)\n")
_CHECK = Program("python", f"{_HARNESS}\n\nmain(run_check)\n")

Call = Any
"""Arguments and named arguments, encoded."""


class _Fault(Exception):
    """The task or the sandbox is at fault: nothing can be said of the program."""


@dataclass(frozen=True, slots=True)
class _Checked:
    kind: str
    detail: Any
    calls: list[Call]


class FunctionRounds:
    """Plays the rounds; remembers each task's calls. Thread-safe."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._known: OrderedDict[FunctionTask, list[Call]] = OrderedDict()
        self._lock = threading.Lock()

    def play(self, task: FunctionTask, source: str, limits: Limits, total_seconds: float) -> Judgement:
        """Judge a candidate.

        Args:
            task: the check, and what it needs.
            source: the whole program that defines the function.
            limits: for all calls of a round together; the check itself may take the same once more.
            total_seconds: no further round begins after it.
        """
        deadline = time.monotonic() + total_seconds
        try:
            calls = self._reference_calls(task, limits)
            for number in range(_MOST_ROUNDS):
                if number and time.monotonic() > deadline:
                    break
                found = self._round(task, source, calls, limits)
                if isinstance(found, Judgement):
                    return found
                calls = [*calls, found.detail]
        except _Fault as fault:
            return Judgement(Outcome.INFRASTRUCTURE_ERROR, one_line(str(fault)))
        except RecursionError:
            # Of a call that passes one of the function's values on: the task's own arguments went through before.
            return Judgement(Outcome.RUNTIME_ERROR, "a value of the function is nested too deeply to be passed on")
        return Judgement(
            Outcome.INFRASTRUCTURE_ERROR,
            f"the check makes other calls each time, or too many one by one (stopped after {len(calls)}); give the "
            "task a solution, from which all calls are learnt at once",
        )

    def _round(self, task: FunctionTask, source: str, calls: list[Call], limits: Limits) -> Judgement | _Checked:
        """One round: a verdict, or the check where it made a call without an answer."""
        run, lines = self._answers(task, source, calls, limits)
        if lines and (refused := _refused_to_start(lines[0])):
            return refused
        if len(lines) < len(calls):
            return _ended_early(run, len(lines), len(calls))
        checked = self._check(task, list(zip(calls, lines, strict=False)), limits, record=False)
        if isinstance(checked, Run):
            # With the solution's values it could: these values are such that no check can finish on them.
            outcome = outcome_of(checked)
            outcome = Outcome.WRONG_ANSWER if outcome is Outcome.ACCEPTED else outcome
            return Judgement(outcome, f"the check could not finish on the function's values: {told(checked)}")
        return checked if checked.kind == "unanswered" else _judged(checked)

    def _reference_calls(self, task: FunctionTask, limits: Limits) -> list[Call]:
        if not task.solution:
            return []
        with self._lock:
            if task in self._known:
                self._known.move_to_end(task)
                return self._known[task]
        checked = self._check(task, [], limits, record=True)
        if isinstance(checked, Run):
            raise _Fault(f"the task's own solution did not finish its check: {checked.ending.value}")
        if checked.kind != "passed":
            raise _Fault(f"the task's own solution does not pass its check: {checked.detail}")
        with self._lock:
            self._known[task] = checked.calls
            while len(self._known) > _REMEMBERED_TASKS:
                self._known.popitem(last=False)
        return checked.calls

    def _answers(self, task: FunctionTask, source: str, calls: list[Call], limits: Limits) -> tuple[Run, list[str]]:
        request = {"source": source, "entry_point": task.entry_point, "calls": calls}
        run = self._run(_CANDIDATE, request, limits)
        # Written by the candidate's own process: data for the check, no more.
        return run, run.stdout.decode("utf-8", errors="replace").split("\n")[:-1]

    def _check(
        self, task: FunctionTask, answers: list[tuple[Call, str]], limits: Limits, *, record: bool
    ) -> _Checked | Run:
        """The check's finding, or its run if it could not come to one."""
        request = {
            "context": complete_program(task, task.solution) if task.solution else _closed(task.prompt),
            "check": task.check,
            "entry_point": task.entry_point,
            "has_solution": bool(task.solution),
            "answers": answers,
            "record": record,
        }
        run = self._run(_CHECK, request, limits)
        try:
            checked = _Checked(*json.loads(run.stdout))
        except (ValueError, TypeError):
            return run
        if checked.kind == "broken":
            raise _Fault(f"the task's check cannot be run: {checked.detail}")
        if checked.kind == "passed" and not checked.calls:
            raise _Fault("the task's check never calls the candidate, so it would pass every program")
        return checked

    def _run(self, program: Program, request: dict[str, Any], limits: Limits) -> Run:
        submission = self._sandbox.run(program, [json.dumps(request).encode("ascii")], limits)
        if submission.runs:
            run = submission.runs[0]
            if run.ending is Ending.INFRASTRUCTURE:
                raise _Fault(run.detail)
            return run
        reason = submission.compile.detail if submission.compile else "nothing was run"
        raise _Fault(f"the harness does not run: {reason}")


def _closed(prompt: str) -> str:
    """A prompt as a program: a function that it leaves open gets a body."""
    try:
        ast.parse(prompt)
    except (SyntaxError, ValueError):
        return f"{prompt}\n    pass\n"
    return prompt


def _refused_to_start(line: str) -> Judgement | None:
    kind, detail = _parsed(line)
    outcome = {"syntax": Outcome.COMPILE_ERROR, "failed": Outcome.RUNTIME_ERROR}.get(kind)
    return Judgement(outcome, one_line(detail)) if outcome else None


def _ended_early(run: Run, done: int, count: int) -> Judgement:
    outcome = outcome_of(run)
    outcome = Outcome.RUNTIME_ERROR if outcome is Outcome.ACCEPTED else outcome
    return Judgement(outcome, one_line(f"call {done + 1} of {count} gave no value: {told(run)}"))


def _judged(checked: _Checked) -> Judgement:
    count = len(checked.calls)
    if checked.kind == "passed":
        return Judgement(Outcome.ACCEPTED, f"the check passed after {count} calls")
    if checked.kind == "raised":
        exhausted = str(checked.detail).startswith("MemoryError")
        return Judgement(Outcome.MEMORY_LIMIT if exhausted else Outcome.RUNTIME_ERROR, one_line(f"{checked.detail}"))
    return Judgement(Outcome.WRONG_ANSWER, one_line(f"after {count} calls: {checked.detail}"))


def _parsed(line: str) -> tuple[str, str]:
    try:
        kind, detail, *_ = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return "", ""
    return str(kind), str(detail)
