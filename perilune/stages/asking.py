"""A model with its judge and a cache of samples, for the stages that ask it many times."""

from __future__ import annotations

from pathlib import Path

from perilune.curation.asking import Asker, rewards_key
from perilune.curation.sample_cache import SampleCache, cache_key, model_digest
from perilune.protocols import Engine
from perilune.recipe.recipe import Recipe
from perilune.rewards.pool import GradingPool
from perilune.stages.backends import Backends


def model_key(recipe: Recipe, backends: Backends) -> str:
    """Names all that an answer depends on beside prompt and settings: the weights, and how they compute."""
    engine = recipe.engine.model_dump(mode="json", exclude={"slots", "timeout_seconds"})
    return cache_key(model_digest(backends.trainer), engine)


def asker_for(
    recipe: Recipe, backends: Backends, engine: Engine, grader: GradingPool, cache: SampleCache, model: str
) -> Asker:
    """An asker of the engine, whose model has this key."""
    settings = recipe.rewards.model_dump(mode="json")
    # What a file of the user's own says, not where it lies.
    own = {name: Path(place).read_bytes().hex() for name, place in recipe.rewards.files.items()}
    judge = rewards_key(settings | ({"own": cache_key(own)} if own else {}))
    return Asker(engine, grader, backends.decode, cache, model, judge, recipe.seed)
