from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from perilune.errors import RecipeError
from perilune.recipe.recipe import Recipe, describe_fields, load_recipe, parse_recipe, recipe_toml
from perilune.recipe.training import RLConfig

SMALLEST = """\
name = "small"
[model]
name = "smollm2-135m-instruct"
[problems.train]
kind = "generator"
[problems.heldout]
kind = "jsonl"
path = "heldout.jsonl"
"""

*FIRST, LAST = map(repr, get_args(RLConfig.model_fields["algorithm"].annotation))
ALGORITHMS_IN_WORDS = f"{', '.join(FIRST)} or {LAST}"


def smallest(**more: Any) -> dict[str, Any]:
    source = {"kind": "generator"}
    return {"name": "small", "model": {"name": "m"}, "problems": {"train": source, "heldout": source}, **more}


def written(tmp_path: Path, text: str = SMALLEST) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mistake(table: Mapping[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(table)
    return str(caught.value)


def test_the_smallest_recipe_takes_every_default(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path))
    assert recipe.stages == ("sft", "rl")
    assert recipe.run_folder == Path("runs/small")
    assert recipe.rl.algorithm == "opmd"
    assert recipe.problems.heldout.path == "heldout.jsonl"


def test_a_missing_recipe_says_where_ready_ones_are(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no recipe at .*nope\.toml; ready ones are in recipes/"):
        load_recipe(tmp_path / "nope.toml")


def test_a_folder_or_binary_file_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read the recipe"):
        load_recipe(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(RecipeError, match="cannot read the recipe"):
        load_recipe(binary)


def test_malformed_toml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"recipe\.toml is not valid TOML: .*line 2"):
        load_recipe(written(tmp_path, 'name = "a"\n[model\n'))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"rl": {"iteration": 3}}, "unknown key rl.iteration; did you mean rl.iterations?"),
        ({"trainer": {"learning_rate": 1e-5}}, "unknown key trainer.learning_rate; did you mean sft.learning_rate?"),
        ({"rl": {"length_reward": {"wieght": 1}}}, "did you mean rl.length_reward.weight?"),
        ({"zzzzzz": 1}, "unknown key zzzzzz; known here: name, output, seed"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_right_name(table: dict[str, Any], expected: str) -> None:
    assert expected in mistake(smallest(**table))


def test_an_unknown_key_inside_a_list_of_tables_names_its_place() -> None:
    table = smallest()
    table["problems"] = {**table["problems"], "train": {"kind": "generator", "generators": [{"nam": "arithmetic"}]}}
    message = mistake(table)
    assert "unknown key problems.train.generators.0.nam" in message
    assert "missing key problems.train.generators.0.name" in message


def test_missing_keys_are_named_all_at_once() -> None:
    message = mistake({"name": "x", "problems": {"train": {"kind": "jsonl"}}})
    assert "missing key model" in message
    assert "missing key problems.heldout" in message


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"rl": {"iterations": "many"}}, "rl.iterations: Input should be a valid integer"),
        ({"rl": {"iterations": 0}}, "rl.iterations: Input should be greater than or equal to 1 (got 0)"),
        ({"rl": {"algorithm": "ppo"}}, f"rl.algorithm: Input should be {ALGORITHMS_IN_WORDS} (got 'ppo')"),
        ({"stages": ["sft", "ppo"]}, "stages.1: Input should be 'curate', 'warmup', 'sample', 'sft', 'dpo', 'rl', "),
        ({"sft": {"warmup_share": 1.5}}, "sft.warmup_share: Input should be less than or equal to 1 (got 1.5)"),
        ({"rl": {"tau": 0.0}}, "rl.tau: Input should be greater than 0"),
        ({"rl": 3}, "rl: Input should be a valid dictionary"),
    ],
)
def test_a_wrong_value_names_the_field_the_rule_and_what_it_got(table: dict[str, Any], expected: str) -> None:
    assert expected in mistake(smallest(**table))


def test_one_response_per_problem_is_refused() -> None:
    message = mistake(smallest(rl={"group_size": 1}))
    assert "rl.group_size: Input should be greater than or equal to 2 (got 1)" in message


