"""docs/recipe.md says what the recipe's fields are now.

Rewrite its tables with: python tests/recipe/test_recipe_docs.py
"""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from perilune.recipe.problems import GeneratorConfig
from perilune.recipe.recipe import Recipe, describe_fields, load_recipe

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "recipe.md"
BEGIN, END = "<!-- fields: begin -->\n", "<!-- fields: end -->\n"
REGENERATE = "docs/recipe.md is out of date; rewrite its tables with: python tests/recipe/test_recipe_docs.py"


def tables() -> str:
    """Every field in Markdown, one table per table of the recipe."""
    rows = defaultdict(list)
    for name, default, meaning in describe_fields():
        table, _, key = name.rpartition(".")
        rows[table].append((key, default, meaning))
    # problems.train and problems.heldout are of one kind; that is said once.
    assert [key for key, _, _ in rows["problems.train"]] == [key for key, _, _ in rows["problems.heldout"]]
    parts = []
    for table, fields in rows.items():
        if table.startswith("problems.heldout"):
            continue
        parts.append(markdown(heading(table), section_of(table), fields))
        if table == "problems.train":
            parts.append(markdown("`[[problems.*.generators]]`", GeneratorConfig, describe_fields(GeneratorConfig)))
    return "\n".join(parts)


def heading(table: str) -> str:
    if not table:
        return "Top level"
    other = f" and `[{table.replace('train', 'heldout')}]`" if table.startswith("problems.") else ""
    return f"`[{table}]`{other}"


def section_of(table: str) -> Any:
    section: Any = Recipe
    for part in table.split(".") if table else []:
        section = section.model_fields[part].annotation
    return section


def markdown(title: str, section: Any, fields: list[tuple[str, str, str]]) -> str:
    meaning = section.__doc__.splitlines()[0].rpartition("]: ")[2].removeprefix("k1.5, ")
    lines = [f"### {title}", "", meaning[0].upper() + meaning[1:], "", "| field | default | meaning |", "|---|---|---|"]
    for key, default, text in fields:
        choices = ", ".join(f"`{choice}`" for choice in choices_of(section.model_fields[key].annotation))
        lines.append(f"| `{key}` | {toml(default)} | {escaped(text)}{f' One of {choices}.' if choices else ''} |")
    return "\n".join([*lines, ""])


def choices_of(kind: Any) -> list[str]:
    """The values of a Literal, also within a tuple; none where there is no choice."""
    if get_origin(kind) is Literal:
        return list(get_args(kind)) if len(get_args(kind)) > 1 else []
    return [choice for inner in get_args(kind) for choice in choices_of(inner)]


def toml(default: str) -> str:
    if default == "(required)":
        return "required"
    value = ast.literal_eval(default)
    return "–" if value is None else f"`{json.dumps(value)}`"


def escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;").replace("#", "\\#")


def page_with(generated: str) -> str:
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    return f"{before}{BEGIN}\n{generated}\n{END}{after}"


def test_the_page_lists_every_field_as_it_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_with(tables()), REGENERATE


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_tree_is_valid(path: Path) -> None:
    assert load_recipe(path).name == path.stem


PAGES = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))


@pytest.mark.parametrize("page", [page for page in PAGES if page not in {"docs/log.md", "CHANGELOG.md"}])
def test_the_docs_name_files_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:perilune|tests|recipes|docs|benchmarks)/[\w/.-]+\.\w+)`", text))
    # A path in a table may leave the package's name out: rl/loop.py is perilune/rl/loop.py.
    named |= {f"perilune/{found}" for found in re.findall(r"`((?:[a-z]+/)+[a-z_]+\.py)`", text) if found not in named}
    named = {path for path in named if "NAME" not in path}  # That a reader is to put in.
    linked = {found for found in re.findall(r"\]\(([\w/.-]+\.\w+)\)", text) if not found.endswith(".svg")}
    missing = {path for path in named if not (ROOT / path).exists()}
    missing |= {path for path in linked if not (ROOT / page).parent.joinpath(path).exists()}
    assert not missing


def test_the_docs_that_name_files_are_looked_at() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/paper.md", "docs/recipe.md"} <= set(PAGES)


if __name__ == "__main__":
    PAGE.write_text(page_with(tables()), encoding="utf-8")
