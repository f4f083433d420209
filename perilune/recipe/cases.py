"""The recipe's table [cases]: test cases for code problems (k1.5, section 2.3.5)."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from perilune.recipe.section import PositiveFloat, PositiveInt, Section


class CasesConfig(Section):
    """[cases]: test cases for code problems that have submissions and no tests (k1.5, section 2.3.5)."""

    cases: PositiveInt = 50
    """Inputs that a generator is asked for (k1.5: 50)."""
    submissions: PositiveInt = 10
    """Submissions drawn and run on each input (k1.5: 10)."""
    agreeing: PositiveInt = 7
    """Equal outputs that make a case valid (k1.5: 7 of 10)."""
    passing: PositiveInt = 9
    """Submissions that must pass all valid cases (k1.5: 9 of 10)."""
    valid_cases: PositiveInt = 40
    """Valid cases without which a problem is dropped (k1.5 counts generators with 40 or more)."""
    attempts: PositiveInt = 1
    """Generators that the model may write for one problem; the first that passes is used."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """Temperature at which generators are written; 0 is greedy."""
    max_response_tokens: PositiveInt = 2048
    """Maximum response length for a generator."""
    cpu_seconds: PositiveFloat = 10.0
    """CPU time of one run of a generator, validator or submission; a problem's own limit may lower it."""
    memory_mb: PositiveInt = 1024
    """Memory of the same, in MiB."""
    workers: PositiveInt = 2
    """Programs run at once."""

    @model_validator(mode="after")
    def _can_agree(self) -> Self:
        if 2 * self.agreeing <= self.submissions:
            raise ValueError("agreeing must be more than half of submissions, or two outputs could win one case")
        if max(self.agreeing, self.passing) > self.submissions or self.valid_cases > self.cases:
            raise ValueError("agreeing and passing cannot exceed submissions, nor valid_cases exceed cases")
        return self
