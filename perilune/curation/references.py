"""A reference answer must pass its own reward, and a wrong one must not: else nothing can be judged (k1.5, 2.1).

All is asked of the reward itself: first whether it can read the reference, as before a run without curation, then for
a grade of the reference and of a wrong answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from perilune.curation.fates import Dropped, Reason
from perilune.data.generators import form_to_write, stated
from perilune.errors import PeriluneError, RewardError
from perilune.rewards.answers import AnswerForm, answer_in
from perilune.rewards.pool import GradingPool
from perilune.rewards.references import find_unreadable
from perilune.rewards.router import BUILT_IN, check_reward_name
from perilune.sandbox.tasks import FunctionTask, read_task
from perilune.types import Grade, GradeRequest, Problem, Verdict

_OTHER = "-918273.645"
"""An answer that no problem has."""


def reference_response(problem: Problem, form: AnswerForm) -> str | None:
    """A response that gives the reference answer; None where the reference holds none: a puzzle, or tests alone.

    Raises:
        ValueError: the reference is not of the form that its reward reads.
    """
    known = BUILT_IN.get(problem.reward)
    if known is not None and known.reference == "none":
        return None
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
    elif problem.reward == "math":
        answer = answer_in(answer)
    return _stated(answer, form)


def find_unverifiable(
    problems: Sequence[Problem], grader: GradingPool, form: AnswerForm, progress: Callable[[int, int], None]
) -> list[Dropped]:
    """Problems without a reference answer, and those whose reference their own reward cannot read or does not pass.

    Args:
        problems: of unique ids.
        grader: has nothing else to grade meanwhile.
        form: where a response states its answer.
        progress: called with (askings done, askings in all): three for each problem.
    """
    dropped: dict[str, Dropped] = {}
    owner: dict[str, Problem] = {}
    responses: dict[str, str] = {}
    for problem in problems:
        found = _examined(problem, form)
        if isinstance(found, Dropped):
            dropped[problem.id] = found
        else:
            owner[problem.id] = problem
            responses |= {problem.id: found} if found is not None else {}
    total = 3 * len(owner)
    for unreadable in find_unreadable(list(owner.values()), grader, lambda done, _: progress(done, total)):
        fault = f"the reference cannot be read: {unreadable.why}"
        dropped[unreadable.id] = Dropped(owner[unreadable.id], Reason.UNVERIFIABLE, fault[:300])
    for name, response in responses.items():
        if name not in dropped:
            for probe, text in (("reference", response), ("other", _stated(_OTHER, form))):
                grader.submit(GradeRequest(f"{name}\n{probe}", owner[name], text))
    for request_id, grade in grader.drain():
        name, _, probe = request_id.rpartition("\n")
        fault = _fault(probe, grade)
        if fault and (name not in dropped or probe == "reference"):
            dropped[name] = Dropped(owner[name], Reason.UNVERIFIABLE, fault[:300])
    progress(total, total)
    return [dropped[problem.id] for problem in problems if problem.id in dropped]


def _fault(probe: str, grade: Grade) -> str:
    """What a grade of the reference, or of a wrong answer, says against the reference; "" if nothing."""
    if grade.verdict is Verdict.ERROR:
        return f"its reward cannot judge by it: {grade.detail}"
    if probe == "reference":
        return "" if grade.verdict is Verdict.RIGHT else f"its own reward says wrong: {grade.detail}"
    return f"its reward takes any answer for right: {grade.detail}" if grade.verdict is Verdict.RIGHT else ""


def _stated(answer: str, form: AnswerForm) -> str:
    # A line holds no line break.
    return stated(answer, "boxed" if form == "any" and "\n" in answer else form_to_write(form))


def _examined(problem: Problem, form: AnswerForm) -> Dropped | str | None:
    """The response to grade, if there is one to make."""
    if not problem.answer.strip():
        return Dropped(problem, Reason.NO_ANSWER, "there is no reference answer")
    try:
        check_reward_name(problem.reward)
    except RewardError as error:
        return Dropped(problem, Reason.UNVERIFIABLE, str(error)[:300])
    try:
        return reference_response(problem, form)
    except RewardError:
        return None  # No text can be made from a pattern of the user's own.
    except (ValueError, KeyError, TypeError, PeriluneError) as error:
        return Dropped(problem, Reason.UNVERIFIABLE, f"the reference cannot be read: {error}"[:300])
