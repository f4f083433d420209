"""From scored responses to figures with their uncertainty. An error is not a wrong answer: it is counted apart."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from perilune.run.jsonl import plain
from perilune.types import Problem, ScoredResponse, Stop, Verdict

Interval = tuple[float, float]

_MOST_DIFFICULTIES = 8
"""With more distinct difficulties than this, the breakdown is by quarters of the problems."""


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate of the chance that at least one of k responses is right (Chen et al., 2021, section 2.1).

    Args:
        n: responses drawn.
        c: right ones among them.
        k: at most n.

    Raises:
        ValueError: not 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def wilson_interval(successes: float, n: float, z: float = 1.96) -> Interval:
    """Interval for a share (Wilson, 1927), inside [0, 1] and of positive width even at 0 and n.

    Args:
        successes: how many of n; an effective number need not be whole.
        n: trials; (0, 1) comes out if there were none.
        z: normal quantile, 1.96 for 95 %.
    """
    if n <= 0:
        return (0.0, 1.0)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def clustered_interval(rates: Sequence[float], responses: int, z: float = 1.96) -> Interval:
    """Interval for the mean of per-problem success rates; responses to one problem are not independent.

    Wilson's interval at the effective number of trials p(1-p)/SE² (Korn and Graubard, 1998), SE being the standard
    error of the mean over problems; held between the number of problems and the number of responses.

    Args:
        rates: success rate of each problem, in [0, 1].
        responses: graded responses behind them, all problems together.
        z: normal quantile, 1.96 for 95 %.
    """
    problems = len(rates)
    if problems == 0:
        return (0.0, 1.0)
    mean = math.fsum(rates) / problems
    # One problem alone says nothing of the spread between problems.
    spread = math.fsum((rate - mean) ** 2 for rate in rates) / max(1, problems - 1)
    spread_of_mean = spread / problems
    effective = float(problems)
    if problems > 1 and 0 < mean < 1:
        effective = mean * (1 - mean) / spread_of_mean if spread_of_mean > 0 else math.inf
    effective = min(max(effective, float(problems)), float(max(responses, problems)))
    return wilson_interval(mean * effective, effective, z)


@dataclass(frozen=True, slots=True)
class Slice:
    """The figures of some of the responses."""

    count: int
    """Responses, errors included."""
    accuracy: float
    """Right among the graded ones; NaN if none was graded."""
    mean_tokens: float


@dataclass(frozen=True, slots=True)
class EvaluationSummary:
    """One evaluation in figures. Accuracy, tokens, stops and breakdowns are of the greedy responses if there are any,
    else of the sampled ones; accuracies are over graded responses. NaN where there was nothing to measure."""

    decoding: Literal["greedy", "sampled"]
    problems: int
    responses: int
    """Greedy and sampled together."""
    errors: int
    """Responses that could not be graded."""
    accuracy: float
    accuracy_interval: Interval
    """95 %: Wilson's for greedy, clustered by problem for sampled."""
    mean_tokens: float
    stops: dict[str, float]
    """Share of the responses per Stop that occurred."""
    by_tag: dict[str, Slice]
    by_difficulty: dict[str, Slice]
    """By value where there are few, else by quarters of the problems; from easy to hard."""
    sampled_accuracy: float | None
    """Sampled pass@1; None without samples, as are the next three."""
    sampled_interval: Interval | None
    sampled_mean_tokens: float | None
    pass_at_k: dict[int, float] | None
    """Mean over the problems that have at least k graded samples."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: NaN becomes None, keys become strings."""
        return dict(plain(asdict(self)))


