"""The recipe's tables of the prompt set: its curation (k1.5, section 2.1) and the warm-up set (section 2.2)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from perilune.recipe.problems import SourceConfig
from perilune.recipe.section import Natural, PositiveFloat, PositiveInt, Section, Share

CurationStep = Literal["forms", "verify", "duplicates", "contamination", "tags", "guess", "difficulty", "balance"]
WarmupVariant = Literal["plan", "check", "reflect", "explore", "full"]


class DuplicatesConfig(Section):
    """[curation.duplicates]: near-duplicate removal."""

    threshold: Share = 0.6
    """Jaccard similarity of the questions' character n-grams from which two are near-duplicates."""
    ngram: PositiveInt = 5
    """Characters of an n-gram."""
    permutations: Annotated[int, Field(ge=16)] = 128
    """MinHash permutations; more find pairs near the threshold more surely."""
    same_numbers: bool = True
    """Only questions with the same numbers and answers are near-duplicates; others are twins of one template."""


class EvaluationSetConfig(SourceConfig):
    """[[curation.contamination.sets]]: an evaluation set that the prompt set must not contain, read like any source."""

    name: str
    """What the report calls it."""


class ContaminationConfig(Section):
    """[curation.contamination]: what evaluation sets hold is removed from the prompt set."""

    sets: tuple[EvaluationSetConfig, ...] = ()
    """Named evaluation sets, each read like a source of problems."""
    heldout: bool = True
    """Count problems.heldout as one of them."""
    ngram: PositiveInt = 8
    """Words of an n-gram."""
    overlap: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the shorter question's n-grams that must stand in the other one."""


class TagsConfig(Section):
    """[curation.tags]: domain and discipline of each problem, and the balance over them."""

    method: Literal["model", "rules", "both"] = "both"
    """model scores each label by its log-probability, rules by its keywords, both by the sum of the evidence."""
    taxonomy: str | None = None
    """TOML file of domains and disciplines in place of the built-in one."""
    balance: Literal["none", "quota", "temperature"] = "none"
    """quota keeps at most so many per discipline; temperature flattens the distribution; both need their setting."""
    quota: PositiveInt | None = None
    """Most problems of one discipline, for balance = quota."""
    temperature: Annotated[float, Field(ge=1)] = 2.0
    """Share of a discipline proportional to its count to the power 1/temperature; 1 changes nothing."""
    size: PositiveInt | None = None
    """Problems kept in all, for balance = temperature."""

    @model_validator(mode="after")
    def _can_balance(self) -> Self:
        if self.balance == "quota" and self.quota is None:
            raise ValueError("balance = 'quota' needs quota, the most problems of one discipline")
        if self.balance == "temperature" and self.size is None:
            raise ValueError("balance = 'temperature' needs size, the problems kept in all")
        return self


class GuessConfig(Section):
    """[curation.guess]: problems whose answer is guessed without reasoning are easy to hack, and dropped."""

    attempts: PositiveInt = 8
    """N: guesses per problem; one right guess is enough to drop it (k1.5: 8)."""
    temperature: PositiveFloat = 1.0
    """Sampling temperature of the guesses."""
    max_response_tokens: PositiveInt = 8
    """Maximum length of a guess; what goes on longer is no guess."""


class DifficultyConfig(Section):
    """[curation.difficulty]: the pass rate of sampled answers is the difficulty."""

    samples: PositiveInt = 10
    """n: answers per problem (k1.5: 10)."""
    temperature: PositiveFloat = 1.0
    """Sampling temperature; the paper calls it relatively high."""
    max_response_tokens: PositiveInt = 256
    """Maximum response length."""
    easy_rate: Share = 0.7
    """A pass rate of at least this is easy."""
    hard_rate: Share = 0.3
    """A pass rate of at most this is hard; what lies between is medium."""
    trivial_rate: Annotated[float, Field(gt=0)] = 0.9
    """A pass rate of at least this is trivial, and the problem is dropped; above 1 nothing is."""
    confirm: bool = True
    """Ask as many answers again of a problem before it is dropped, and go by all of them."""
    drop_hopeless: bool = False
    """Drop problems without a single right answer too; they may be wrong, or too hard to learn from yet."""

    @model_validator(mode="after")
    def _rates_rise(self) -> Self:
        if not self.hard_rate < self.easy_rate <= self.trivial_rate:
            raise ValueError("hard_rate < easy_rate <= trivial_rate must hold")
        return self


class CurationConfig(Section):
    """[curation]: the prompt set (k1.5, section 2.1)."""

    steps: tuple[CurationStep, ...] = (
        "forms", "verify", "duplicates", "contamination", "tags", "guess", "difficulty", "balance",
    )  # fmt: skip
    """What is done, in this order; cheap steps first spare the model work."""
    cache: str | None = None
    """SQLite file of samples that several runs share; by default in the run folder."""
    duplicates: DuplicatesConfig = DuplicatesConfig()
    """Near-duplicates."""
    contamination: ContaminationConfig = ContaminationConfig()
    """Evaluation sets."""
    tags: TagsConfig = TagsConfig()
    """Domains and disciplines."""
    guess: GuessConfig = GuessConfig()
    """The guess filter."""
    difficulty: DifficultyConfig = DifficultyConfig()
    """Pass rates."""


class WarmupConfig(Section):
    """[warmup]: the long-CoT warm-up set, written by a model and verified (k1.5, section 2.2)."""

    problems: PositiveInt = 200
    """Problems that demonstrations are asked for."""
    variants: tuple[WarmupVariant, ...] = ("plan", "check", "reflect", "explore", "full")
    """Prompts asked of each problem; each shows and asks for other behaviours."""
    samples: PositiveInt = 2
    """Responses per problem and variant."""
    shots: Natural = 2
    """Worked examples in a prompt, those nearest to the problem."""
    examples: str | None = None
    """JSONL file of worked examples (variant, question, response, answer) in place of the built-in ones."""
    temperature: PositiveFloat = 0.3
    """Sampling temperature."""
    max_response_tokens: PositiveInt = 160
    """Maximum response length."""
    teacher: str | None = None
    """Model that writes the demonstrations: a built-in name, folder or hub id; by default the model of the recipe."""
    min_behaviours: Annotated[int, Field(ge=0, le=4)] = 1
    """Least number of the four behaviours (planning, evaluation, reflection, exploration) that a response shows."""
    per_problem: PositiveInt = 2
    """Most demonstrations kept of one problem."""
    count: PositiveInt | None = None
    """Most demonstrations kept in all, with the behaviours spread as evenly as there are any; all by default."""
    duplicate_threshold: Share = 0.8
    """Jaccard similarity from which two responses are near-duplicates, and one is dropped."""
