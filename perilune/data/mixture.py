"""The source of kind generator: a mixture of built-in generators, of several difficulties each."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from perilune.data.generators import AnswerForm, Split, Style, generate
from perilune.data.mapping import dressed
from perilune.errors import ProblemsError
from perilune.recipe.problems import GeneratorConfig, SourceConfig
from perilune.types import Demonstration


def generated(
    source: SourceConfig,
    split: Split,
    count: int,
    seed: int,
    *,
    style: Style = "long",
    answer_form: AnswerForm = "answer_line",
) -> list[Demonstration]:
    """``count`` problems of the source's mixture with their worked responses, the prompt template applied."""
    if not source.generators:
        raise ProblemsError("a source of kind 'generator' needs at least one [[generators]] table")
    rng = Random(f"mixture/{seed}/{split}")
    streams: dict[tuple[str, int], Iterator[Demonstration]] = {}
    found: dict[str, Demonstration] = {}
    while len(found) < count:
        spec: GeneratorConfig = rng.choices(source.generators, [g.weight for g in source.generators])[0]
        key = (spec.name, rng.choice(spec.difficulties))
        if key not in streams:
            streams[key] = generate(*key, seed, split, style=style, answer_form=answer_form)
        shown = next(streams[key])
        # Two difficulties of one generator may tell the same story.
        found.setdefault(shown.problem.id, Demonstration(dressed(shown.problem, source), shown.response))
    return list(found.values())