def summarize(responses: Sequence[ScoredResponse], ks: Sequence[int] | None = None) -> EvaluationSummary:
    """The figures of one evaluation.

    Args:
        responses: sample 0 of a problem is greedy, 1 and above are sampled.
        ks: for pass@k; by default 1, 2, 4, … up to the samples per problem.
    """
    greedy = [r for r in responses if r.sample == 0]
    sampled = [r for r in responses if r.sample > 0]
    main = greedy or sampled
    rates = _rates(sampled)
    sampled_accuracy = _mean([right / n for n, right in rates])
    sampled_interval = clustered_interval([right / n for n, right in rates], sum(n for n, _ in rates))
    right = sum(r.grade.verdict is Verdict.RIGHT for r in greedy)
    return EvaluationSummary(
        decoding="greedy" if greedy else "sampled",
        problems=len({r.problem.id for r in responses}),
        responses=len(responses),
        errors=sum(r.grade.verdict is Verdict.ERROR for r in responses),
        accuracy=_accuracy(greedy) if greedy else sampled_accuracy,
        accuracy_interval=wilson_interval(right, len(_graded(greedy))) if greedy else sampled_interval,
        mean_tokens=_mean([r.tokens for r in main]),
        stops={stop.value: _share(main, stop) for stop in Stop if any(r.stop is stop for r in main)},
        by_tag=_by_tag(main),
        by_difficulty=_by_difficulty(main),
        sampled_accuracy=sampled_accuracy if sampled else None,
        sampled_interval=sampled_interval if sampled else None,
        sampled_mean_tokens=_mean([r.tokens for r in sampled]) if sampled else None,
        pass_at_k=_pass_at(rates, ks) if sampled else None,
    )


def _graded(responses: Sequence[ScoredResponse]) -> list[ScoredResponse]:
    return [r for r in responses if r.grade.verdict is not Verdict.ERROR]


def _accuracy(responses: Sequence[ScoredResponse]) -> float:
    return _mean([float(r.grade.verdict is Verdict.RIGHT) for r in _graded(responses)])


def _share(responses: Sequence[ScoredResponse], stop: Stop) -> float:
    return sum(r.stop is stop for r in responses) / len(responses)


def _rates(sampled: Sequence[ScoredResponse]) -> list[tuple[int, int]]:
    """(graded, right) of each problem that has a graded sample."""
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    for response in _graded(sampled):
        verdicts[response.problem.id].append(response.grade.verdict)
    return [(len(found), found.count(Verdict.RIGHT)) for found in verdicts.values()]


def _pass_at(rates: Sequence[tuple[int, int]], ks: Sequence[int] | None) -> dict[int, float]:
    most = max((n for n, _ in rates), default=0)
    wanted = ks if ks is not None else [2**power for power in range(most.bit_length())]
    return {k: _mean([pass_at_k(n, c, k) for n, c in rates if n >= k]) for k in wanted if k <= most}


def _by_tag(responses: Sequence[ScoredResponse]) -> dict[str, Slice]:
    tags = sorted({tag for r in responses for tag in r.problem.tags})
    return {tag: _slice([r for r in responses if tag in r.problem.tags]) for tag in tags}


def _by_difficulty(responses: Sequence[ScoredResponse]) -> dict[str, Slice]:
    label_of = _difficulty_labels([r.problem for r in responses])
    groups: dict[str, list[ScoredResponse]] = defaultdict(list)
    for response in sorted(responses, key=lambda r: math.inf if r.problem.difficulty is None else r.problem.difficulty):
        if response.problem.difficulty is not None:
            groups[label_of(response.problem.difficulty)].append(response)
    return {label: _slice(found) for label, found in groups.items()}


def _difficulty_labels(problems: Sequence[Problem]) -> Callable[[float], str]:
    """How a difficulty is called in the breakdown."""
    by_id: Mapping[str, float] = {p.id: p.difficulty for p in problems if p.difficulty is not None}
    values = sorted(by_id.values())
    distinct = sorted(set(values))
    if len(distinct) <= _MOST_DIFFICULTIES:
        return lambda value: f"{value:g}"
    # The first difficulty of each quarter; equal difficulties stay together.
    starts = sorted({values[len(values) * quarter // 4] for quarter in range(4)})

    def label(value: float) -> str:
        place = max(index for index, start in enumerate(starts) if value >= start)
        above = starts[place + 1] if place + 1 < len(starts) else math.inf
        last = max(found for found in distinct if found < above)
        return f"{starts[place]:g} to {last:g}"

    return label


def _slice(responses: Sequence[ScoredResponse]) -> Slice:
    return Slice(len(responses), _accuracy(responses), _mean([r.tokens for r in responses]))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
