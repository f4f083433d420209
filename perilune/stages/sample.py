"""The stage sample: n responses per problem; the shortest right one for SFT, preference pairs for DPO (k1.5, 2.4).

RUN/sampling/responses.jsonl     every response, graded
RUN/sampling/shortest.jsonl      chat messages: what the stage sft trains on (shortest rejection sampling)
RUN/sampling/preferences.jsonl   pairs: what the stage dpo trains on
RUN/sampling/summary.json        counts; problems without a right response among them
RUN/sampling/samples.sqlite      the responses as tokens; none is generated twice
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perilune.algorithm.long2short import Candidate, preference_pairs, shortest_right
from perilune.curation.asking import Answer, Ask, Settings
from perilune.curation.sample_cache import SampleCache
from perilune.curation.spread import evenly
from perilune.data.preferences import messages_record, preference_record
from perilune.errors import ProblemsError
from perilune.evaluation.responses import write_responses
from perilune.recipe.long2short import SampleConfig
from perilune.run.jsonl import json_line, replace_lines
from perilune.stages.asking import asker_for, model_key
from perilune.stages.session import Session
from perilune.types import Preference, Problem, ScoredResponse, Stop, Verdict

FOLDER = "sampling"
SHORTEST_FILE = "shortest.jsonl"
PREFERENCES_FILE = "preferences.jsonl"
SUMMARY_FILE = "summary.json"
_EVENT = "samples"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen from one problem's responses."""

    problem: Problem
    answers: tuple[Answer, ...]
    shortest: Candidate | None
    pairs: tuple[tuple[Candidate, Candidate], ...]


def draw_samples(session: Session) -> Path:
    """Sample, choose and write; return the folder.

    Responses are kept as they finish: a run that was killed generates the others alone.
    """
    recipe, backends = session.recipe, session.backends
    config, folder = recipe.sample, session.run.path / FOLDER
    problems = evenly(session.train, lambda problem: (problem.tags, problem.difficulty), config.problems)
    asks = [Ask(problem, backends.render(problem)) for problem in problems]
    settings = Settings(config.samples, config.temperature, config.max_response_tokens)
    cache = SampleCache(Path(config.cache).expanduser() if config.cache else folder / "samples.sqlite")
    try:
        with session.clock.phase("sample"):
            model = model_key(recipe, backends)
            with (
                session.display.task("sample", len(asks) * config.samples) as progress,
                backends.workers.serving(backends.trainer) as engine,
            ):
                asker = asker_for(recipe, backends, engine, session.grader, cache, model)
                answers = asker.ask(asks, settings, progress)
    finally:
        cache.close()
    chosen = [choose(problem, answers[problem.id], config) for problem in problems]
    counts = summarize_choice(chosen)
    _write(folder, chosen, counts)
    # A stage that was killed right here is told of once.
    session.run.journal.forget(_EVENT)
    session.tell(_EVENT, 0, {**counts, "generated": asker.spent.generated, "cached": asker.spent.cached})
    session.display.note(_line(counts))
    return folder


def choose(problem: Problem, answers: Sequence[Answer], config: SampleConfig) -> Chosen:
    """The shortest right response and the pairs of one problem; gradings that ended in an error do not count."""
    candidates = [
        Candidate(index, answer.tokens, answer.grade.verdict is Verdict.RIGHT, answer.stop is Stop.ENDED)
        for index, answer in enumerate(answers)
        if answer.grade.verdict is not Verdict.ERROR
    ]
    pairs = preference_pairs(candidates, longer=config.longer, most=config.pairs_per_problem)
    # Two samples of one text are no preference.
    told = [pair for pair in pairs if answers[pair[0].index].text != answers[pair[1].index].text]
    return Chosen(problem, tuple(answers), shortest_right(candidates), tuple(told))


