"""``perilune reward test``: what the rewards of a recipe make of its problems, without a model.

Every reference is read; for some problems responses are graded, and how each grade came about is shown: the reference
stated as a response, the worked solution where the source has one, and a wrong answer, or a response of the user's.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from perilune.curation.references import reference_response
from perilune.data.demonstrations import WorkedSolutions
from perilune.data.generators import Split, form_to_write, stated
from perilune.data.mixture import generated
from perilune.data.problems import DEFAULT_POOL, MADE, load_pile, load_problems, out_of_range
from perilune.data.records import read_records
from perilune.errors import ProblemsError, RewardError
from perilune.recipe.problems import SourceConfig
from perilune.recipe.recipe import Recipe
from perilune.recipe.reward_names import first_reward
from perilune.report.terminal import Display
from perilune.rewards.nonsense import NONSENSE
from perilune.rewards.pool import GradingPool
from perilune.rewards.router import BUILT_IN, check_rewards_work
from perilune.stages.references import (
    MOST_NAMED,
    References,
    as_the_model_is_asked,
    form_lines,
    read_references,
    unreadable_lines,
)
from perilune.stages.reward_check import try_rewards
from perilune.types import Demonstration, Explanation, GradeRequest, Problem, Verdict

_WIDTH = 200
_LINES = 12
"""So much of a text is shown."""
_WRONG_PROGRAM = "```python\npass\n```"
_SPLITS: tuple[Split, ...] = ("train", "heldout")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a trial of the rewards is to show."""

    source: Split | None = None
    """Look at this source alone; by default at both, and show problems of train."""
    problem: str | None = None
    """Id of the one problem to show; by default the first ones."""
    count: int | None = None
    """Problems to show; by default three, or one where there is a response."""
    response: str | None = None
    """Grade this, in place of the reference and of a wrong answer."""
    every: bool = False
    """Name every reference that cannot be read, in place of the first ones."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came out."""

    lines: tuple[str, ...]
    unreadable: int
    """References that cannot be read."""
    unexpected: int
    """What should be otherwise: a reference that is wrong, a wrong answer that is right, a reward that cannot work."""

    @property
    def exit_code(self) -> int:
        """0 if every reference can be read and every verdict is as it should be, else 1."""
        return 1 if self.unreadable or self.unexpected else 0


@dataclass(frozen=True, slots=True)
class _Response:
    """A response to grade, where it comes from, and what should come out."""

    what: str
    text: str
    expected: Verdict | None = None


def run_trial(recipe: Recipe, asked: Asked, display: Display) -> Trial:
    """Read the references of the recipe's sources, and grade responses to some of their problems.

    Where a reward cannot work, which would refuse a run, that is told and no reference is read: each would be blamed.

    Raises:
        ProblemsError: a source cannot be read, or holds no problem of that id.
        RewardError: a reward is unknown, or the grading workers cannot work.
    """
    worked: dict[str, WorkedSolutions] = {}
    sources: dict[str, list[Problem]]
    sources = {split: _loaded(recipe, split, asked, worked) for split in _SPLITS if asked.source in (None, split)}
    shown = _chosen(sources, asked)
    check_rewards_work({problem.reward for problems in sources.values() for problem in problems}, recipe.rewards)
    lines = [f"note: {line}" for line in form_lines(recipe, as_the_model_is_asked(recipe, sources))]
    unexpected = 0
    named = {name for name, _ in shown if asked.response is None}
    solved = {name: _responses_of(recipe, name, worked.get(name)) for name in named}
    with GradingPool(recipe.rewards, on_event=display.note) as grader:
        references: References = {}
        try:
            try_rewards(recipe, [problem for problems in sources.values() for problem in problems], grader, display)
            references = read_references(sources, grader, display)
        except RewardError as error:
            lines.append(str(error))
            unexpected += 1
        for name, found in references.items():
            lines += unreadable_lines(name, found, most=None if asked.every else MOST_NAMED)
        for name, problem in shown:
            unreadable = {fault.id: fault.why for fault in references[name].unreadable} if references else {}
            lines += ["", *_problem_lines(recipe, name, problem, unreadable.get(problem.id))]
            if asked.response is not None:
                responses = [_Response("your response", asked.response)]
            elif problem.id in unreadable:
                responses = []
            else:
                responses = list(_responses(recipe, problem, solved[name].get(problem.id)))
            for response in responses:
                explanation = _explained(grader, problem, response.text)
                surprises = response.expected not in (None, explanation.grade.verdict)
                unexpected += surprises
                lines += _response_lines(response, explanation, surprises=surprises)
    return Trial(tuple(lines), sum(len(found.unreadable) for found in references.values()), unexpected)


def _loaded(recipe: Recipe, split: Split, asked: Asked, worked: dict[str, WorkedSolutions]) -> list[Problem]:
    """As a run takes them: a pile where curation is to come; worked solutions of what may be shown are kept beside."""
    source = _source(recipe, split)
    rows = None
    if asked.response is None and source.fields.solution is not None and source.kind not in MADE:
        found = worked[split] = WorkedSolutions(
            source, recipe.sft.response, _count(asked), partial(_shows, asked, source)
        )
        rows = found.passing(read_records(source))
    piled = split == "train" and "curate" in recipe.stages
    return load_pile(source, split, rows) if piled else load_problems(source, split, rows)


