"""A reference answer must pass its own reward, and a wrong one must not: else nothing can be judged (k1.5, 2.1).

All is asked of the reward itself: first whether it can read the reference, as before a run without curation, then for
a grade of the reference and of wrong answers, of which a reward may take anything, or anything of a kind.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence

from perilune.curation.fates import Dropped, Reason
from perilune.data.generators import form_to_write, stated
from perilune.errors import PeriluneError, RewardError
from perilune.recipe.reward_names import first_reward
from perilune.rewards.answers import AnswerForm, answer_in, last_answer
from perilune.rewards.countdown import read_reference
from perilune.rewards.nonsense import NONSENSE, OPPOSITES
from perilune.rewards.pool import GradingPool
from perilune.rewards.references import find_unreadable
from perilune.rewards.router import BUILT_IN, check_reward_name
from perilune.sandbox.tasks import FunctionTask, read_task
from perilune.types import Grade, GradeRequest, Problem, Verdict

_REFERENCE = "reference"
_STATING = ("answer_line", "boxed", "answer_tag")
"""Forms to state an answer in where any is read, the plainest first."""


def reference_response(problem: Problem, form: AnswerForm) -> str | None:
    """A response that gives the reference answer; None where there is none: a puzzle, tests alone, a mere scorer.

    Raises:
        ValueError: the reference is not of the form that its reward reads.
    """
    reward = first_reward(problem.reward)
    known = BUILT_IN.get(reward)
    if known is not None and known.reference == "none":
        return None
    if reward == "countdown":
        read_reference(problem.answer)
        return None
    if reward == "code":
        task = read_task(problem.answer)
        if not isinstance(task, FunctionTask) or not task.solution.strip():
            return None
        return f"```python\n{task.prompt}{task.solution}\n```"
    answer = problem.answer
    if reward == "reasoning_gym":
        own = json.loads(answer)["answer"]
        if own is None:
            return None
        answer = str(own).strip()
    elif reward == "math":
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
        progress: called with (askings done, askings in all): three for each problem, or more.
    """
    dropped: dict[str, Dropped] = {}
    owner: dict[str, Problem] = {}
    responses: dict[str, dict[str, str]] = {}
    for problem in problems:
        found = _examined(problem, form)
        if isinstance(found, Dropped):
            dropped[problem.id] = found
        else:
            owner[problem.id] = problem
            responses[problem.id] = _probes(problem, found, form)
    total = len(owner) + sum(map(len, responses.values()))
    for unreadable in find_unreadable(list(owner.values()), grader, lambda done, _: progress(done, total)):
        fault = f"the reference cannot be read: {unreadable.why}"
        dropped[unreadable.id] = Dropped(owner[unreadable.id], Reason.UNVERIFIABLE, fault[:300])
    for name in owner.keys() - dropped.keys():
        for probe, response in responses[name].items():
            grader.submit(GradeRequest(f"{name}\n{probe}", owner[name], response))
    grades: dict[str, dict[str, Grade]] = {}
    for request_id, grade in grader.drain():
        name, _, probe = request_id.rpartition("\n")
        grades.setdefault(name, {})[probe] = grade
    for name, found_grades in grades.items():
        if fault := _fault(found_grades):
            dropped[name] = Dropped(owner[name], Reason.UNVERIFIABLE, fault[:300])
    progress(total, total)
    return [dropped[problem.id] for problem in problems if problem.id in dropped]


def _probes(problem: Problem, reference: str | None, form: AnswerForm) -> dict[str, str]:
    """Responses to grade, by what they state: the reference, and answers that must not be right."""
    probes = {} if reference is None else {_REFERENCE: reference}
    reward = first_reward(problem.reward)
    known = BUILT_IN.get(reward)
    if known is not None and known.reference != "answer":
        return probes
    # The math reward compares values, so that one stands for all.
    wrong = NONSENSE[:1] if reward == "math" else (*NONSENSE, *(answer for pair in OPPOSITES for answer in pair))
    for answer in wrong:
        # From some patterns of a user's own no text can be made.
        with contextlib.suppress(RewardError):
            if answer not in NONSENSE or answer != problem.answer.strip():
                probes[answer] = _stated(answer, form)
    return probes


def _fault(grades: Mapping[str, Grade]) -> str:
    """What the grades of the reference, and of wrong answers, say against the reference; "" if nothing."""
    own = grades.get(_REFERENCE)
    for grade in (*([own] if own is not None else []), *grades.values()):
        if grade.verdict is Verdict.ERROR:
            return f"its reward cannot judge by it: {grade.detail}"
    if own is not None and own.verdict is not Verdict.RIGHT:
        return f"its own reward says wrong: {own.detail}"
    right = {probe for probe, grade in grades.items() if grade.verdict is Verdict.RIGHT}
    for answer in NONSENSE:
        if answer in right:
            return f"its reward takes any answer for right: {grades[answer].detail}"
    for one, other in OPPOSITES:
        if {one, other} <= right:
            return f"its reward takes both {one!r} and {other!r} for right"
    return ""


def _stated(answer: str, form: AnswerForm) -> str:
    if form != "any":
        return stated(answer, form_to_write(form))
    # A line holds no line break, and loses marks at its ends; a box wants balanced braces.
    texts = [stated(answer, plain) for plain in _STATING]
    return next((text for text in texts if last_answer(text, form) == answer.strip()), texts[0])


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