def test_staleness_must_let_the_longest_response_finish() -> None:
    # 192 tokens in segments of 64 are three segments: the first is two versions old when the last is made.
    assert parse_recipe(smallest(rl={"max_response_tokens": 192, "segment_tokens": 64, "max_staleness": 2}))
    message = mistake(smallest(rl={"max_response_tokens": 193, "segment_tokens": 64, "max_staleness": 2}))
    assert "max_staleness = 2 would discard every response that uses its full length" in message
    assert "spans 3 policy versions" in message


def test_overrides_are_toml_values_or_else_text(tmp_path: Path) -> None:
    overrides = ["rl.iterations=3", "rl.tau = 0.5", "name=other", 'stages=["rl"]', "rl.length_reward.weight=0.25"]
    recipe = load_recipe(written(tmp_path), overrides)
    assert (recipe.rl.iterations, recipe.rl.tau, recipe.name, recipe.stages) == (3, 0.5, "other", ("rl",))
    assert recipe.rl.length_reward.weight == 0.25


def test_a_tables_name_alone_names_its_backend(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path), ["engine.slots=7", "engine=vllm", "engine.vllm.after_rollout=keep"])
    assert (recipe.engine.backend, recipe.engine.slots, recipe.engine.vllm.after_rollout) == ("vllm", 7, "keep")
    with pytest.raises(RecipeError, match=r"engine\.backend"):
        load_recipe(written(tmp_path), ["engine=nix"])
    with pytest.raises(RecipeError, match="model"):
        load_recipe(written(tmp_path), ["model=nix"])


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("rl.iterations", "is not of the form key=value"),
        ("=3", "is not of the form key=value"),
        ("name.first=3", "'name' is a value, not a table"),
        ("rl.iteration=3", "unknown key rl.iteration; did you mean rl.iterations?"),
    ],
)
def test_a_wrong_override_is_refused(tmp_path: Path, override: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(written(tmp_path), [override])
    assert expected in str(caught.value)


def test_a_resolved_recipe_reads_back_equal(tmp_path: Path) -> None:
    pattern = r"####\s*(.+)"
    source = {"kind": "jsonl", "path": 'a "b" τ.jsonl', "fields": {"answer_pattern": pattern}, "tags": ["x", "y"]}
    generator = {"kind": "generator", "generators": [{"name": "countdown", "weight": 2.5, "difficulties": [2]}]}
    recipe = parse_recipe(smallest(problems={"train": source, "heldout": generator}, threads=3, rl={"tau": 0.125}))
    text = recipe_toml(recipe)
    assert load_recipe(written(tmp_path, text)) == recipe
    assert "segment_tokens" in text, "defaults are written out"


def test_every_field_has_a_meaning_of_one_line_and_a_default() -> None:
    rows = describe_fields()
    names = [name for name, _, _ in rows]
    assert {"rl.segment_tokens", "rl.length_reward.weight", "problems.train.fields.question"} <= set(names)
    assert len(names) == len(set(names))
    for name, default, meaning in rows:
        assert meaning.strip() and "\n" not in meaning.strip(), name
        assert default, name


def test_a_recipe_cannot_be_changed_in_place() -> None:
    recipe: Any = parse_recipe(smallest())
    with pytest.raises(ValueError, match="frozen"):
        recipe.name = "other"
    assert isinstance(recipe, Recipe)


def test_config_imports_no_torch() -> None:
    heavy = "{'torch', 'transformers'}"
    program = f"import sys, perilune.recipe.recipe, perilune.protocols; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rollouts_in_int8_are_corrected_unless_a_recipe_says_otherwise() -> None:
    engine = {"dtype": "int8"}
    assert Recipe.model_validate(smallest()).rl.correction == "none"
    assert Recipe.model_validate(smallest(engine=engine)).rl.correction == "token"
    assert Recipe.model_validate(smallest(engine=engine, rl={"iterations": 3})).rl.correction == "token"
    assert Recipe.model_validate(smallest(engine=engine, rl={"correction": "none"})).rl.correction == "none"