def _shows(asked: Asked, source: SourceConfig, problem: Problem) -> bool:
    """Whether a problem is among those to show, as long as they are not all there."""
    return not any(out_of_range(problem, source)) if asked.problem is None else problem.id == asked.problem


def _count(asked: Asked) -> int:
    """Problems to show."""
    if asked.problem is not None:
        return 1
    return asked.count if asked.count is not None else 1 if asked.response is not None else 3


def _source(recipe: Recipe, name: str) -> SourceConfig:
    return recipe.problems.train if name == "train" else recipe.problems.heldout


def _chosen(sources: Mapping[str, Sequence[Problem]], asked: Asked) -> list[tuple[str, Problem]]:
    """The problems to show, each with its source."""
    if asked.problem is None:
        name, problems = next(iter(sources.items()))
        return [(name, problem) for problem in problems[: _count(asked)]]
    for name, problems in sources.items():
        for problem in problems:
            if problem.id == asked.problem:
                return [(name, problem)]
    known = [problem.id for problems in sources.values() for problem in problems]
    near = difflib.get_close_matches(asked.problem, known[:20_000], n=3, cutoff=0.4) or known[:3]
    raise ProblemsError(
        f"no problem of {' or '.join(sources)} has the id {asked.problem!r}; there are, for example, "
        f"{', '.join(map(repr, near))} (perilune problems RECIPE lists them)"
    )


def _responses(recipe: Recipe, problem: Problem, worked: str | None) -> Iterator[_Response]:
    """What to grade for a problem; of a reward of the user's own nobody knows what should come out."""
    reward = first_reward(problem.reward)
    known = BUILT_IN.get(reward)
    judges = known is not None and known.reference != "none"
    form = recipe.rewards.answer_form
    # A reward of the user's own may read what ours cannot, and no text may be made from a pattern of the user's own.
    with suppress(ValueError, KeyError, TypeError, RewardError):
        reference = reference_response(problem, form)
        if reference is not None:
            yield _Response("the reference, stated as a response", reference, Verdict.RIGHT if judges else None)
    if worked is not None:
        yield _Response("the worked solution, as the warm-up gives it", worked, Verdict.RIGHT if judges else None)
    with suppress(RewardError):
        wrong = _WRONG_PROGRAM if reward == "code" else stated(NONSENSE[0], form_to_write(form))
        yield _Response("a wrong answer", wrong, Verdict.WRONG if judges else None)


def _responses_of(recipe: Recipe, name: str, worked: WorkedSolutions | None) -> dict[str, str]:
    """Worked solutions by the ids of their problems, where the source brings or makes them."""
    source = _source(recipe, name)
    shown: list[Demonstration] = []
    with suppress(ProblemsError, RewardError):  # Nobody needs them to grade.
        if worked is not None:
            shown = worked.taken()
        elif source.kind == "generator":
            form, count = form_to_write(recipe.rewards.answer_form), source.count or DEFAULT_POOL
            split: Split = "train" if name == "train" else "heldout"
            shown = generated(source, split, count, source.seed, answer_form=form)
    return {demonstration.problem.id: demonstration.response for demonstration in shown}


def _explained(grader: GradingPool, problem: Problem, response: str) -> Explanation:
    grader.submit(GradeRequest(problem.id, problem, response, ask="explanation"))
    ((_, grade),) = grader.drain()
    return grader.explanation(problem.id) or Explanation(grade)


def _problem_lines(recipe: Recipe, name: str, problem: Problem, unreadable: str | None) -> list[str]:
    lines = [
        f"{name}, {problem.id} (reward {problem.reward}, answer form {recipe.rewards.answer_form})",
        *_told("question", problem.messages[-1].content),
        *_told("reference", problem.answer),
    ]
    return lines + (_told("", f"it cannot be read: {unreadable}") if unreadable is not None else [])


def _response_lines(response: _Response, explanation: Explanation, *, surprises: bool) -> list[str]:
    grade = explanation.grade
    verdict = f"{grade.verdict}, score {grade.score:g}"
    found = explanation.found
    if explanation.where:
        found += ("\n" if "\n" in found else "  ") + f"(by {explanation.where})"
    return [
        f"  {response.what}: {verdict}" + (f", and should be {response.expected}" if surprises else ""),
        *_told("  response", response.text),
        *(_told("  found", found) if found else []),
        *(_told("  reference", f"read as {explanation.reference}") if explanation.reference else []),
        *(_told("  answer", f"read as {explanation.answer}") if explanation.answer else []),
        *(_told("  rule", explanation.rule) if explanation.rule else []),
        *(_told("  detail", grade.detail) if grade.detail and grade.detail != explanation.found else []),
    ]


def _told(name: str, text: str) -> list[str]:
    """A text under its name, cut where it is long; responses keep their last lines, where answers are."""
    lines = [line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…" for line in text.strip().splitlines()] or [""]
    if len(lines) > _LINES:
        left_out = f"… {len(lines) - _LINES + 1} more lines …"
        lines = [*lines[: _LINES // 2], left_out, *lines[-(_LINES - _LINES // 2 - 1) :]]
    first, *rest = lines
    return [f"  {name:<12}{first}", *(f"  {'':<12}{line}" for line in rest)]
