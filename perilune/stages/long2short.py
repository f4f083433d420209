"""The stage long2short: several ways from a long-CoT model to short answers, side by side (k1.5, section 2.4).

    merge      the average of the weights of the long and the short model
    shortest   n responses per problem, SFT on the shortest right one
    dpo        the shortest right response preferred to longer ones
    rl         a second RL phase with the length reward and a much smaller maximum length

Steps are joined where one goes on from another's model (merge+shortest). Each is a run within the run, in
``RUN/long2short/<method>/``; its model comes to ``RUN/long2short/models/<method>``. All are measured on the same
held-out problems with the same seeds. ``RUN/long2short/`` holds results.json, report.html and tradeoff.svg.
"""

from __future__ import annotations

import time
from pathlib import Path

from perilune.errors import BackendUnavailable, RecipeError
from perilune.evaluation.responses import read_responses
from perilune.recipe.recipe import Recipe
from perilune.recipe.training import RLConfig
from perilune.report.long2short_data import FOLDER
from perilune.stages.backends import Merge
from perilune.stages.long2short_models import LONG, MODEL_OF, SHORT, SHORT_SFT, Models, last_step, parent_of, title_of
from perilune.stages.long2short_outcome import Outcome
from perilune.stages.long2short_start import choose_start, own_candidates
from perilune.stages.subruns import Subruns, measured
from perilune.types import ScoredResponse


def check_long2short(recipe: Recipe, merge: Merge | None) -> None:
    """Look, before a run begins, whether long2short has what it needs.

    Raises:
        RecipeError: merging has no short model; or a starting candidate is neither a method nor a folder.
        BackendUnavailable: nothing here can merge.
    """
    config = recipe.long2short
    if "merge" in config.models:
        if merge is None:
            raise BackendUnavailable("nothing here merges models: give run_pipeline a merge, as the command line does")
        made = "short_sft" in recipe.stages or (recipe.run_folder / "models" / SHORT).exists()
        if config.short_model is None and not made:
            raise RecipeError(
                "merging needs a short-CoT model: put the stage short_sft before long2short, name one in "
                "long2short.short_model, or leave merge out of long2short.methods"
            )
    for name in config.start.candidates:
        if name not in (LONG, *config.models) and not (Path(name).expanduser() / "config.json").exists():
            raise RecipeError(
                f"long2short.start.candidates: {name!r} is neither a model's folder nor one of this recipe's "
                f"({', '.join((LONG, *config.models))})"
            )


def make_short_model(subruns: Subruns) -> Path:
    """The stage short_sft: a model of short answers from the recipe's model, in ``RUN/models/short``."""
    place = subruns.folder / SHORT_SFT
    if not measured(place, "warmup") or not subruns.model(SHORT).exists():
        subruns.display.heading("short-CoT model: SFT on short answers, from the base")
        subruns.run(SHORT_SFT, ("sft",), subruns.recipe.model.name, sft=subruns.recipe.short_sft)
    return subruns.take_model(place, "warmup", subruns.model(SHORT))


def long2short(subruns: Subruns, merge: Merge | None) -> Path:
    """Make and measure every model that is still to come; return the folder with the outcome.

    Raises:
        PeriluneError: what a user can mend; what was finished stays.
    """
    return _Long2Short(subruns, merge).run()


