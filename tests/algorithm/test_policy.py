"""Each algorithm through its record, against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from perilune.algorithm.policy import ALGORITHMS, GroupRewards, Responses
from perilune.recipe.training import RLConfig
from perilune.types import Objective

GROUP = GroupRewards(np.array([1.0, 0.0, 1.0, 0.0]), np.array([True, False, True, False]), np.array([5, 3, 2, 9]))


def responses(algorithm: str) -> Responses:
    """Two responses of two tokens and one; the policy has moved by 0.2 on the first token of the first."""
    rows = (torch.tensor([-0.5, -1.0], requires_grad=True), torch.tensor([-2.0], requires_grad=True))
    old = (torch.tensor([-0.7, -1.0]), torch.tensor([-2.0]))
    sums = torch.stack([row.sum() for row in rows])
    return Responses(
        rows=rows,
        old_rows=old,
        reference_rows=old,
        masks=(torch.tensor([True, True]), torch.tensor([True])),
        weights=(),
        sums_N=sums,
        old_sums_N=torch.tensor([-1.7, -2.0]),
        gain_sums_N=sums,
        advantages_N=torch.tensor([1.0, 0.0 if algorithm == "rest" else -1.0]),
        count=2,
    )


def test_the_recipe_names_them_all() -> None:
    assert set(get_args(RLConfig.model_fields["algorithm"].annotation)) == set(ALGORITHMS)


@pytest.mark.parametrize(
    ("name", "settings", "advantages"),
    [
        ("opmd", {}, [0.5, -0.5, 0.5, -0.5]),
        # tau log Z = 0.5 ln((2 e^2 + 2) / 4) = 0.71689
        ("opmd", {"baseline": "log_partition", "tau": 0.5}, [0.28311, -0.71689, 0.28311, -0.71689]),
        ("rest", {}, [0, 0, 1, 0]),
        ("grpo", {}, [1, -1, 1, -1]),
    ],
)
def test_advantages(name: str, settings: dict[str, object], advantages: list[float]) -> None:
    objective = Objective(name, **settings)  # type: ignore[arg-type]
    assert ALGORITHMS[name].advantages(GROUP, objective) == pytest.approx(advantages, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        # -(1/2) [ 1 * -1.5 - 0.05 * 0.2^2  +  -1 * -2.0 - 0 ] with tau 0.1
        ("opmd", -0.5 * (-1.5 - 0.05 * 0.04 + 2.0)),
        ("rest", 0.5 * 1.5),
        # Token ratios e^0.2 (clipped at 1.2) and 1, their mean over two tokens; the second response gains -1.
        ("grpo", -0.5 * ((min(math.exp(0.2), 1.2) + 1.0) / 2 - 1.0)),
    ],
)
def test_losses(name: str, loss: float) -> None:
    found = ALGORITHMS[name].loss(responses(name), Objective(name, tau=0.1, clip=0.2))
    assert found.item() == pytest.approx(loss, abs=1e-6)


def test_what_sets_them_apart_from_each_other() -> None:
    found = {name: ALGORITHMS[name] for name in ("opmd", "rest", "grpo")}
    told = {name: (a.chosen_alone, a.anchored, a.ratio_to_behaviour) for name, a in found.items()}
    assert told == {"opmd": (False, False, False), "rest": (True, False, False), "grpo": (False, True, True)}


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("reward", [0.0, 0.1, 1.0 / 3.0, 1.0])
def test_a_group_that_tells_nothing_apart_has_no_advantages(name: str, reward: float) -> None:
    wrong = np.zeros(7, dtype=bool)
    group = GroupRewards(np.full(7, reward), wrong, np.arange(1, 8))
    assert ALGORITHMS[name].advantages(group, Objective(name)).tolist() == [0.0] * 7


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_correction_has_its_say_in_every_loss(name: str) -> None:
    plain = responses(name)
    halves = tuple(torch.full_like(row, 0.5) for row in plain.rows)
    gains = torch.stack([(row * half).sum() for row, half in zip(plain.rows, halves, strict=True)])
    weighed = replace(plain, weights=halves, gain_sums_N=gains, advantages_N=torch.tensor([1.0, 0.0]))
    full = replace(plain, advantages_N=torch.tensor([1.0, 0.0]))
    objective, loss = Objective(name, tau=0.0), ALGORITHMS[name].loss
    assert loss(weighed, objective).item() == pytest.approx(0.5 * loss(full, objective).item(), abs=1e-6)
