"""What every table of the recipe is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Dtype = Literal["auto", "float32", "bfloat16"]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Natural = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """A table of the recipe: unknown keys are refused, values are checked once, here."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
