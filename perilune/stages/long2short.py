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

import gc
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from perilune.algorithm.long2short import Balance, best_balanced
from perilune.curation.asking import Ask, Settings, rights
from perilune.curation.sample_cache import SampleCache
from perilune.curation.spread import evenly
from perilune.errors import BackendUnavailable, RecipeError
from perilune.evaluation.responses import read_responses
from perilune.evaluation.tradeoff import Point, told_order, trade_off
from perilune.recipe.recipe import Recipe
from perilune.recipe.training import RLConfig
from perilune.report.long2short_data import FOLDER
from perilune.report.long2short_page import long2short_lines, write_long2short_report
from perilune.rewards.pool import GradingPool
from perilune.run.jsonl import json_line, replace_lines
from perilune.run.metrics import read_metrics
from perilune.stages.asking import asker_for, model_key
from perilune.stages.backends import Merge
from perilune.stages.sample import FOLDER as SAMPLING
from perilune.stages.sample import SUMMARY_FILE
from perilune.stages.subruns import Subruns
from perilune.stages.watched import watched
from perilune.types import ScoredResponse, Verdict

RESULTS = "results.json"
LONG, SHORT = "long", "short"
_SHORT_SFT = "short_sft"
_MODEL_AFTER = (("rl", "final"), ("dpo", "dpo"), ("sft", "warmup"))
_TITLES = {
    "merge": "merging",
    "shortest": "shortest rejection sampling",
    "dpo": "DPO",
    "rl": "long2short RL",
}
_EXAMPLES = 3


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
    place = subruns.folder / _SHORT_SFT
    if not _measured(place, "warmup") or not subruns.model(SHORT).exists():
        subruns.display.heading("short-CoT model: SFT on short answers, from the base")
        subruns.run(_SHORT_SFT, ("sft",), subruns.recipe.model.name, sft=subruns.recipe.short_sft)
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
        self._config = subruns.recipe.long2short
        self._folder = subruns.folder / FOLDER
        self._before = _read(self._folder / RESULTS)
        self._measured: dict[str, list[ScoredResponse]] = {}
        self._seconds: dict[str, float] = {}
        self._start: dict[str, Any] | None = self._before.get("start")

    @property
    def _names(self) -> tuple[str, ...]:
        merged = "merge" in self._config.models
        return (LONG, *([SHORT] if merged else []), *self._config.models)

    def run(self) -> Path:
        """All models in turn; the outcome is written after each."""
        display = self._subruns.display
        for number, name in enumerate(self._names, 1):
            display.heading(f"long2short {number} of {len(self._names)}: {_title(name)}")
            model = self._model(name)
            self._measured[name] = self._responses(name, model)
            self._write(finished=number == len(self._names))
        results = _read(self._folder / RESULTS)
        display.show([*long2short_lines(results), f"report: {self._folder / 'report.html'}"])
        return self._folder

    def _model(self, name: str) -> str:
        """The model of that name, made if it is not there."""
        if name == LONG:
            return self._long()
        if name == SHORT:
            return self._config.short_model or str(self._subruns.model(SHORT))
        *earlier, step = name.split("+")
        if name == "merge":
            return self._merged()
        parent = self._picked() if name == "rl" else self._model("+".join(earlier) or LONG)
        return self._trained(name, step, parent)

    def _made(self, name: str) -> Path:
        """Where a method's model is kept."""
        return self._folder / "models" / name

    def _long(self) -> str:
        """The model that the recipe names, else that of this run's last stage that trained one, else the recipe's."""
        if self._config.long_model is not None:
            return self._config.long_model
        stages = self._subruns.recipe.stages
        trained = [stage for stage in stages if stage in dict(_MODEL_AFTER)]
        if not trained:
            return self._subruns.recipe.model.name
        return str(self._subruns.model(dict(_MODEL_AFTER)[trained[-1]]))

    def _merged(self) -> str:
        target = self._made("merge")
        if not target.exists():
            assert self._merge is not None
            started = time.monotonic()
            models = [self._model(LONG), self._model(SHORT)]
            with self._subruns.display.task("merge", 1) as progress:
                self._merge(
                    models, target, config=self._config.merge, base=self._subruns.recipe.model.name, progress=progress
                )
            self._seconds["merge"] = time.monotonic() - started
        return str(target)

    def _trained(self, name: str, step: str, parent: str) -> str:
        """A run within the run, its model moved to the others."""
        place, made = f"{FOLDER}/{name}", {"shortest": "warmup", "dpo": "dpo", "rl": "final"}[step]
        folder = self._subruns.folder / place
        if not _measured(folder, made) or not (self._made(name).exists() or (folder / "models" / made).exists()):
            if step == "rl":
                self._subruns.run(place, ("rl",), parent, rl=self._rl())
            else:
                # All methods share one cache, so that a model is asked for each response once.
                cache = {"cache": str((self._folder / "samples.sqlite").resolve())}
                sample = self._subruns.recipe.sample
                sample = sample if sample.cache else sample.model_copy(update=cache)
                stages = ("sample", "sft" if step == "shortest" else "dpo")
                changes = {"sft": self._config.sft} if step == "shortest" else {}
                self._subruns.run(place, stages, parent, sample=sample, **changes)  # type: ignore[arg-type]
        return str(self._subruns.take_model(folder, made, self._made(name)))

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
        candidates = self._candidates()
        if self._start is None or set(self._start["folders"]) != set(candidates):
            self._start = self._choose(candidates)
            self._write(finished=False)
        self._subruns.display.note(self._start["told"])
        return candidates[self._start["picked"]]

    def _candidates(self) -> dict[str, str]:
        """Name → model."""
        named = self._config.start.candidates
        if named:
            return {name: self._model(name) if name in (LONG, *self._config.models) else name for name in named}
        found = {LONG: self._long()}
        if self._config.long_model is None:
            folders = sorted((self._subruns.folder / "models").iterdir(), key=lambda path: path.stat().st_mtime)
            after = {dict(_MODEL_AFTER)[stage] for stage in self._subruns.recipe.stages if stage in dict(_MODEL_AFTER)}
            own = [folder for folder in folders if folder.name in after or folder.name.startswith("iteration-")]
            found |= {f.name: str(f) for f in own if (f / "config.json").exists() and str(f) != found[LONG]}
        return found

    def _choose(self, candidates: Mapping[str, str]) -> dict[str, Any]:
        config = self._config.start
        if len(candidates) == 1:
            ((name, _),) = candidates.items()
            told = f"long2short RL starts from {name}, the only candidate"
            return {"rule": config.rule, "told": told, "candidates": [], "folders": [name], "picked": name}
        balances = {name: self._balance(name, model) for name, model in candidates.items()}
        picked = best_balanced(balances, config.rule, tolerance=config.tolerance, price=config.price)
        rows = [
            {"name": name, "accuracy": b.accuracy, "mean_tokens": b.mean_tokens, "picked": name == picked}
            for name, b in balances.items()
        ]
        seen = "; ".join(f"{name} {b.accuracy:.1%} at {b.mean_tokens:.0f} tokens" for name, b in balances.items())
        told = f"long2short RL starts from {picked}, by the rule {_rule(self._subruns.recipe)}: {seen}"
        return {"rule": config.rule, "told": told, "candidates": rows, "folders": list(candidates), "picked": picked}

    def _balance(self, name: str, model: str) -> Balance:
        """Accuracy and length on training problems, greedy; answers are cached."""
        recipe, config = self._subruns.recipe, self._config.start
        problems = evenly(self._subruns.train[::-1], lambda p: (p.tags, p.difficulty), config.problems)
        named = recipe.model.model_copy(update={"name": model, "revision": None})
        backends = watched(self._subruns.build(recipe.model_copy(update={"model": named})), recipe)
        cache = SampleCache(self._folder / "samples.sqlite")
        settings = Settings(1, 0.0, recipe.evaluation.max_response_tokens)
        try:
            with (
                closing(backends.workers),
                GradingPool(recipe.rewards, on_event=self._subruns.display.note) as grader,
                backends.watchdog.watching(self._folder),
                self._subruns.display.task(f"candidate {name}", len(problems)) as progress,
                backends.workers.serving(backends.trainer) as engine,
            ):
                asker = asker_for(recipe, backends, engine, grader, cache, model_key(recipe, backends))
                answers = asker.ask([Ask(p, backends.render(p)) for p in problems], settings, progress)
        finally:
            cache.close()
        del backends, engine, asker
        gc.collect()
        graded = [a for (a,) in answers.values() if a.grade.verdict is not Verdict.ERROR]
        tokens = [a.tokens for (a,) in answers.values()]
        return Balance(rights(graded) / max(1, len(graded)), sum(tokens) / len(tokens))

    def _responses(self, name: str, model: str) -> list[ScoredResponse]:
        """The model's answers to the held-out problems, given now if they are not there."""
        subruns = self._subruns
        if name == LONG and self._config.long_model is None:
            # The run has measured it, with the same seeds.
            own = subruns.folder / "evaluations" / f"{Path(model).name}.jsonl"
            if Path(model).parent == subruns.folder / "models" and own.exists():
                return read_responses(own)
        if name == SHORT and self._config.short_model is None:
            return read_responses(subruns.folder / _SHORT_SFT / "evaluations" / "warmup.jsonl")
        step = name.rsplit("+", maxsplit=1)[-1]
        trained = {"shortest": "warmup", "dpo": "dpo", "rl": "final"}
        if step in trained:
            return read_responses(self._folder / name / "evaluations" / f"{trained[step]}.jsonl")
        folder = self._folder / name
        if not _measured(folder, "base"):
            subruns.run(f"{FOLDER}/{name}", (), model)
        return read_responses(folder / "evaluations" / "base.jsonl")

    def _write(self, *, finished: bool) -> None:
        """What is known so far, as figures and as a page."""
        points = {point.name: point for point in trade_off(self._measured, LONG)} if self._measured else {}
        config = self._subruns.recipe.evaluation
        told = list(told_order(tuple(points.values()))) if len(points) > 1 else []
        problems = len({response.problem.id for response in self._measured.get(LONG, [])})
        results = {
            "name": self._subruns.recipe.name,
            "finished": finished,
            "reference": LONG,
            "models": [self._row(name, points.get(name)) for name in self._names],
            "sampling": self._sampling(),
            "start": self._start,
            "settings": {
                "problems": problems,
                "max_response_tokens": config.max_response_tokens,
                "samples": config.samples,
                "seed": self._subruns.recipe.seed,
            },
            "orders": told,
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_lines(self._folder / RESULTS, [json.dumps(json.loads(json_line(results)), indent=2) + "\n"])
        replace_lines(self._folder / "examples.json", [json_line(self._examples())])
        write_long2short_report(self._folder)

    def _row(self, name: str, point: Point | None) -> dict[str, Any]:
        folder = {LONG: self._long(), SHORT: self._config.short_model or "models/short"}.get(
            name, f"{FOLDER}/models/{name}"
        )
        earlier = "+".join(name.split("+")[:-1])
        parent: str | None = earlier or LONG
        if name in (LONG, SHORT):
            parent = None
        if name == "rl" and self._start is not None:
            parent = self._start["picked"]
        row = {"name": name, "title": _title(name), "folder": folder, "from": parent, "facts": self._facts(name)}
        measured = {"seconds": None} if point is None else {"seconds": self._spent(name), "point": point.to_dict()}
        return row | measured

    def _facts(self, name: str) -> list[list[str]]:
        """What is worth knowing of how a model was made."""
        step, recipe = name.rsplit("+", maxsplit=1)[-1], self._subruns.recipe
        if step == "merge":
            merge = self._config.merge
            return [["method", merge.method], ["weight of the long model", f"{merge.long_weight:g}"]]
        if step == SHORT and self._config.short_model is None:
            return [["SFT steps", str(_count(self._subruns.folder / _SHORT_SFT, "sft_step"))]]
        folder = self._folder / name
        if step == "shortest":
            return [
                ["SFT steps", str(_count(folder, "sft_step"))],
                ["learning rate", f"{self._config.sft.learning_rate:g}"],
            ]
        if step == "dpo":
            last = [event for event in _events(folder) if event["event"] == "dpo_step"][-4:]
            margins = [event["margin"] for event in last if event.get("margin") is not None]
            margin = f"{sum(margins) / len(margins):.2f} nats" if margins else "–"
            return [
                ["steps", str(_count(folder, "dpo_step"))],
                ["beta", f"{recipe.dpo.beta:g}"],
                ["last margin", margin],
            ]
        if step == "rl":
            rl = self._config.rl
            return [
                ["iterations", str(_count(folder, "iteration"))],
                ["length reward", f"{rl.length_reward.weight:g}"],
                ["maximum length", str(rl.max_response_tokens)],
            ]
        return []

    def _sampling(self) -> dict[str, dict[str, Any]]:
        """Model that was asked → counts."""
        found: dict[str, dict[str, Any]] = {}
        for name in self._config.models:
            summary = _read(self._folder / name / SAMPLING / SUMMARY_FILE)
            if summary:
                found["+".join(name.split("+")[:-1]) or LONG] = summary
        return found

    def _spent(self, name: str) -> float | None:
        """Seconds that making and measuring took, all sessions together."""
        kept = {row["name"]: row.get("seconds") for row in self._before.get("models", [])}
        folder = self._subruns.folder / _SHORT_SFT if name == SHORT else self._folder / name
        phases = [event["phases"] for event in _events(folder) if event["event"] == "seconds"]
        seconds = sum(value or 0.0 for table in phases for value in table.values())
        if name == "merge" and name not in self._seconds:
            return kept.get(name) or seconds or None
        return round(seconds + self._seconds.get(name, 0.0), 1) or None

    def _examples(self) -> list[dict[str, Any]]:
        """Held-out problems that the long model solved, with every model's answer; of several lengths."""
        by_model = {
            name: {response.problem.id: response for response in responses if response.sample == 0}
            for name, responses in self._measured.items()
        }
        solved = [r for r in by_model.get(LONG, {}).values() if r.grade.verdict is Verdict.RIGHT]
        solved.sort(key=lambda response: response.tokens)
        places = {len(solved) * (1 + 2 * place) // (2 * _EXAMPLES) for place in range(_EXAMPLES)} if solved else set()
        return [
            {
                "question": solved[place].problem.messages[-1].content,
                "answer": solved[place].problem.answer,
                "responses": [
                    {
                        "model": name,
                        "text": answers[solved[place].problem.id].response,
                        "tokens": answers[solved[place].problem.id].tokens,
                        "verdict": answers[solved[place].problem.id].grade.verdict.value,
                    }
                    for name, answers in by_model.items()
                ],
            }
            for place in sorted(places)
        ]


def _title(name: str) -> str:
    if name in (LONG, SHORT):
        return f"{name}-CoT model"
    return ", then ".join(_TITLES[step] for step in name.split("+"))


def _rule(recipe: Recipe) -> str:
    config = recipe.long2short.start
    return {
        "shortest_within": f"fewest tokens within {config.tolerance:.1%} of the best accuracy",
        "balance": f"accuracy less {config.price:g} x tokens / tokens of the longest",
        "most_accurate": "best accuracy",
    }[config.rule]


def _measured(folder: Path, name: str) -> bool:
    """Whether a run within has measured its model, for good."""
    told = any(event["event"] == "evaluation" and event.get("name") == name for event in _events(folder))
    return told and (folder / "evaluations" / f"{name}.jsonl").exists()


def _events(folder: Path) -> Sequence[Mapping[str, Any]]:
    return read_metrics(folder) if (folder / "metrics.jsonl").exists() else []


def _count(folder: Path, event: str) -> int:
    return len({found["step"] for found in _events(folder) if found["event"] == event})


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
