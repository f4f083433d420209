"""A reference answer must pass its own reward: else no response can be judged by it (k1.5, section 2.1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from perilune.curation.fates import Dropped, Reason
from perilune.errors import PeriluneError
from perilune.rewards.answers import AnswerForm
from perilune.rewards.pool import GradingPool
from perilune.rewards.router import check_reward_name
from perilune.sandbox.tasks import FunctionTask, read_task
from perilune.types import GradeRequest, Problem, Verdict


def reference_response(problem: Problem, form: AnswerForm) -> str | None:
    """A response that gives the reference answer; None where the reference holds none: a puzzle, or tests alone.

    Raises:
        ValueError: the reference is not of the form that its reward reads.
    """
    if problem.reward == "countdown":
        puzzle = json.loads(problem.answer)
        if not (isinstance(puzzle, dict) and puzzle.get("numbers") and isinstance(puzzle.get("target"), int)):
            raise ValueError('a countdown reference is {"numbers": […], "target": …}')
        return None
    if problem.reward == "code":
        task = read_task(problem.answer)
        if not isinstance(task, FunctionTask) or not task.solution.strip():
            return None
        return f"```python\n{task.prompt}{task.solution}\n```"
    answer = problem.answer
    if problem.reward == "reasoning_gym":
        answer = str(json.loads(answer)["answer"])
    if form == "boxed" or (form == "any" and "\n" in answer):
        return f"\\boxed{{{answer}}}"
    return f"Answer: {answer}"


def find_unverifiable(
    problems: Sequence[Problem], grader: GradingPool, form: AnswerForm, progress: Callable[[int, int], None]
) -> list[Dropped]:
    """Problems without a reference answer, and those whose reference does not pass its own reward.

    Args:
        problems: of unique ids.
        grader: has nothing else to grade meanwhile.
        form: where a response states its answer.
        progress: called with (problems graded, problems in all).
    """
    dropped: dict[str, Dropped] = {}
    asked = 0
    for problem in problems:
        found = _examined(problem, form)
        if isinstance(found, Dropped):
            dropped[problem.id] = found
        elif found is not None:
            grader.submit(GradeRequest(problem.id, problem, found))
            asked += 1
    owner = {problem.id: problem for problem in problems}
    graded = 0
    for part in (grader.finished, grader.drain):
        for name, grade in part():
            graded += 1
            if grade.verdict is not Verdict.RIGHT:
                what = "its reward cannot judge it" if grade.verdict is Verdict.ERROR else "its own reward says wrong"
                dropped[name] = Dropped(owner[name], Reason.UNVERIFIABLE, f"{what}: {grade.detail}"[:300])
        progress(graded, asked)
    return [dropped[problem.id] for problem in problems if problem.id in dropped]


def _examined(problem: Problem, form: AnswerForm) -> Dropped | str | None:
    """The response to grade, if there is one to make."""
    if not problem.answer.strip():
        return Dropped(problem, Reason.NO_ANSWER, "there is no reference answer")
    try:
        check_reward_name(problem.reward)
        return reference_response(problem, form)
    except (ValueError, KeyError, TypeError, PeriluneError) as error:
        return Dropped(problem, Reason.UNVERIFIABLE, f"the reference cannot be read: {error}"[:300])
