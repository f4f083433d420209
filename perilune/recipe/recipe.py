"""The recipe: typed TOML that names the model, the problems, the rewards, the stages and the backends.

Each field's docstring is its one-line meaning; ``perilune recipe`` prints them all. Where k1.5 does not publish a
value, the default is ours and ``docs/paper.md`` says why.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from perilune.errors import RecipeError
from perilune.recipe.cases import CasesConfig
from perilune.recipe.curation import CurationConfig, WarmupConfig
from perilune.recipe.engine import EngineConfig
from perilune.recipe.long2short import Long2ShortConfig, SampleConfig
from perilune.recipe.problems import ProblemsConfig, SourceConfig
from perilune.recipe.reward_files import found_files
from perilune.recipe.reward_names import reward_names
from perilune.recipe.rewards import RewardsConfig
from perilune.recipe.section import Natural, PositiveFloat, PositiveInt, Section
from perilune.recipe.training import DPOConfig, RLConfig, SFTConfig, ShortSFTConfig, TrainerConfig

Stage = Literal["curate", "warmup", "sample", "sft", "dpo", "rl", "short_sft", "long2short"]
APART = ("short_sft", "long2short")
"""Stages that make models of their own, each in a run within the run; they come last, in this order."""
MODEL_AFTER: Mapping[str, str] = {"sft": "warmup", "dpo": "dpo", "rl": "final"}
"""What the model is called after a stage that trains it: in models/, in evaluations/ and in the summary."""


class ModelConfig(Section):
    """[model]: which Hugging Face causal language model."""

    name: str
    """A built-in name (smollm2-135m-instruct), a local folder, or a Hugging Face hub id."""
    revision: str | None = None
    """Hub revision, if the model comes from the hub."""
    system_prompt: str | None = None
    """System message put before every problem; none by default."""
    chat_template: str | None = None
    """Path of a Jinja chat template, for a tokenizer that has none."""


class EvaluationConfig(Section):
    """[evaluation]: how the model is measured on the held-out problems."""

    max_response_tokens: PositiveInt = 256
    """Maximum response length."""
    samples: Annotated[int, Field(ge=0)] = 0
    """Sampled responses per problem beside the greedy one, for sampled pass@1 and pass@k; 0 is greedy alone."""
    temperature: PositiveFloat = 1.0
    """Temperature of the sampled responses."""
    every: Annotated[int, Field(ge=0)] = 0
    """Evaluate greedily each so many RL iterations; 0 is before and after stages only."""
    during_count: PositiveInt | None = None
    """Problems used by the evaluations during RL; all by default."""
    base: bool = True
    """Evaluate the model before the first stage too."""


class LoggingConfig(Section):
    """[logging]: where metrics go beside metrics.jsonl."""

    tensorboard: bool = True
    """Write TensorBoard events."""
    wandb: str | None = None
    """Weights & Biases project; needs the extra 'wandb'."""
    mismatch_alarm: PositiveFloat = 0.1
    """Warn when the mean |trainer - engine| log-probability of an iteration exceeds this, in nats."""
    mismatch_stop: PositiveFloat = 1.0
    """End the run when it exceeds this, in nats: such rollouts are not the policy's. Large is no limit."""
    sample_responses: Annotated[int, Field(ge=0)] = 4
    """Responses per iteration kept in the report."""


class CheckpointsConfig(Section):
    """[checkpoints]: what a run that was stopped goes on from."""

    keep: PositiveInt = 2
    """How many stay; with two or more, a run whose newest one is damaged goes back to the one before."""
    sft_steps: Annotated[int, Field(ge=0)] = 50
    """Optimiser steps of SFT or DPO between checkpoints, the optimiser's state in them; 0 for none before its end."""
    models_every: Natural = 0
    """RL iterations between models that are kept in Hugging Face form, for long2short to choose from; 0 for none."""


class Recipe(Section):
    """A whole recipe."""

    name: str
    """The run's name; its folder is output/name."""
    output: str = "runs"
    """Where runs are written."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of everything random: sampling, batching, rollouts."""
    threads: PositiveInt | None = None
    """CPU threads for torch; by default as many as this process may use."""
    stages: tuple[Stage, ...] = ("sft", "rl")
    """Stages in the order they run; the model is evaluated before the first, and after each that trains it."""
    model: ModelConfig
    problems: ProblemsConfig
    rewards: RewardsConfig = RewardsConfig()
    cases: CasesConfig = CasesConfig()
    curation: CurationConfig = CurationConfig()
    warmup: WarmupConfig = WarmupConfig()
    engine: EngineConfig = EngineConfig()
    trainer: TrainerConfig = TrainerConfig()
    sample: SampleConfig = SampleConfig()
    sft: SFTConfig = SFTConfig()
    dpo: DPOConfig = DPOConfig()
    rl: RLConfig = RLConfig()
    short_sft: ShortSFTConfig = ShortSFTConfig()
    long2short: Long2ShortConfig = Long2ShortConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoints: CheckpointsConfig = CheckpointsConfig()
    logging: LoggingConfig = LoggingConfig()

    @model_validator(mode="before")
    @classmethod
    def _rounded_rollouts_are_corrected(cls, given: Any) -> Any:
        """Rollouts in int8 are not quite from the policy that is trained: rl.correction is on unless it is set."""
        engine, rl = (given.get(name, {}) if isinstance(given, dict) else None for name in ("engine", "rl"))
        if isinstance(engine, dict) and isinstance(rl, dict) and engine.get("dtype") == "int8":
            return {**given, "rl": {"correction": "token", **rl}}
        return given

    @model_validator(mode="after")
    def _stages_are_in_order(self) -> Self:
        wanted = [stage for stage in self.stages if stage not in APART] + [s for s in APART if s in self.stages]
        if list(self.stages) != wanted:
            raise ValueError(f"the stages {' and '.join(APART)} come last, in this order: {', '.join(wanted)}")
        return self

    @model_validator(mode="after")
    def _short_model_is_named(self) -> Self:
        needed = "long2short" in self.stages and "merge" in self.long2short.models
        if needed and "short_sft" not in self.stages and self.long2short.short_model is None:
            raise ValueError(
                "merging needs a short-CoT model: put the stage short_sft before long2short, name one in "
                "long2short.short_model, or leave merge out of long2short.methods"
            )
        return self

    @model_validator(mode="after")
    def _judgements_fit(self) -> Self:
        needed = self.rewards.code.longest_seconds
        if self.rewards.timeout_seconds < needed and any(map(_is_code, (self.problems.train, self.problems.heldout))):
            raise ValueError(
                f"rewards.timeout_seconds = {self.rewards.timeout_seconds:g} would end judgements of programs that may "
                f"still be going on, by the limits of [rewards.code], for {needed:g} s. Set it to {needed:g} or more"
            )
        return self

    @property
    def run_folder(self) -> Path:
        """Where the run is written."""
        return Path(self.output) / self.name