class _Long2Short:
    """One long2short under way."""

    def __init__(self, subruns: Subruns, merge: Merge | None) -> None:
        self._subruns, self._merge = subruns, merge
        self._models = Models(subruns.recipe)
        self._config = self._models.config
        self._outcome = Outcome(self._models)

    def run(self) -> Path:
        """All models in turn; the outcome is written after each."""
        display, names = self._subruns.display, self._models.names
        for number, name in enumerate(names, 1):
            display.heading(f"long2short {number} of {len(names)}: {title_of(name)}")
            model = self._model(name)
            self._outcome.measured[name] = self._responses(name, model)
            self._outcome.write(finished=number == len(names))
        display.show(self._outcome.lines())
        return self._models.folder

    def _model(self, name: str) -> str:
        """The model of that name, made if it is not there."""
        if name == LONG:
            return self._models.long
        if name == SHORT:
            return self._models.short
        if name == "merge":
            return self._merged()
        parent = self._picked() if name == "rl" else self._model(parent_of(name))
        return self._trained(name, parent)

    def _merged(self) -> str:
        target = self._models.made("merge")
        if not target.exists():
            assert self._merge is not None
            started = time.monotonic()
            models = [self._model(LONG), self._model(SHORT)]
            with self._subruns.display.task("merge", 1) as progress:
                self._merge(
                    models, target, config=self._config.merge, base=self._subruns.recipe.model.name, progress=progress
                )
            self._outcome.seconds["merge"] = time.monotonic() - started
        return str(target)

    def _trained(self, name: str, parent: str) -> str:
        """A run within the run, its model moved to the others."""
        step, folder, target = last_step(name), self._models.run(name), self._models.made(name)
        made = MODEL_OF[step]
        if not measured(folder, made) or not (target.exists() or (folder / "models" / made).exists()):
            self._train(name, step, parent)
        return str(self._subruns.take_model(folder, made, target))

    def _train(self, name: str, step: str, parent: str) -> None:
        place = f"{FOLDER}/{name}"
        if step == "rl":
            self._subruns.run(place, ("rl",), parent, rl=self._rl())
            return
        sample = self._subruns.recipe.sample
        if not sample.cache:
            sample = sample.model_copy(update={"cache": str(self._models.samples.resolve())})
        if step == "shortest":
            self._subruns.run(place, ("sample", "sft"), parent, sample=sample, sft=self._config.sft)
        else:
            self._subruns.run(place, ("sample", "dpo"), parent, sample=sample)

    def _rl(self) -> RLConfig:
        """The second phase's settings, with the bands of difficulty that curation has found."""
        found = self._subruns.recipe.rl.sampling
        config = RLConfig.model_validate(self._config.rl.model_dump())
        if config.sampling.hard_difficulty is not None or found.hard_difficulty is None:
            return config
        bands = {"medium_difficulty": found.medium_difficulty, "hard_difficulty": found.hard_difficulty}
        return config.model_copy(update={"sampling": config.sampling.model_copy(update=bands)})

    def _picked(self) -> str:
        """Where the second RL phase starts, by the rule; the choice is made once."""
        outcome, candidates = self._outcome, self._candidates()
        if outcome.start is None or set(outcome.start["folders"]) != set(candidates):
            outcome.start = choose_start(self._subruns, self._models, candidates)
            outcome.write(finished=False)
        self._subruns.display.note(outcome.start["told"])
        return candidates[outcome.start["picked"]]

    def _candidates(self) -> dict[str, str]:
        """Name → model: what the recipe names, methods made if they are not there; else what the run has of its own."""
        named = self._config.start.candidates
        if not named:
            return own_candidates(self._models)
        return {name: self._model(name) if name in (LONG, *self._config.models) else name for name in named}

    def _responses(self, name: str, model: str) -> list[ScoredResponse]:
        """The model's answers to the held-out problems, given now if they are not there."""
        subruns, folder, step = self._subruns, self._models.run(name), last_step(name)
        if name == LONG and self._config.long_model is None:
            # The run has measured it, with the same seeds.
            own = subruns.folder / "evaluations" / f"{Path(model).name}.jsonl"
            if Path(model).parent == subruns.folder / "models" and own.exists():
                return read_responses(own)
        if name == SHORT and self._config.short_model is None:
            return read_responses(subruns.folder / SHORT_SFT / "evaluations" / "warmup.jsonl")
        if step in MODEL_OF:
            return read_responses(folder / "evaluations" / f"{MODEL_OF[step]}.jsonl")
        if not measured(folder, "base"):
            subruns.run(f"{FOLDER}/{name}", (), model)
        return read_responses(folder / "evaluations" / "base.jsonl")
