"""Guesses: what is looked up, how places are shared, and that no response is changed by them."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from transformers import PreTrainedModel

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.engines.drafts import Drafts, share_places
from perilune.backends.engines.local import LocalEngine
from perilune.types import Request, Segment


def test_the_longest_known_end_counts_and_then_the_most_frequent() -> None:
    drafts = Drafts()
    drafts.begin(0, [1, 2, 3, 4, 5, 9, 3, 7])
    drafts.begin(0, [8, 3, 7, 8, 3, 7])
    assert drafts.guess(0, [1, 2, 3], 3) == [4, 5, 9]
    assert drafts.guess(0, [6, 6, 3], 1) == [7]
    assert drafts.guess(0, [6, 6, 6], 4) == []


def test_what_is_drawn_meanwhile_is_read() -> None:
    drafts, own = Drafts(), [1, 2]
    drafts.begin(0, own)
    assert drafts.guess(0, own, 2) == []
    own += [3, 1, 2]
    assert drafts.guess(0, own, 2) == [3, 1]


def test_groups_do_not_read_each_other() -> None:
    drafts = Drafts()
    drafts.begin(0, [1, 2, 3])
    drafts.begin(1, [1, 2])
    assert drafts.guess(1, [1, 2], 1) == []
    drafts.forget(0)
    drafts.begin(0, [1, 2])
    assert drafts.guess(0, [1, 2], 1) == []


@pytest.mark.parametrize(
    ("free", "wanted", "given"),
    [
        (15, [99], [15]),
        (6, [9] * 10, [1] * 6 + [0] * 4),
        (7, [9, 0, 9], [4, 0, 3]),
        (9, [1, 9, 2], [1, 6, 2]),
        (5, [1, 1], [1, 1]),
        (5, [], []),
    ],
)
def test_places_are_shared_evenly(free: int, wanted: list[int], given: list[int]) -> None:
    assert share_places(free, wanted) == given


def observed(rate: float) -> Drafts:
    """After many steps of single guesses, this share of which was drawn."""
    drafts = Drafts()
    for _ in range(400):
        drafts.observe([1] * 10, [1] * round(10 * rate) + [0] * round(10 * (1 - rate)))
    return drafts


def test_the_rate_is_that_of_late_and_counts_what_was_reached() -> None:
    assert observed(0.2).rate == pytest.approx(0.2, abs=0.01)
    drafts = observed(0.9)
    for _ in range(100):
        drafts.observe([5, 5, 0], [0, 4, 0])
    # One of one, and four of five: what follows a guess that was not drawn says nothing.
    assert drafts.rate == pytest.approx(4 / 6, abs=0.02)


@pytest.mark.parametrize(
    ("rate", "rows", "block", "total"),
    [
        (0.0, 3, 4, 1),
        (0.0, 4, 4, 0),
        (0.1, 1, 1, 1),
        (0.1, 8, 1, 0),
        (0.5, 8, 1, 8),
        (0.5, 64, 1, 0),
        (0.9, 64, 1, 64),
        (1.0, 2, 1, 16),
    ],
)
def test_guesses_are_made_where_they_pay(rate: float, rows: int, block: int, total: int) -> None:
    assert sum(observed(rate).places([50] * rows, block)) == total


def test_no_response_gets_more_guesses_than_it_may_have_tokens() -> None:
    assert observed(1.0).places([0, 1, 9], 16) == [0, 1, 9]
    assert observed(1.0).places([0, 0], 4) == [0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("heat", [0.0, 0.3, 1.0])
def test_responses_are_the_same_to_the_bit(tiny_model: PreTrainedModel, heat: float, dtype: torch.dtype) -> None:
    pytest.importorskip("llvmlite")
    model = copy.deepcopy(tiny_model).to(dtype)
    requests = [
        Request(str(n), tuple(range(3, 9 + 30 * (n % 2))), (), 5 + 13 * n % 60, 90, seed=n, temperature=heat, top_p=0.9)
        for n in range(21)
    ]
    found: list[dict[str, Segment]] = []
    steps: list[int] = []
    for drafts in (False, True):
        engine = LocalEngine(
            copy.deepcopy(model), [2], slots=18, detector=partial(RepetitionDetector, 8, 4, 16), drafts=drafts
        )
        calls: list[int] = []
        engine._model.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        found.append({done.request_id: done.segment for done in engine.generate(requests)})
        steps.append(len(calls))
    assert found[0] == found[1]
    if heat == 0:
        # A small model soon repeats itself, and is guessed.
        assert steps[1] < steps[0]


def test_torchs_attention_goes_without(tiny_model: PreTrainedModel) -> None:
    engine = LocalEngine(
        tiny_model, [2], slots=3, detector=partial(RepetitionDetector, 8, 4, 16), attention="torch", drafts=True
    )
    (done,) = engine.generate([Request("a", (3, 4, 5), (), 9, 9, seed=0)])
    assert done.segment.tokens
