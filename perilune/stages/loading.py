"""What a run reads before it begins: each file once, whatever needs it later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from perilune.curation.taxonomy import load_taxonomy
from perilune.data.demonstrations import WorkedSolutions
from perilune.data.problems import load_pile, load_problems
from perilune.data.records import READERS, read_records
from perilune.recipe.problems import SourceConfig
from perilune.recipe.recipe import Recipe
from perilune.types import Problem


@dataclass(frozen=True, slots=True)
class Loaded:
    """The problems of a recipe, and what came with them."""

    train: tuple[Problem, ...]
    """A pile where curation is to come."""
    heldout: tuple[Problem, ...]
    sets: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    """What the prompt set must not contain, by name; empty where nothing is curated."""
    worked: WorkedSolutions | None = None
    """What the training problems' rows brought for the warm-up; None where it makes or reads its own."""


def load_for(recipe: Recipe) -> Loaded:
    """Read the sources of a recipe.

    Raises:
        ProblemsError: a source, or an evaluation set of the curation, cannot be read.
        RecipeError: the taxonomy of the curation cannot be used.
        BackendUnavailable: a source needs a package that is not installed.
    """
    source, heldout, curates = recipe.problems.train, recipe.problems.heldout, "curate" in recipe.stages
    worked = WorkedSolutions(source, recipe.sft.response, recipe.sft.count) if _warms_up_on_solutions(recipe) else None
    rows = read_records(source) if worked else None
    if worked and rows:
        rows = worked.passing(rows)
    # Curation takes a pile as it is, and says itself what it cannot use.
    train = (load_pile if curates else load_problems)(source, "train", rows)
    if not curates:
        return Loaded(tuple(train), tuple(load_problems(heldout, "heldout")), worked=worked)
    load_taxonomy(recipe.curation.tags.taxonomy)
    piled = recipe.curation.contamination.heldout and "contamination" in recipe.curation.steps
    kept = list(read_records(heldout)) if piled and heldout.kind in READERS else None
    measured = tuple(load_problems(heldout, "heldout", kept))
    sets = {"heldout": load_pile(heldout, "heldout", kept)} if piled else {}
    sets |= {named.name: load_pile(named, "heldout") for named in recipe.curation.contamination.sets}
    return Loaded(tuple(train), measured, sets, worked)


def _warms_up_on_solutions(recipe: Recipe) -> bool:
    """Whether the demonstrations of the stage sft are worked solutions in the rows of the training problems."""
    written = recipe.sft.demonstrations is not None or {"sample", "warmup"} & set(recipe.stages)
    return "sft" in recipe.stages and not written and _has_solutions(recipe.problems.train)


def _has_solutions(source: SourceConfig) -> bool:
    """Whether a source's rows bring worked solutions."""
    return source.kind in READERS and (source.fields.solution is not None or source.form is not None)
