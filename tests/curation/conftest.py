"""What tests of curation share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.pool import GradingPool


@pytest.fixture
def grader() -> Iterator[GradingPool]:
    with GradingPool(RewardsConfig()) as pool:
        yield pool
