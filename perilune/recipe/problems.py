"""The recipe's tables of problems: where they come from, and which field of a record is what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self, get_args

from pydantic import model_validator

from perilune.recipe.reward_names import NamedReward, joined
from perilune.recipe.section import PositiveFloat, PositiveInt, Section

Kind = Literal["generator", "jsonl", "parquet", "huggingface", "reasoning_gym", "humaneval"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Form = Literal[
    "apps",
    "taco",
    "code_contests",
    "eurus",
    "livecodebench",
    "case_list",
    "mbpp",
    "mbpp_plus",
    "humaneval",
    "humaneval_plus",
    "kodcode",
    "bigcodebench",
]
FORMS: tuple[Form, ...] = get_args(Form)
_ROWS = {"jsonl", "parquet", "huggingface"}
UNJUDGED_TASKS: Mapping[str, str] = {
    "composite": "it is a mixture, whose parts a recipe cannot tell it; name one of the tasks that you would mix",
    "game_of_life_halting": "its scorer takes any text for right",
    "puzzle24": "its scorer takes any four numbers that make 24, whichever were given; kind = 'generator' with the "
    "generator countdown has such puzzles, judged exactly",
}
"""Tasks of reasoning-gym 0.1.25 that nothing can be learned from, and why."""


class FieldMapping(Section):
    """[problems.*.fields]: which field of a record is what."""

    question: str = "question"
    """Field with the question, or with a list of chat messages."""
    answer: str = "answer"
    """Field with the reference answer."""
    answer_pattern: str | None = None
    """Regular expression whose first group is the answer within the answer field, e.g. '####\\s*(.+)'."""
    solution: str | None = None
    """Field with a worked solution, from which the warm-up makes demonstrations."""
    solution_remove: str | None = None
    """Regular expression of what is cut out of the solution, e.g. '<<.*?>>|####.*'."""
    id: str | None = None
    """Field with a unique id; by default ids are made from the content."""
    tags: str | None = None
    """Field with a tag or a list of tags."""
    difficulty: str | None = None
    """Field with a number; larger is harder."""
    pass_rate: str | None = None
    """Field with the share of right answers that a model gave, as curation measures it."""
    images: str | None = None
    """Field with an image path or a list of them."""


class GeneratorConfig(Section):
    """[[problems.*.generators]]: one built-in generator of the mixture."""

    name: Literal["arithmetic", "countdown", "programs"]
    """arithmetic: word problems; countdown: reach a target from given numbers; programs: small Python programs."""
    weight: PositiveFloat = 1.0
    """Share of the mixture, relative to the others."""
    difficulties: tuple[PositiveInt, ...] = (1, 2, 3)
    """Difficulty levels to draw from, uniformly."""


class SourceConfig(Section):
    """[problems.train] and [problems.heldout]: where problems come from."""

    kind: Kind
    """What sort of source."""
    path: str | None = None
    """File (jsonl, parquet, humaneval), data set id or folder (huggingface), or task name (reasoning_gym)."""
    split: str = "train"
    """Split of a Hugging Face data set; for generators the split is set by train and heldout themselves."""
    subset: str | None = None
    """Configuration name of a Hugging Face data set."""
    rows: str | None = None
    """Python-like slice of the rows, e.g. ':-500' or '-500:'."""
    form: Form | None = None
    """Public data set of programs whose form the rows have; then no fields need to be named, and the reward is code."""
    fields: FieldMapping = FieldMapping()
    """Which field of a record is what."""
    unusable_rows: Literal["refuse", "leave_out"] = "refuse"
    """What becomes of rows that are no problems, without tests or without an answer: the start is refused, or they are
    left out. Either way their number is told, and the first reasons."""
    prompt: str = "{question}"
    """Text of the user's message; {question} is replaced by the question."""
    reward: NamedReward | None = None
    """Reward that judges these problems: a built-in name, module:attribute, file.py:function, or several with weights,
    as in {math = 0.9, "my.py:short" = 0.1}; by default math, for generators and reasoning_gym the one made for them."""
    tags: tuple[str, ...] = ()
    """Tags given to every problem of this source."""
    generators: tuple[GeneratorConfig, ...] = ()
    """The mixture, for kind = generator."""
    count: PositiveInt | None = None
    """Use at most so many problems; generators are endless and take this as the pool's size."""
    seed: int = 0
    """Seed of a generator."""
    max_prompt_tokens: PositiveInt | None = None
    """Drop problems whose rendered prompt is longer."""
    min_difficulty: float | None = None
    """Drop problems below this difficulty."""
    max_difficulty: float | None = None
    """Drop problems above this difficulty."""

    @model_validator(mode="after")
    def _task_is_judged(self) -> Self:
        fault = UNJUDGED_TASKS.get(self.path or "") if self.kind == "reasoning_gym" else None
        if fault is not None:
            raise ValueError(f"reasoning-gym's task {self.path} cannot be learned from: {fault}")
        return self

    @model_validator(mode="after")
    def _form_has_rows(self) -> Self:
        if self.form is not None and self.kind not in _ROWS:
            raise ValueError(
                f"form = {self.form!r} says what rows look like, and a source of kind {self.kind!r} has none; set kind "
                f"to one of {', '.join(sorted(_ROWS))}, or leave form out"
            )
        return self

    @property
    def judged_by(self) -> str | None:
        """The reward, or the rewards, as a problem carries them."""
        return None if self.reward is None else joined(self.reward)


class ProblemsConfig(Section):
    """[problems]: what is trained on, and what is held out."""

    train: SourceConfig
    """Problems for warm-up and RL."""
    heldout: SourceConfig
    """Problems for evaluation alone."""
