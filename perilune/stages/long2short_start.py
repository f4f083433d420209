"""Where the second RL phase starts: "the best balance between performance and token efficiency" (k1.5, section 2.4).

The candidates answer training problems; the held-out ones stay unseen by the choice.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from perilune.algorithm.long2short import Balance, best_balanced
from perilune.curation.asking import Ask, Settings, rights
from perilune.curation.sample_cache import SampleCache
from perilune.curation.spread import evenly
from perilune.recipe.long2short import StartConfig
from perilune.recipe.recipe import MODEL_AFTER
from perilune.rewards.pool import GradingPool
from perilune.stages.asking import asker_for, model_key
from perilune.stages.long2short_models import LONG, Models
from perilune.stages.subruns import Subruns
from perilune.stages.watched import watched
from perilune.types import Verdict


def own_candidates(models: Models) -> dict[str, str]:
    """Name → folder of the long model and of what the run kept on its way to it, in the order of time."""
    recipe, found = models.recipe, {LONG: models.long}
    if models.config.long_model is None:
        folders = sorted((recipe.run_folder / "models").iterdir(), key=lambda path: path.stat().st_mtime)
        after = {MODEL_AFTER[stage] for stage in recipe.stages if stage in MODEL_AFTER}
        own = [folder for folder in folders if folder.name in after or folder.name.startswith("iteration-")]
        found |= {f.name: str(f) for f in own if (f / "config.json").exists() and str(f) != found[LONG]}
    return found


def choose_start(subruns: Subruns, models: Models, candidates: Mapping[str, str]) -> dict[str, Any]:
    """Pick a candidate by the recipe's rule.

    Args:
        subruns: to ask the candidates with; idle meanwhile.
        models: whose cache keeps the answers.
        candidates: name → model; a single one is picked unasked.

    Returns:
        Ready for JSON: the rule, what is told of the choice, a row of figures for each candidate, the names of them
        all, and the one that was picked.
    """
    config = models.config.start
    if len(candidates) == 1:
        ((name, _),) = candidates.items()
        told = f"long2short RL starts from {name}, the only candidate"
        return {"rule": config.rule, "told": told, "candidates": [], "folders": [name], "picked": name}
    balances = {name: _balance(subruns, models, name, model) for name, model in candidates.items()}
    picked = best_balanced(balances, config.rule, tolerance=config.tolerance, price=config.price)
    rows = [
        {"name": name, "accuracy": b.accuracy, "mean_tokens": b.mean_tokens, "picked": name == picked}
        for name, b in balances.items()
    ]
    seen = "; ".join(f"{name} {b.accuracy:.1%} at {b.mean_tokens:.0f} tokens" for name, b in balances.items())
    told = f"long2short RL starts from {picked}, by the rule {_told_rule(config)}: {seen}"
    return {"rule": config.rule, "told": told, "candidates": rows, "folders": list(candidates), "picked": picked}


def _balance(subruns: Subruns, models: Models, name: str, model: str) -> Balance:
    """Accuracy and length on training problems, greedy; answers are cached."""
    recipe = subruns.recipe
    problems = evenly(subruns.loaded.train[::-1], lambda p: (p.tags, p.difficulty), models.config.start.problems)
    named = recipe.model.model_copy(update={"name": model, "revision": None})
    backends = watched(subruns.build(recipe.model_copy(update={"model": named})), recipe)
    cache = SampleCache(models.samples)
    settings = Settings(1, 0.0, recipe.evaluation.max_response_tokens)
    try:
        with (
            closing(backends.workers),
            GradingPool(recipe.rewards, on_event=subruns.display.note) as grader,
            backends.watchdog.watching(models.folder),
            subruns.display.task(f"candidate {name}", len(problems)) as progress,
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


def _told_rule(config: StartConfig) -> str:
    return {
        "shortest_within": f"fewest tokens within {config.tolerance:.1%} of the best accuracy",
        "balance": f"accuracy less {config.price:g} x tokens / tokens of the longest",
        "most_accurate": "best accuracy",
    }[config.rule]
