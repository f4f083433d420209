"""Domains and disciplines, which problems are tagged with (k1.5, section 2.1), from a file that users can replace."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from perilune.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Discipline:
    """One label."""

    domain: str
    name: str
    keywords: tuple[str, ...] = ()
    """Words or phrases by which rules find it."""

    @property
    def tag(self) -> str:
        """What a problem is tagged with: 'domain/discipline'."""
        return f"{self.domain}/{self.name}"


def load_taxonomy(path: str | None = None) -> tuple[Discipline, ...]:
    """The disciplines of a TOML file, or of the built-in one.

    A table is a domain; its keys are disciplines, their values lists of keywords.

    Raises:
        RecipeError: the file cannot be read, or is not of that form; names the place.
    """
    if path is None:
        return _disciplines(
            tomllib.loads(resources.files(__package__).joinpath("taxonomy.toml").read_text(encoding="utf-8")),
            "taxonomy",
        )
    try:
        table = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read curation.tags.taxonomy {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"curation.tags.taxonomy {path} is not valid TOML: {error}") from None
    return _disciplines(table, path)


def _disciplines(table: dict[str, Any], source: str) -> tuple[Discipline, ...]:
    found = []
    for domain, disciplines in table.items():
        if not isinstance(disciplines, dict) or not disciplines:
            raise RecipeError(
                f'{source}: {domain!r} must be a table of disciplines: [{domain}] "algebra" = ["equation"]'
            )
        for name, keywords in disciplines.items():
            if not isinstance(keywords, list) or not all(isinstance(word, str) and word.strip() for word in keywords):
                raise RecipeError(
                    f"{source}: the keywords of {domain}/{name} must be a list of words, got {keywords!r}"
                )
            found.append(Discipline(domain, name, tuple(keywords)))
    if len(found) < 2:
        raise RecipeError(f"{source}: a taxonomy needs at least two disciplines, this has {len(found)}")
    return tuple(found)
