"""What is told before a run: references that cannot be read, and prompts that ask for another form than is read.

    RUN/references.json    {"train": {"digest": "…", "problems": 500, "unreadable": [{"id": "…", "why": "…"}]}, …}

A run that is resumed takes from there what was left out, so that it goes on with the same problems and at once. Where
the problems themselves have changed, their references are read anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from perilune.data.mapping import dressed
from perilune.errors import ProblemsError
from perilune.recipe.recipe import Recipe
from perilune.report.terminal import Display
from perilune.rewards.pool import GradingPool
from perilune.rewards.prompt_forms import disagreements
from perilune.rewards.references import Unreadable, find_unreadable
from perilune.run.jsonl import replace_lines
from perilune.types import Problem

REFERENCES_FILE = "references.json"
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class SourceReferences:
    """What became of the references of one source."""

    digest: str
    """Of ids, rewards and answers."""
    problems: int
    unreadable: tuple[Unreadable, ...]


References = Mapping[str, SourceReferences]
"""By the source's name: train, heldout."""


@dataclass(frozen=True, slots=True)
class Judgeable:
    """The problems that stay, and what was found."""

    train: tuple[Problem, ...]
    heldout: tuple[Problem, ...]
    references: References


def judgeable(
    recipe: Recipe,
    train: Sequence[Problem],
    heldout: Sequence[Problem],
    grader: GradingPool,
    display: Display,
    *,
    train_is_judgeable: bool = False,
    resume: bool = False,
) -> Judgeable:
    """The problems of a run without those that no response can be judged by; what is wrong with prompts is told too.

    A pile that curation verifies is left to it: it drops the same problems, and its report says so.

    Args:
        recipe: the run's.
        train: a pile where curation is to come, else as the model is asked them.
        heldout: what is measured on.
        grader: has nothing else to grade meanwhile.
        display: told by name of each problem that is left out.
        train_is_judgeable: the training problems have been asked about before.
        resume: what the run's folder knows is not asked again.

    Raises:
        ProblemsError: see :func:`without_unreadable`.
        RewardError: the grading workers cannot work.
    """
    curated = "curate" in recipe.stages
    sources = {"train": tuple(train), "heldout": tuple(heldout)}
    for line in form_lines(recipe, as_the_model_is_asked(recipe, sources)):
        display.warn(line)
    left_to_others = train_is_judgeable or (curated and "verify" in recipe.curation.steps)
    asked = {name: problems for name, problems in sources.items() if not (name == "train" and left_to_others)}
    references = read_references(asked, grader, display, recipe.run_folder if resume else None)
    kept = sources | without_unreadable(recipe, asked, references, display)
    return Judgeable(kept["train"], kept["heldout"], references)


def read_references(
    sources: Mapping[str, Sequence[Problem]], grader: GradingPool, display: Display, folder: Path | None = None
) -> References:
    """Ask the rewards about the references of every source.

    Args:
        sources: problems by the name of their source, each of unique ids.
        grader: has nothing else to grade meanwhile.
        display: shows how far it is.
        folder: of a run that is resumed; what it knows of the same problems is not asked again.

    Raises:
        RewardError: the grading workers cannot work.
    """
    known = _kept(folder) if folder else {}
    found: dict[str, SourceReferences] = {}
    for name, problems in sources.items():
        digest = _digest(problems)
        if name in known and known[name].digest == digest:
            found[name] = known[name]
            continue
        with display.task(f"reading the references of {name}", len(problems)) as bar:
            found[name] = SourceReferences(digest, len(problems), tuple(find_unreadable(problems, grader, bar)))
    return found


def without_unreadable(
    recipe: Recipe, sources: Mapping[str, Sequence[Problem]], references: References, display: Display
) -> dict[str, tuple[Problem, ...]]:
    """The sources without the problems whose references cannot be read, which are told by name.

    Raises:
        ProblemsError: there are such problems and ``rewards.unreadable_references`` is "refuse", or nothing is left.
    """
    kept: dict[str, tuple[Problem, ...]] = {}
    for name, problems in sources.items():
        unreadable = {fault.id for fault in references[name].unreadable}
        kept[name] = tuple(problem for problem in problems if problem.id not in unreadable)
        if not unreadable:
            continue
        told = "\n".join(unreadable_lines(name, references[name], most=MOST_NAMED))
        if not kept[name]:
            raise ProblemsError(
                f"{told}\nSo nothing is left of problems.{name}: check the answer's field in problems.{name}.fields, "
                "and whether problems.*.reward is the one for such answers"
            )
        if recipe.rewards.unreadable_references == "refuse":
            raise ProblemsError(
                f"{told}\nMend or remove them, or set rewards.unreadable_references to 'leave_out'; perilune reward "
                "test RECIPE --all names every one"
            )
        display.warn(f"{told}\nThey are left out; {recipe.run_folder / REFERENCES_FILE} names them all")
    return kept


def keep_references(folder: Path, references: References) -> None:
    """Write what was found into a run's folder.

    Raises:
        RunFolderError: the file cannot be written.
    """
    text = json.dumps({name: asdict(found) for name, found in references.items()}, indent=1)
    replace_lines(folder / REFERENCES_FILE, [text + "\n"])


def unreadable_lines(source: str, references: SourceReferences, most: int | None = None) -> list[str]:
    """How many references of a source cannot be read, and then each by name with why, or the first of them."""
    faults = references.unreadable
    if not faults:
        return [f"{source}: all of {references.problems:,} reference answers can be read"]
    lines = [f"{source}: {len(faults):,} of {references.problems:,} reference answers cannot be read:"]
    lines += [f"  {fault.id}: {fault.why}" for fault in faults[:most]]
    if most is not None and len(faults) > most:
        lines.append(f"  … and {len(faults) - most:,} more")
    return lines


def as_the_model_is_asked(recipe: Recipe, sources: Mapping[str, Sequence[Problem]]) -> dict[str, Iterable[Problem]]:
    """A pile that is to be curated has its prompt template still to come."""
    curated = "curate" in recipe.stages
    return {
        name: (dressed(p, recipe.problems.train) for p in problems) if curated and name == "train" else problems
        for name, problems in sources.items()
    }


def form_lines(recipe: Recipe, sources: Mapping[str, Iterable[Problem]]) -> list[str]:
    """Where prompts ask for another form of answer than the reward reads; the problems are as the model gets them."""
    form, system = recipe.rewards.answer_form, recipe.model.system_prompt
    return [
        found.told(name, form) for name, problems in sources.items() for found in disagreements(problems, form, system)
    ]


def _kept(folder: Path) -> dict[str, SourceReferences]:
    """What the run's folder says; nothing where it says nothing that can be read."""
    try:
        stored: dict[str, Any] = json.loads((folder / REFERENCES_FILE).read_text(encoding="utf-8"))
        return {
            name: SourceReferences(
                str(found["digest"]),
                int(found["problems"]),
                tuple(Unreadable(str(fault["id"]), str(fault["why"])) for fault in found["unreadable"]),
            )
            for name, found in stored.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _digest(problems: Sequence[Problem]) -> str:
    hashed = blake2b(digest_size=16)
    for problem in problems:
        hashed.update(json.dumps([problem.id, problem.reward, problem.answer, problem.row]).encode("ascii"))
    return hashed.hexdigest()
