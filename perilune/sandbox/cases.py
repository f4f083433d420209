"""Test cases for problems that have right submissions but no tests (k1.5, section 2.3.5).

statement → a generator → inputs, made twice → outputs of submissions → a vote → a task, or a reason why not
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from perilune.recipe.cases import CasesConfig
from perilune.sandbox.checkers import difference
from perilune.sandbox.consensus import vote
from perilune.sandbox.cyaron import generator_program
from perilune.sandbox.programs import Ending, Limits, Program, Run
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.tasks import Case, Checker, StdioTask, lowered
from perilune.sandbox.verdicts import told


@dataclass(frozen=True, slots=True)
class SolvedProblem:
    """A problem with right submissions, and no tests yet."""

    id: str
    statement: str
    submissions: tuple[Program, ...]
    special_judge: bool = False
    """Whether several outputs can be right; then a vote says nothing."""
    checker: Checker = field(default_factory=Checker)
    validator: Program | None = None
    """Exits with status 0 exactly if its standard input is a valid input."""
    generator: str | None = None
    """A generator that is there already; otherwise a model is asked for one."""
    language: str = "python"
    """The language that responses are expected in."""
    cpu_seconds: float | None = None
    memory_mb: int | None = None
    tags: tuple[str, ...] = ()
    difficulty: float | None = None


class Hurdle(StrEnum):
    """What a problem has to pass, in order; the funnel counts who passed."""

    PLAIN = "without a special judge"
    SOLVED = "with enough submissions"
    WRITTEN = "a generator was written"
    REPEATABLE = "the generator repeats itself"
    VARIED = "enough different valid inputs"
    VALID = "enough valid cases"
    KEPT = "enough submissions pass them all"


HURDLES = tuple(Hurdle)


@dataclass(frozen=True, slots=True)
class Made:
    """What came of one problem."""

    problem: SolvedProblem
    task: StdioTask | None = None
    """Its tests, where it is kept."""
    failed: Hurdle | None = None
    """The hurdle that it did not pass; None where it is kept or there was an error."""
    error: str = ""
    """What went wrong on our side; the problem is neither kept nor refused."""
    detail: str = ""
    inputs: int = 0
    """Different valid inputs."""
    valid_cases: int = 0
    right_submissions: int = 0


class _Refused(Exception):
    def __init__(self, hurdle: Hurdle, detail: str) -> None:
        super().__init__(detail)
        self.hurdle = hurdle


class _Failed(Exception):
    """The sandbox failed."""


@dataclass(frozen=True, slots=True)
class CaseMaker:
    """Makes the cases of one problem after another.

    Args:
        sandbox: open, and knows :func:`perilune.sandbox.cyaron.generator_language`.
        config: how many, and how much agreement.
        limits: of generators, validators and submissions; a problem's own apply to its submissions.
        workers: submissions run at once.
        seed: which submissions are drawn.
    """

    sandbox: Sandbox
    config: CasesConfig = field(default_factory=CasesConfig)
    limits: Limits = field(default_factory=Limits)
    workers: int = 2
    seed: int = 0

    def make(self, problem: SolvedProblem, generator: str | None) -> Made:
        """Take one problem over the hurdles.

        Args:
            problem: statement and submissions.
            generator: the generator's text; None if none was written.
        """
        inputs: list[bytes] = []
        try:
            self._check(problem, generator)
            inputs = self._inputs(problem, generator or "")
            return self._voted(problem, inputs)
        except _Refused as refused:
            return Made(problem, failed=refused.hurdle, detail=str(refused), inputs=len(inputs))
        except _Failed as failed:
            return Made(problem, error=str(failed), inputs=len(inputs))

    def _check(self, problem: SolvedProblem, generator: str | None) -> None:
        needed = self.config.submissions
        if problem.special_judge:
            raise _Refused(Hurdle.PLAIN, "several outputs can be right")
        if len(problem.submissions) < needed:
            raise _Refused(Hurdle.SOLVED, f"{len(problem.submissions)} submissions, {needed} are needed")
        if generator is None:
            raise _Refused(Hurdle.WRITTEN, "the response has no program")

    def _inputs(self, problem: SolvedProblem, generator: str) -> list[bytes]:
        """Different valid inputs, in the order of their cases."""
        program = generator_program(generator)
        numbers = [f"{number}\n".encode() for number in range(1, self.config.cases + 1)]
        first, second = (self._run(program, numbers, self.limits) for _ in range(2))
        changed = [k for k, (a, b) in enumerate(zip(first, second, strict=True), 1) if _changed(a, b)]
        if changed:
            raise _Refused(Hurdle.REPEATABLE, f"case {changed[0]} came out differently the second time")
        made = [run.stdout for run, again in zip(first, second, strict=True) if _good(run) and _good(again)]
        different = [text for text in dict.fromkeys(made) if _is_text(text)]
        valid = self._validated(problem, different)
        if len(valid) < self.config.valid_cases:
            broken = next((told(run) for run in first if not _good(run)), "")
            counts = f"{len(made)} made, {len(different)} different, {len(valid)} valid"
            raise _Refused(Hurdle.VARIED, f"{counts}{f'; first failure: {broken}' if broken else ''}")
        return valid

    def _validated(self, problem: SolvedProblem, inputs: list[bytes]) -> list[bytes]:
        if problem.validator is None or not inputs:
            return inputs
        runs = self._run(problem.validator, inputs, self.limits)
        return [
            text for text, run in zip(inputs, runs, strict=True) if run.ending is Ending.EXITED and not run.exit_code
        ]

    def _voted(self, problem: SolvedProblem, inputs: list[bytes]) -> Made:
        limits = lowered(self.limits, problem.cpu_seconds, problem.memory_mb)
        drawn = Random(f"{self.seed}/{problem.id}").sample(problem.submissions, self.config.submissions)
        with ThreadPoolExecutor(self.workers) as threads:
            outputs = list(threads.map(lambda program: self._outputs(program, inputs, limits), drawn))
        found = vote(outputs, self.config, lambda want, got: difference(problem.checker, want, got) is None)
        cases = tuple(
            Case(given.decode(), output.decode())
            for given, output in zip(inputs, found.expected, strict=True)
            if output is not None
        )
        failed = None
        if found.valid < self.config.valid_cases:
            failed = Hurdle.VALID
        elif found.right < self.config.passing:
            failed = Hurdle.KEPT
        task = StdioTask(cases, problem.checker, problem.language, problem.cpu_seconds, problem.memory_mb)
        detail = f"{found.valid} valid cases of {len(inputs)}, {found.right} of {len(drawn)} submissions pass them"
        return Made(problem, None if failed else task, failed, "", detail, len(inputs), found.valid, found.right)

    def _outputs(self, program: Program, inputs: Sequence[bytes], limits: Limits) -> list[bytes | None]:
        """Only a run that ended well and printed text has a vote."""
        runs = self._run(program, inputs, limits, compiles=False)
        return [run.stdout if _good(run) and _is_text(run.stdout) else None for run in runs] or [None] * len(inputs)

    def _run(
        self, program: Program, inputs: Sequence[bytes], limits: Limits, *, compiles: bool = True
    ) -> tuple[Run, ...]:
        submission = self.sandbox.run(program, inputs, limits)
        failures = [
            run for run in (submission.compile, *submission.runs) if run and run.ending is Ending.INFRASTRUCTURE
        ]
        if failures:
            raise _Failed(told(failures[0]))
        if compiles and not submission.compiled:
            raise _Failed(f"the {program.language} program of the problem does not compile")
        return submission.runs


def funnel(made: Iterable[Made]) -> dict[str, int]:
    """How many problems there were, how many passed each hurdle after the ones before, and how many met an error."""
    results = list(made)
    reached = Counter(len(HURDLES) if m.failed is None else HURDLES.index(m.failed) for m in results if not m.error)
    passed = {hurdle.value: sum(n for far, n in reached.items() if far > i) for i, hurdle in enumerate(HURDLES)}
    return {"problems": len(results), **passed, "errors": sum(bool(m.error) for m in results)}


def _good(run: Run) -> bool:
    return run.ending is Ending.EXITED and run.exit_code == 0 and bool(run.stdout.strip())


def _changed(run: Run, again: Run) -> bool:
    """Both ended well, and differ; a run that met a limit on a busy machine is no sign of chance."""
    return _good(run) and _good(again) and run.stdout != again.stdout


def _is_text(output: bytes) -> bool:
    try:
        output.decode()
    except UnicodeDecodeError:
        return False
    return True