def summarize_choice(chosen: Sequence[Chosen]) -> dict[str, int | float | None]:
    """Counts of responses, problems and pairs; lengths in tokens."""
    answers = [answer for found in chosen for answer in found.answers]
    right = [answer for answer in answers if answer.grade.verdict is Verdict.RIGHT]
    shortest = [found.shortest.tokens for found in chosen if found.shortest is not None]
    pairs = [pair for found in chosen for pair in found.pairs]
    return {
        "problems": len(chosen),
        "responses": len(answers),
        "right": len(right),
        "errors": sum(answer.grade.verdict is Verdict.ERROR for answer in answers),
        "stopped": sum(answer.stop is not Stop.ENDED for answer in answers),
        "without_right": len(chosen) - len(shortest),
        "equally_long": sum(len({answer.tokens for answer in found.answers}) == 1 for found in chosen),
        "chosen": len(shortest),
        "pairs": len(pairs),
        "pairs_rejecting_wrong": sum(not rejected.right for _, rejected in pairs),
        "pairs_rejecting_right": sum(rejected.right for _, rejected in pairs),
        "problems_with_pairs": sum(bool(found.pairs) for found in chosen),
        "mean_tokens": _mean([answer.tokens for answer in answers]),
        "mean_tokens_right": _mean([answer.tokens for answer in right]),
        "mean_tokens_chosen": _mean(shortest),
    }


def empty_shortest(folder: Path) -> ProblemsError:
    """What to tell where no problem has a right response that the model ended itself."""
    counts = _counts(folder)
    return ProblemsError(
        f"not one of {counts.get('problems', 0)} problems has a right response that the model ended itself, among "
        f"{counts.get('responses', 0)} responses ({counts.get('stopped', 0)} were stopped; see {folder}), so there is "
        "nothing to train on: ask easier problems, raise sample.samples or sample.max_response_tokens, or take a "
        "stronger model"
    )


def empty_preferences(folder: Path) -> ProblemsError:
    """What to tell where there is not one preference pair."""
    counts = _counts(folder)
    return ProblemsError(
        f"there is no preference pair: of {counts.get('problems', 0)} problems {counts.get('without_right', 0)} have "
        f"no right response, {counts.get('equally_long', 0)} have responses that are all equally long, and the others "
        "none that is wrong and longer than the shortest right one, or right and more than sample.longer times as long "
        f"(see {folder}). Raise sample.samples, sample.problems or sample.temperature, or lower sample.longer"
    )


def _counts(folder: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _write(folder: Path, chosen: Sequence[Chosen], counts: Mapping[str, Any]) -> None:
    write_responses(
        folder / "responses.jsonl",
        [
            ScoredResponse(found.problem, answer.text, answer.tokens, answer.stop, answer.grade, sample=number)
            for found in chosen
            for number, answer in enumerate(found.answers, 1)
        ],
    )
    replace_lines(folder / SHORTEST_FILE, (json_line(_shortest(f)) for f in chosen if f.shortest is not None))
    replace_lines(folder / PREFERENCES_FILE, (json_line(row) for found in chosen for row in _preferences(found)))
    replace_lines(folder / SUMMARY_FILE, [json.dumps(counts, indent=2) + "\n"])


def _shortest(found: Chosen) -> dict[str, Any]:
    assert found.shortest is not None
    record = messages_record(found.problem, found.answers[found.shortest.index].text)
    return record | {"tokens": found.shortest.tokens, "sample": found.shortest.index + 1}


def _preferences(found: Chosen) -> list[dict[str, Any]]:
    return [
        preference_record(
            Preference(found.problem, found.answers[a.index].text, found.answers[b.index].text, rejected_ended=b.ended)
        )
        | {"chosen_tokens": a.tokens, "rejected_tokens": b.tokens, "rejected_right": b.right}
        for a, b in found.pairs
    ]


def _mean(values: Sequence[int]) -> float | None:
    return round(sum(values) / len(values), 2) if values else None


def _line(counts: Mapping[str, Any]) -> str:
    return (
        f"{counts['right']} of {counts['responses']} responses are right; {counts['without_right']} of "
        f"{counts['problems']} problems have no right one; {counts['chosen']} shortest ones chosen "
        f"({counts['mean_tokens_chosen']} tokens on average, all responses {counts['mean_tokens']}), "
        f"{counts['pairs']} preference pairs"
    )
