"""How recipes name rewards, and where the files of a user's own are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from perilune.errors import RecipeError
from perilune.recipe.recipe import Recipe, load_recipe, parse_recipe, recipe_toml
from perilune.recipe.reward_files import keep_files
from perilune.recipe.reward_names import RewardPart, first_reward, is_own, joined, reward_parts

SOURCE = {"kind": "jsonl", "path": "x.jsonl"}


def table(reward: object) -> dict[str, object]:
    return {
        "name": "x",
        "model": {"name": "m"},
        "problems": {"train": {**SOURCE, "reward": reward}, "heldout": SOURCE},
    }


def judged_by(reward: object) -> str | None:
    return parse_recipe(table(reward)).problems.train.judged_by


def test_one_reward_or_several_with_their_weights() -> None:
    assert judged_by(" math ") == "math"
    assert judged_by({"math": 2}) == "math"
    several = judged_by({"math": 3, "my own.py:short": 1})
    assert several is not None
    assert reward_parts(several) == (RewardPart("math", 0.75), RewardPart("my own.py:short", 0.25))
    assert first_reward(several) == "math"
    assert is_own(several) and not is_own("math") and is_own("module:attribute")
    assert (
        parse_recipe({**table("math"), "problems": {"train": SOURCE, "heldout": SOURCE}}).problems.train.reward is None
    )


def test_the_order_of_rewards_survives_the_file(tmp_path: Path) -> None:
    recipe = parse_recipe(table({"b.py:z": 0.5, "math": 0.25, "a.py:y": 0.25}))
    path = tmp_path / "recipe.toml"
    path.write_text(recipe_toml(recipe))
    again = load_recipe(path)
    assert again.problems.train.judged_by == recipe.problems.train.judged_by
    assert first_reward(str(again.problems.train.judged_by)) == "b.py:z"


@pytest.mark.parametrize(
    ("reward", "told"),
    [
        ({}, "a reward is a name, or a table of names and weights"),
        (3, "a reward is a name, or a table of names and weights"),
        ([{"name": "math"}], "a reward is a name, or a table of names and weights"),
        ("", "'' names no reward"),
        ({"math": 0}, "the weight of 'math' is 0; a weight is a number above 0"),
        ({"math": -1.0}, "a weight is a number above 0"),
        ({"math": True}, "a weight is a number above 0"),
        ({"math": float("inf")}, "a weight is a number above 0"),
        ({"math": "most"}, "a weight is a number above 0"),
        ({"my": {"py:short": 0.1}}, "put a name with a dot in quotes"),
    ],
)
def test_what_is_no_reward_is_told(reward: object, told: str) -> None:
    with pytest.raises(RecipeError) as raised:
        parse_recipe(table(reward))
    assert "problems.train.reward" in str(raised.value)
    assert told in str(raised.value)


def test_what_a_problem_carries_is_read_again() -> None:
    assert joined("math") == "math"
    assert [part.name for part in reward_parts(joined({"ä.py:é": 1, "math": 1}))] == ["ä.py:é", "math"]
    with pytest.raises(ValueError, match="a weight is a number"):
        reward_parts('{"math": "x"}')


def found(recipe: Path) -> dict[str, str]:
    return dict(load_recipe(recipe).rewards.files)


def test_files_are_found_beside_the_recipe_or_where_one_is_or_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, here, home = tmp_path / "recipes", tmp_path / "here", tmp_path / "home"
    for place in (folder, here, home):
        place.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    recipe = folder / "recipe.toml"
    names = ["my own.py:f", "~/mine.py:f", f"{tmp_path}/full.py:f", "absent.py:f", "math", "module:f"]
    recipe.write_text(recipe_toml(Recipe.model_validate(table(dict.fromkeys(names, 1.0)))))
    assert found(recipe) == {}
    (here / "my own.py").touch()
    (home / "mine.py").touch()
    (tmp_path / "full.py").touch()
    expected = {"my own.py": here / "my own.py", "~/mine.py": home / "mine.py"}
    expected[f"{tmp_path}/full.py"] = tmp_path / "full.py"
    assert found(recipe) == {name: str(path) for name, path in expected.items()}
    (folder / "my own.py").touch()
    assert found(recipe)["my own.py"] == str(folder / "my own.py")


def test_a_file_is_kept_with_the_modules_beside_it_that_it_imports(tmp_path: Path) -> None:
    folder = tmp_path / "from"
    (folder / "package" / "deep").mkdir(parents=True)
    (folder / "mine.py").write_text("import os, near\nfrom package.deep import thing\n")
    (folder / "near.py").write_text("def late():\n    import further\n")
    (folder / "further.py").write_text("import near\n")
    (folder / "package" / "__init__.py").touch()
    (folder / "package" / "deep" / "thing.py").write_text("import by_package\n")
    (folder / "by_package.py").touch()
    (folder / "unrelated.py").touch()
    kept = keep_files({"mine.py": str(folder / "mine.py")}, tmp_path / "kept")
    copy = Path(kept["mine.py"])
    there = {str(path.relative_to(copy.parent)) for path in copy.parent.rglob("*.py")}
    assert there == {
        "mine.py", "near.py", "further.py", "by_package.py", "package/__init__.py", "package/deep/thing.py"
    }  # fmt: skip
    # What is kept stays as it was.
    (folder / "mine.py").write_text("changed\n")
    assert keep_files({"mine.py": str(folder / "mine.py")}, tmp_path / "kept") == kept
    assert "thing" in copy.read_text()
    # Files of one name from two places do not meet.
    other = keep_files({"other/mine.py": str(folder / "mine.py")}, tmp_path / "kept")
    assert Path(other["other/mine.py"]) != copy
