"""The stage sft: a light SFT on verified demonstrations: the long-CoT warm-up (k1.5, 2.2), shortest answers (2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perilune.data.demonstrations import (
    WorkedSolutions,
    generator_demonstrations,
    load_demonstrations,
    load_solutions,
)
from perilune.data.generators import Style, form_to_write
from perilune.errors import ProblemsError
from perilune.recipe.recipe import Recipe
from perilune.rewards.nothing import check_graded
from perilune.rewards.pool import GradingPool
from perilune.stages.demonstrate import DEMONSTRATIONS_FILE, FOLDER
from perilune.stages.sample import FOLDER as SAMPLING
from perilune.stages.sample import SHORTEST_FILE, empty_shortest
from perilune.stages.session import Session
from perilune.stages.supervised import minibatch_steps, take_steps
from perilune.types import (
    Demonstration,
    GradeRequest,
    Objective,
    Sample,
    Verdict,
)


def demonstrations_for(
    recipe: Recipe, grader: GradingPool, written: Path | None = None, worked: WorkedSolutions | None = None
) -> list[Demonstration]:
    """The warm-up set, each response verified by its problem's reward.

    Args:
        recipe: names the demonstrations, or the problems that they are made for.
        grader: verifies them.
        written: demonstrations that a model wrote in this run, if it did; a file that the recipe names goes before.
        worked: what the source's rows brought, where they were read before.

    Raises:
        ProblemsError: none is left after verification.
    """
    config, source = recipe.sft, recipe.problems.train
    chosen = Path(config.demonstrations) if config.demonstrations is not None else written
    if chosen is not None:
        candidates = load_demonstrations(chosen, count=config.count)
    elif source.kind == "generator":
        form = form_to_write(recipe.rewards.answer_form)
        brief, direct = (round(config.count * share) for share in (config.brief_share, config.direct_share))
        rest = config.count - brief - direct
        styles: list[tuple[Style, int]] = [(config.style, rest), ("brief", brief), ("direct", direct)]
        candidates = [
            shown
            for style, count in styles
            for shown in generator_demonstrations(source, count, recipe.seed, answer_form=form, style=style)
        ]
    elif worked is not None:
        candidates = worked.taken()
    else:
        candidates = load_solutions(source, config.response, count=config.count)
    return verified(candidates, grader)


def verified(candidates: Sequence[Demonstration], grader: GradingPool) -> list[Demonstration]:
    """Those whose response its reward finds right; demonstrations without a reference answer are kept as they are."""
    checkable = [(str(i), d) for i, d in enumerate(candidates) if d.problem.answer]
    for name, demonstration in checkable:
        grader.submit(GradeRequest(name, demonstration.problem, demonstration.response))
    grades = dict(grader.drain())
    check_graded(grades.values(), "the demonstrations", "Nothing was trained on them.")
    wrong = {name for name, _ in checkable if grades[name].verdict is not Verdict.RIGHT}
    kept = [d for i, d in enumerate(candidates) if str(i) not in wrong]
    if not kept:
        detail = grades[min(wrong)].detail if wrong else "there were none"
        raise ProblemsError(
            f"none of {len(candidates)} demonstrations is right by its own reward (the first: {detail}); check that "
            "their responses end in the form that rewards.answer_form asks for"
        )
    return kept


def warm_up(session: Session) -> None:
    """Fine-tune on the verified demonstrations, on the responses alone; one update is the whole stage."""
    recipe, backends = session.recipe, session.backends
    with session.clock.phase("sft"):
        before = session.grader.stats.errors
        demonstrations = demonstrations_for(recipe, session.grader, _written(session), session.worked)
        errors = session.grader.stats.errors - before
        if errors:
            session.display.warn(f"{errors} demonstrations are left out because their grading ended in an error")
        samples = [_sample(*backends.render_demonstration(d)) for d in demonstrations]
        steps = minibatch_steps(len(samples), recipe.sft, recipe.seed)
        session.display.note(f"{len(samples)} verified demonstrations, {len(steps)} optimiser steps")
        take_steps(session, "sft", samples, Objective("sft"), steps)


def _written(session: Session) -> Path | None:
    """The demonstrations that an earlier stage of the run wrote, if one did."""
    stages, folder = session.recipe.stages, session.run.path
    if "sample" in stages[: stages.index("sft")]:
        shortest = folder / SAMPLING / SHORTEST_FILE
        if not shortest.exists() or not shortest.stat().st_size:
            raise empty_shortest(folder / SAMPLING)
        return shortest
    return folder / FOLDER / DEMONSTRATIONS_FILE if "warmup" in stages else None


def _sample(prompt: tuple[int, ...], response: tuple[int, ...]) -> Sample:
    return Sample(prompt + response, len(prompt), (False,) * len(prompt) + (True,) * len(response), advantage=1.0)