def _is_code(source: SourceConfig) -> bool:
    """Whether problems of this source are judged by running programs."""
    if source.kind == "generator":
        return any(generator.name == "programs" for generator in source.generators)
    return source.kind == "humaneval" or "code" in reward_names(source.judged_by or "")


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file and apply dotted overrides such as ``rl.iterations=20``.

    Raises:
        RecipeError: the file is missing or no TOML, or a key or value is wrong; the message names each of them.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"no recipe at {path}; ready ones are in recipes/, e.g. recipes/quickstart.toml") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from None
    for override in overrides:
        _apply_override(table, override)
    return _with_reward_files(parse_recipe(table, source=str(path)), path.parent)


def _with_reward_files(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with the places of the files that its rewards name."""
    rewards = [source.judged_by or "" for source in (recipe.problems.train, recipe.problems.heldout)]
    files = found_files(rewards, recipe.rewards.files, folder)
    return recipe.model_copy(update={"rewards": recipe.rewards.model_copy(update={"files": files})})


def parse_recipe(table: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """Check a recipe given as nested tables.

    Raises:
        RecipeError: naming every wrong key or value, and the nearest right name of an unknown key.
    """
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        lines = [_describe(dict(problem)) for problem in error.errors()]
        raise RecipeError(f"{source}: {len(lines)} mistake(s)\n" + "\n".join(f"  - {line}" for line in lines)) from None


def recipe_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML; :func:`load_recipe` reads it back to an equal recipe."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))


def describe_fields(section: type[Section] = Recipe, prefix: str = "") -> list[tuple[str, str, str]]:
    """(dotted name, default, one-line meaning) of every field, tables flattened."""
    rows: list[tuple[str, str, str]] = []
    for name, info in section.model_fields.items():
        inner = _section_of(info)
        if inner is not None:
            rows += describe_fields(inner, f"{prefix}{name}.")
            continue
        default = "(required)" if info.is_required() else repr(info.get_default())
        # A longer docstring has several lines.
        rows.append((prefix + name, default, " ".join((info.description or "").split())))
    return rows


def _section_of(info: FieldInfo) -> type[Section] | None:
    kind = info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _apply_override(table: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise RecipeError(f"override {override!r} is not of the form key=value, e.g. rl.iterations=20")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *parents, leaf = key.strip().split(".")
    for parent in parents:
        inner = table.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"override {override!r}: {parent!r} is a value, not a table")
        table = inner
    section = _section_at([*parents, leaf]) if isinstance(value, str) else None
    if section is not None and "backend" in section.model_fields:
        # A table's name alone names its backend: engine=vllm.
        inner = table.setdefault(leaf, {})
        table, leaf = (inner, "backend") if isinstance(inner, dict) else (table, leaf)
    table[leaf] = value


def _section_at(location: Sequence[str]) -> type[Section] | None:
    """The table that stands there, if one does."""
    section: type[Section] | None = Recipe
    for part in location:
        info = section.model_fields.get(part) if section else None
        section = _section_of(info) if info else None
    return section


def _describe(problem: dict[str, Any]) -> str:
    location = [str(part) for part in problem["loc"]]
    name = ".".join(location) or "recipe"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {name}{_suggestion(location)}"
    if problem["type"] == "missing":
        return f"missing key {name}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    given = problem.get("input")
    shown = "" if isinstance(given, dict) else f" (got {given!r})"
    return f"{name}: {message}{shown}"


def _suggestion(location: Sequence[str]) -> str:
    names = [name for name, _, _ in describe_fields()]
    section = _section_at(location[:-1])
    siblings = list(section.model_fields) if section else []
    near = difflib.get_close_matches(location[-1], siblings, n=1)
    if near:
        return f"; did you mean {'.'.join([*location[:-1], near[0]])}?"
    far = [name for name in names if name.rsplit(".", 1)[-1] == location[-1]]
    far = far or difflib.get_close_matches(".".join(location), names, n=1)
    return f"; did you mean {far[0]}?" if far else f"; known here: {', '.join(siblings) or 'nothing'}"
