"""The curate stage: a pile of problems becomes a prompt set that is broad, graded and hard to cheat on (k1.5, 2.1).

    forms          multiple choice, true/false and proofs go, by rule
    verify         a reference answer must pass its own reward
    duplicates     near-duplicates go
    contamination  what evaluation sets hold goes
    tags           domain and discipline of each problem
    guess          what the model guesses without reasoning goes
    difficulty     pass rate of n answers; trivial ones go
    balance        disciplines with too many problems give some up

Nothing that the model has answered is asked again after an interruption: answers are in the sample cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from perilune.curation.asking import Ask, Asker, Settings, Spent, rights
from perilune.curation.balance import find_over_quota
from perilune.curation.contamination import find_contaminated
from perilune.curation.difficulty import measure_difficulty, to_confirm
from perilune.curation.duplicates import find_duplicates
from perilune.curation.fates import Dropped, Reason, StepReport
from perilune.curation.forms import form_of
from perilune.curation.guessing import NOT_GUESSED, find_guessed, guess_prompt, stated_guess
from perilune.curation.references import find_unverifiable
from perilune.curation.sample_cache import SampleCache
from perilune.curation.tagging import LabelScorer, by_rules
from perilune.curation.taxonomy import load_taxonomy
from perilune.data.mapping import dressed
from perilune.errors import ProblemsError
from perilune.protocols import Engine
from perilune.recipe.reward_names import first_reward
from perilune.report.curation_data import COUNTS, DROPPED, FOLDER, PROBLEMS, read_curation
from perilune.report.curation_page import write_curation_report
from perilune.report.curation_text import funnel_lines
from perilune.stages.asking import asker_for, model_key
from perilune.stages.curation_files import read_curated, step_counts, write_counts, write_dropped, write_problems
from perilune.stages.curation_state import CurationState, curation_counts
from perilune.stages.session import Session
from perilune.types import Problem

_SAVE_SECONDS = 10.0
"""A step under way tells curation.json how far it is this often."""


def curate(session: Session) -> Path:
    """Curate ``session.train``, a pile as :func:`perilune.data.problems.load_pile` reads it; return the folder.

    Raises:
        ProblemsError: nothing is left.
        PeriluneError: what a user can mend.
    """
    folder = session.run.path / FOLDER
    config = session.recipe.curation
    with session.clock.phase("curate"), _Curation(session, folder) as curation:
        for name in config.steps:
            curation.take(name)
        curation.finish()
    return folder


def with_curated(session: Session) -> Session:
    """The session on the curated problems, their bands known to the sampler unless the recipe gives its own.

    Raises:
        RunFolderError: the curated set is missing or damaged.
    """
    recipe = session.recipe
    source, bands, sampling = recipe.problems.train, recipe.curation.difficulty, recipe.rl.sampling
    train = tuple(dressed(problem, source) for problem in read_curated(session.run.path / FOLDER))
    if sampling.hard_difficulty is None and any(problem.pass_rate is not None for problem in train):
        # A pass rate of just easy_rate is easy, one of just hard_rate is hard.
        edges = {"medium_difficulty": 1 - bands.easy_rate + 1e-6, "hard_difficulty": 1 - bands.hard_rate - 1e-6}
        rl = recipe.rl.model_copy(update={"sampling": sampling.model_copy(update=edges)})
        recipe = recipe.model_copy(update={"rl": rl})
    return replace(session, train=train, recipe=recipe, sets={})


class _Curation:
    """One curation under way; use it as a context manager."""

    def __init__(self, session: Session, folder: Path) -> None:
        self._session, self._folder = session, folder
        self._source = session.recipe.problems.train
        self._state = CurationState(list(session.train))
        self._pile = len(session.train)
        cache = session.recipe.curation.cache
        self._cache = SampleCache(Path(cache).expanduser() if cache else folder / "samples.sqlite")
        self._model: str | None = None
        self._note = ""

    def __enter__(self) -> _Curation:
        return self

    def __exit__(self, *_: object) -> None:
        self._cache.close()

    def take(self, name: str) -> None:
        """One step: what it drops is noted, the rest goes on."""
        display, state = self._session.display, self._state
        entered, started, self._note = len(state.problems), time.monotonic(), ""
        with display.task(name, entered) as bar:
            dropped = self._step(name)(self._telling(name, bar))
        gone = {fate.problem.id for fate in dropped}
        state.problems = [problem for problem in state.problems if problem.id not in gone]
        report = StepReport(name, entered, tuple(dropped), time.monotonic() - started, self._note)
        state.reports.append(report)
        self._save()
        counts = ", ".join(f"{count} {reason}" for reason, count in step_counts(report)["reasons"].items())
        told = f"{name}: {entered:,} → {report.kept:,}" + (f" ({counts})" if counts else "")
        display.note(told + (f"; {report.note}" if report.note else ""))

    def finish(self) -> None:
        """Write what stays; it is the end of the stage."""
        self._save(finished=True)
        write_curation_report(self._folder)
        self._session.display.show(funnel_lines(read_curation(self._folder)))
        if not self._state.problems:
            raise ProblemsError(
                f"curation left none of {self._pile} problems; {self._folder / 'report.html'} shows which step took "
                "them, and curation.steps or the settings of that step let them stay"
            )
        values = {f"kept_after_{report.name}": report.kept for report in self._state.reports}
        # A stage that was killed right here is told of once.
        self._session.run.journal.forget("curation")
        self._session.tell("curation", 0, {"pile": self._pile, **values})

    def _step(self, name: str) -> Callable[[Callable[[int, int], None]], Sequence[Dropped]]:
        return {
            "forms": self._forms,
            "verify": self._verify,
            "duplicates": self._duplicates,
            "contamination": self._contamination,
            "tags": self._tags,
            "guess": self._guess,
            "difficulty": self._difficulty,
            "balance": self._balance,
        }[name]

    def _forms(self, progress: Callable[[int, int], None]) -> list[Dropped]:
        dropped, limit = [], self._source.max_prompt_tokens
        for number, problem in enumerate(self._state.problems, 1):
            found = form_of(problem.text, problem.answer)
            if found is not None:
                dropped.append(Dropped(problem, *found))
            elif limit is not None and (length := len(self._prompt(problem))) > limit:
                dropped.append(Dropped(problem, Reason.TOO_LONG, f"a prompt of {length} tokens"))
            progress(number, len(self._state.problems))
        return dropped

    def _verify(self, progress: Callable[[int, int], None]) -> list[Dropped]:
        form = self._session.recipe.rewards.answer_form
        return find_unverifiable(self._state.problems, self._session.grader, form, progress)

    def _duplicates(self, progress: Callable[[int, int], None]) -> list[Dropped]:
        self._state.matches |= {problem.id: problem.text for problem in self._state.problems}
        return find_duplicates(self._state.problems, self._session.recipe.curation.duplicates, progress)

    def _contamination(self, progress: Callable[[int, int], None]) -> list[Dropped]:
        config, sets = self._session.recipe.curation.contamination, self._session.sets
        self._state.sets = {name: len(problems) for name, problems in sets.items()}
        self._state.matches |= {f"{name}: {p.id}": p.text for name, found in sets.items() for p in found}
        self._note = "against " + (", ".join(f"{n} ({c:,})" for n, c in self._state.sets.items()) or "no set")
        return find_contaminated(self._state.problems, sets, config)

    def _tags(self, progress: Callable[[int, int], None]) -> list[Dropped]:
        config = self._session.recipe.curation.tags
        taxonomy = load_taxonomy(config.taxonomy)
        if config.method == "rules":
            ruled = {problem.id: by_rules(problem.text, taxonomy) for problem in self._state.problems}
            self._state.tags = {name: tagged for name, tagged in ruled.items() if tagged}
        else:
            backends, key, keywords = self._session.backends, self._model_key(), config.method == "both"
            scorer = LabelScorer(backends.trainer, backends.render_demonstration, taxonomy, self._cache, key, keywords)
            self._state.tags = scorer.tag(self._state.problems, progress)
        self._note = f"{len(self._state.tags):,} labelled with {len(taxonomy)} disciplines"
        return []

    def _guess(self, progress: Callable[[int, int], None]) -> list[Dropped]:
        config, backends = self._session.recipe.curation.guess, self._session.backends
        guessed = [p for p in self._state.problems if first_reward(p.reward) not in NOT_GUESSED]
        asks = [Ask(p, backends.render(guess_prompt(p))) for p in guessed]
        settings = Settings(config.attempts, config.temperature, config.max_response_tokens)
        with backends.workers.serving(backends.trainer) as engine:
            asker = self._asker(engine)
            answers = asker.ask(asks, settings, progress, stated_guess(self._session.recipe.rewards.answer_form))
        self._state.guesses = [rights(given) for given in answers.values()]
        left_out = len(self._state.problems) - len(asks)
        self._note = _spent(asker.spent) + (f"; {left_out} have no answer to guess" if left_out else "")
        return find_guessed(asks, answers)

    def _difficulty(self, progress: Callable[[int, int], None]) -> list[Dropped]:
        config, backends = self._session.recipe.curation.difficulty, self._session.backends
        asks = [Ask(problem, self._prompt(problem)) for problem in self._state.problems]
        settings = Settings(config.samples, config.temperature, config.max_response_tokens)
        with backends.workers.serving(backends.trainer) as engine:
            asker = self._asker(engine)
            answers = asker.ask(asks, settings, progress)
            doubtful = to_confirm(asks, answers, config) if config.confirm else []
            if doubtful:
                self._session.display.note(
                    f"{len(doubtful)} would be dropped; {config.samples} answers more each decide"
                )
                twice = replace(settings, samples=2 * config.samples)
                answers |= asker.ask(doubtful, twice, progress)
        self._state.measured, dropped = measure_difficulty(asks, answers, config)
        known = {name: found.problem for name, found in self._state.measured.items()}
        self._state.problems = [known.get(problem.id, problem) for problem in self._state.problems]
        self._note = _spent(asker.spent)
        return dropped

    def _balance(self, progress: Callable[[int, int], None]) -> list[Dropped]:
        tags = {problem.id: self._state.tag(problem) for problem in self._state.problems}
        recipe = self._session.recipe
        return find_over_quota(self._state.problems, tags, recipe.curation.tags, recipe.seed)

    def _prompt(self, problem: Problem) -> tuple[int, ...]:
        return self._session.backends.render(dressed(problem, self._source))

    def _asker(self, engine: Engine) -> Asker:
        recipe, backends = self._session.recipe, self._session.backends
        return asker_for(recipe, backends, engine, self._session.grader, self._cache, self._model_key())

    def _model_key(self) -> str:
        """Names all that an answer depends on beside prompt and settings."""
        if self._model is None:
            self._model = model_key(self._session.recipe, self._session.backends)
        return self._model

    def _telling(self, name: str, bar: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """Progress for people, and now and then for the report."""
        last = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal last
            bar(done, total)
            if time.monotonic() - last >= _SAVE_SECONDS:
                last = time.monotonic()
                self._save(running={"name": name, "done": done, "total": total})

        return tell

    def _save(self, *, finished: bool = False, running: dict[str, Any] | None = None) -> None:
        """Write the present state; while a step is under way, no more than how far it is."""
        state, folder = self._state, self._folder
        if running is None:
            write_problems(folder / PROBLEMS, map(state.labelled, state.problems), state.bands)
            write_dropped(folder / DROPPED, state.fates(), state.bands, state.matches)
        counts = curation_counts(state, self._session.recipe, finished=finished)
        write_counts(folder / COUNTS, counts | ({"running": running} if running else {}))


def _spent(spent: Spent) -> str:
    cached = f", {spent.cached:,} from the cache" if spent.cached else ""
    return f"{spent.generated:,} samples of {spent.tokens:,} tokens generated{cached}"
