"""Before a run: its rewards are tried in a real worker, so that one which cannot work ends nothing but the start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from perilune.curation.references import reference_response
from perilune.curation.spread import evenly
from perilune.data.generators import form_to_write, stated
from perilune.errors import RewardError
from perilune.recipe.recipe import Recipe
from perilune.recipe.reward_files import keep_files
from perilune.recipe.reward_names import first_reward, is_own, reward_names
from perilune.report.terminal import Display
from perilune.rewards.nonsense import NONSENSE
from perilune.rewards.pool import GradingPool
from perilune.run.opening import REWARDS_FOLDER, with_kept_rewards
from perilune.types import Grade, GradeRequest, Problem, Verdict

_MOST_TRIED = 3
"""Problems of a reward: one may be odd, not all of them."""
_NONSENSE_PROGRAM = "```python\npass\n```"
_REFERENCE, _NONSENSE = "its reference, stated as a response", "a nonsense answer"


@contextmanager
def fixed_rewards(recipe: Recipe, display: Display, *, resume: bool) -> Iterator[Recipe]:
    """The recipe with reward files that stay as they are now, whoever edits them while the run goes on.

    Args:
        recipe: the run's.
        display: told where a run that is resumed keeps another file than there is now.
        resume: go on with what the run keeps.

    Raises:
        RewardError: a file cannot be read.
    """
    recipe, changed = with_kept_rewards(recipe) if resume else (recipe, [])
    for name in changed:
        display.warn(
            f"the reward file {name} has changed since the run began; the run goes on with the copy that it keeps in "
            f"{recipe.run_folder / REWARDS_FOLDER}"
        )
    if not recipe.rewards.files:
        yield recipe
        return
    with TemporaryDirectory(prefix="perilune-rewards-") as folder:
        files = keep_files(recipe.rewards.files, Path(folder))
        yield recipe.model_copy(update={"rewards": recipe.rewards.model_copy(update={"files": files})})


def try_rewards(recipe: Recipe, problems: Sequence[Problem], grader: GradingPool, display: Display) -> None:
    """Have each reward grade a reference and a nonsense answer.

    Problems whose reference it cannot read say nothing about a reward; what becomes of them is told elsewhere.

    Args:
        recipe: the run's.
        problems: to train on and held out.
        grader: has nothing else to grade meanwhile.
        display: told what rewards of the user's own make of the two.

    Raises:
        RewardError: a reward cannot work: its gradings end in errors; names it and says why.
    """
    for reward in dict.fromkeys(problem.reward for problem in problems):
        mine = [problem for problem in problems if problem.reward == reward and problem.answer.strip()]
        tried = _readable(reward, evenly(mine, lambda problem: problem.tags, _MOST_TRIED), grader)
        for number, problem in enumerate(tried):
            grades = _graded(grader, {what: (problem, text) for what, text in _responses(problem, recipe).items()})
            failed = [what for what, grade in grades.items() if grade.verdict is Verdict.ERROR]
            if not failed:
                if is_own(reward):
                    display.note(_told(reward, problem, grades))
                break
            if number == len(tried) - 1:
                raise _refusal(reward, f"{failed[0]} for problem {problem.id!r}", grades[failed[0]])


def _readable(reward: str, problems: Sequence[Problem], grader: GradingPool) -> list[Problem]:
    """Those whose reference the reward can read."""
    # Named by number: a problem to train on and one held out may have one id.
    for number, problem in enumerate(problems):
        grader.submit(GradeRequest(str(number), problem, "", ask="reference"))
    grades = dict(grader.drain())
    if grades and all(grade.verdict is Verdict.ERROR for grade in grades.values()):
        raise _refusal(reward, "the first references", grades["0"])
    return [problem for number, problem in enumerate(problems) if grades[str(number)].verdict is Verdict.RIGHT]


def _responses(problem: Problem, recipe: Recipe) -> dict[str, str]:
    """What is graded, by what it is."""
    form = recipe.rewards.answer_form
    try:
        reference = reference_response(problem, form)
    except (ValueError, KeyError, TypeError, RewardError):
        # A reward of the user's own may read what ours cannot, and from a pattern of theirs no text can be made.
        reference = problem.answer
    try:
        nonsense = stated(NONSENSE[0], form_to_write(form))
    except RewardError:
        nonsense = NONSENSE[1]
    if first_reward(problem.reward) == "code":
        nonsense = _NONSENSE_PROGRAM
    return ({_REFERENCE: reference} if reference is not None else {}) | {_NONSENSE: nonsense}


def _graded(grader: GradingPool, asked: dict[str, tuple[Problem, str]]) -> dict[str, Grade]:
    for what, (problem, response) in asked.items():
        grader.submit(GradeRequest(what, problem, response, ask="trial"))
    grades = dict(grader.drain())
    return {what: grades[what] for what in asked}


def _told(reward: str, problem: Problem, grades: dict[str, Grade]) -> str:
    names = " + ".join(reward_names(reward))
    found = "; ".join(f"{what}: {grade.verdict}, score {grade.score:g}" for what, grade in grades.items())
    return f"reward {names}, tried with problem {problem.id}: {found}"


def _refusal(reward: str, what: str, grade: Grade) -> RewardError:
    names = " + ".join(reward_names(reward))
    return RewardError(
        f"the reward {names} cannot work: grading {what} ended in an error: {grade.detail}. Mend the reward, or name "
        "another one in problems.*.reward; 'perilune reward test RECIPE' shows what it makes of your problems. Nothing "
        "has been run"
    )
