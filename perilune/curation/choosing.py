"""Which responses become demonstrations: each path is verified, copies are taken out, few are chosen.

ended, right, every step holds → no next question, copied from nowhere → shows the behaviours → says something new
→ at most so many of a problem, of all
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from perilune.curation.behaviours import Behaviour
from perilune.curation.copies import NearDuplicates, Stories, foreign_name, next_question
from perilune.curation.equations import false_equations
from perilune.curation.spread import by_rarest_behaviour
from perilune.curation.warmup_prompts import WarmupPrompts
from perilune.curation.warmup_set import RejectedResponse, Rejection, WarmupResponse, WarmupSet
from perilune.data.generators import AnswerForm
from perilune.recipe.curation import WarmupConfig
from perilune.types import Stop, Verdict


def choose(
    responses: Sequence[WarmupResponse], prompts: WarmupPrompts, config: WarmupConfig, answer_form: AnswerForm
) -> WarmupSet:
    """The responses that become demonstrations, and why the others do not."""
    stories = Stories(problem.text for problem in {r.problem.id: r.problem for r in responses}.values())
    rejected: dict[str, RejectedResponse] = {}
    passed: list[WarmupResponse] = []
    for response in responses:
        fault = _fault(response, prompts, stories, config.min_behaviours, answer_form)
        if fault is None:
            passed.append(response)
        else:
            rejected[response.name] = RejectedResponse(response, *fault)
    known = NearDuplicates(config.duplicate_threshold)
    new: list[WarmupResponse] = []
    # Of two that say the same, the one that shows more stays.
    for response in sorted(passed, key=lambda r: -len(r.behaviours)):
        twin = known.add(response.name, response.text)
        if twin is None:
            new.append(response)
        else:
            rejected[response.name] = RejectedResponse(response, Rejection.DUPLICATE, twin)
    kept = by_rarest_behaviour(new, _shown, _problem_id, config.per_problem, config.count)
    names, of_problem = {r.name for r in kept}, Counter(map(_problem_id, kept))
    for response in new:
        if response.name not in names:
            full = of_problem[response.problem.id] >= config.per_problem
            reason = Rejection.OVER_PER_PROBLEM if full else Rejection.OVER_COUNT
            rejected[response.name] = RejectedResponse(response, reason, "")
    return WarmupSet(tuple(kept), tuple(rejected[r.name] for r in responses if r.name in rejected))


def _fault(
    response: WarmupResponse, prompts: WarmupPrompts, stories: Stories, least: int, answer_form: AnswerForm
) -> tuple[Rejection, str] | None:
    """What speaks against a response by itself, and what was found; None if nothing does."""
    if (unverified := _unverified(response)) is not None:
        return unverified
    if (asks := next_question(response.text, answer_form)) is not None:
        return Rejection.NEXT_QUESTION, asks
    own = response.problem.text
    examples = [example.question for example in prompts.examples(response.problem, response.variant)]
    copied = Stories(examples).copied(response.text, own) or stories.copied(response.text, own)
    if leak := copied or foreign_name(response.text, own, examples):
        return Rejection.LEAKED, leak
    if len(response.behaviours) < least:
        return Rejection.FEW_BEHAVIOURS, f"{len(response.behaviours)} of {least}"
    return None


def _unverified(response: WarmupResponse) -> tuple[Rejection, str] | None:
    """What keeps a path from being verified: its end, its answer, its steps."""
    grade = response.grade
    if grade.verdict is Verdict.ERROR:
        return Rejection.UNGRADABLE, grade.detail
    if response.stop is not Stop.ENDED:
        return Rejection.CUT, response.stop.value
    if grade.verdict is Verdict.WRONG:
        return Rejection.WRONG, grade.detail
    if false := false_equations(response.text):
        return Rejection.FALSE_STEP, false[0]
    return None


def _shown(response: WarmupResponse) -> frozenset[Behaviour]:
    return response.behaviours


def _problem_id(response: WarmupResponse) -> str:
    return response.problem.id
