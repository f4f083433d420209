import random

import pytest

from perilune.algorithm.repetition import RepetitionDetector, is_repeating

RULES = [(1, 2, 1), (2, 2, 5), (3, 2, 1), (3, 4, 24), (5, 3, 4), (8, 2, 10), (32, 4, 24)]


def random_response(rng, alphabet, length):
    """Random tokens with planted repetitions, some of them broken by one other token."""
    tokens = []
    while len(tokens) < length:
        block = [rng.randrange(alphabet) for _ in range(rng.randint(1, 9))]
        copies = rng.choice([1, 1, 2, 3, 6])
        tokens += block * copies
        if rng.random() < 0.5:
            tokens.append(rng.randrange(alphabet))
    return tokens[:length]


@pytest.mark.parametrize("rule", RULES)
def test_the_detector_agrees_with_the_rule_at_every_token(rule):
    seen = set()
    for seed in range(40):
        rng = random.Random(seed)
        tokens = random_response(rng, alphabet=rng.choice([1, 2, 3, 50]), length=rng.choice([30, 150]))
        detector = RepetitionDetector(*rule)
        for i, token in enumerate(tokens):
            expected = is_repeating(tokens[: i + 1], *rule)
            assert detector.push(token) is expected, (seed, i)
            assert detector.repeating is expected
            seen.add(expected)
    assert seen == {True, False}


@pytest.mark.parametrize("rule", RULES)
def test_the_answer_does_not_depend_on_where_the_response_was_cut(rule):
    for seed in range(30):
        rng = random.Random(1000 + seed)
        tokens = random_response(rng, alphabet=2, length=200)
        whole = RepetitionDetector(*rule)
        answers = [whole.push(token) for token in tokens]
        cut = rng.randrange(len(tokens))
        continued = RepetitionDetector(*rule, earlier=tuple(tokens[:cut]))
        if cut:
            assert continued.repeating is answers[cut - 1]
        assert [continued.push(token) for token in tokens[cut:]] == answers[cut:]


def test_the_rule_by_hand():
    assert is_repeating([7, 7, 7, 7], max_period=1, min_repeats=4, min_tokens=1)
    assert not is_repeating([7, 7, 7], max_period=1, min_repeats=4, min_tokens=1)
    assert not is_repeating([7, 7, 7, 7], max_period=1, min_repeats=4, min_tokens=5)
    assert is_repeating([9, 1, 2, 1, 2, 1], max_period=2, min_repeats=2, min_tokens=5)
    assert not is_repeating([9, 1, 2, 1, 2, 1], max_period=2, min_repeats=2, min_tokens=6)
    assert not is_repeating([1, 2, 1, 2, 3], max_period=2, min_repeats=2, min_tokens=1)
    assert not is_repeating([1, 2, 3, 1, 2, 3], max_period=2, min_repeats=2, min_tokens=1)
    assert not is_repeating([], max_period=2, min_repeats=2, min_tokens=1)


def test_a_long_response_stays_exact():
    # Far longer than the detector's history, with the only repetition at the very end.
    rng = random.Random(5)
    tokens = [rng.randrange(50_000) for _ in range(5000)]
    tokens += tokens[-32:] * 3
    detector = RepetitionDetector(32, 4, 24)
    answers = [detector.push(token) for token in tokens]
    assert answers.index(True) == len(tokens) - 1


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="min_repeats"):
        RepetitionDetector(4, 1, 8)
    with pytest.raises(ValueError, match="max_period"):
        RepetitionDetector(0, 2, 8)
