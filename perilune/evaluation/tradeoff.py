"""Accuracy against tokens of several models that answered the same problems (k1.5, section 2.4 and Figure 7).

Changes are paired by problem: models that find the same problems hard differ less than their own intervals suggest.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

from perilune.evaluation.scoring import Interval, summarize
from perilune.run.jsonl import plain
from perilune.types import ScoredResponse, Verdict

Decoding = Literal["greedy", "sampled"]

_Z = 1.96
_UNKNOWN: Interval = (math.nan, math.nan)
_INTERVALS = ("accuracy_interval", "tokens_interval", "accuracy_change_interval", "tokens_change_interval")
_FIGURES = ("accuracy", "mean_tokens", "accuracy_change", "tokens_change")


@dataclass(frozen=True, slots=True)
class PaperPoint:
    """What the paper reports of a method on one benchmark."""

    tokens: int
    accuracy: float
    """In [0, 1]."""


PAPER_SOURCE = "Kimi k1.5, section 2.4 and Figure 7; some of the figures are read off the figure"
PAPER: Mapping[str, Mapping[str, PaperPoint]] = {
    "MATH500": {
        "long": PaperPoint(1321, 0.940),
        "rl": PaperPoint(1198, 0.945),
        "dpo": PaperPoint(1103, 0.915),
        "merge+shortest": PaperPoint(902, 0.901),
        "merge": PaperPoint(857, 0.891),
        "shortest": PaperPoint(645, 0.881),
    },
    "AIME 2024": {
        "long": PaperPoint(4205, 0.631),
        "rl": PaperPoint(3263, 0.606),
        "dpo": PaperPoint(3115, 0.469),
        "merge+shortest": PaperPoint(3028, 0.427),
        "merge": PaperPoint(3134, 0.388),
        "shortest": PaperPoint(1446, 0.257),
    },
}
"""Benchmark → method → figures, by :data:`PAPER_SOURCE`."""


@dataclass(frozen=True, slots=True)
class Point:
    """One model's place between accuracy and tokens. Intervals are of 95 %; NaN where there was nothing to measure."""

    name: str
    reference: bool
    """Whether it is the model that the others are compared with; its own changes are 0."""
    decoding: Decoding
    problems: int
    responses: int
    errors: int
    """Responses that could not be graded; they count in the tokens alone."""
    accuracy: float
    accuracy_interval: Interval
    """Wilson's for greedy responses, clustered by problem for sampled ones."""
    mean_tokens: float
    """Mean over the problems of their mean response length."""
    tokens_interval: Interval
    """Normal, by the spread between problems."""
    accuracy_change: float
    """Mean over the problems that both models have graded responses to; 0.01 is a point."""
    accuracy_change_interval: Interval
    tokens_change: float
    """Share of the reference's tokens: -0.35 where 35 % fewer were used."""
    tokens_change_interval: Interval
    pareto: bool
    """No other model is at least as accurate with no more tokens, and better in one of the two."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: NaN becomes None."""
        return dict(plain(asdict(self)))

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """What :meth:`to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: the value is none of these.
        """
        found = {name: value[name] for name in (field.name for field in fields(cls))}
        found |= {name: _number(value[name]) for name in _FIGURES}
        for name in _INTERVALS:
            low, high = value[name]
            found[name] = (_number(low), _number(high))
        return cls(**found)


def trade_off(
    measured: Mapping[str, Sequence[ScoredResponse]], reference: str, *, sampled: bool = False
) -> tuple[Point, ...]:
    """Each model's accuracy and tokens, and what changed against the reference.

    Args:
        measured: name → responses to the same problems; sample 0 of a problem is greedy, 1 and above are sampled.
        reference: name of the model that the others are compared with.
        sampled: use the sampled responses although every model has greedy ones.

    Returns:
        In the given order. All models are told by one decoding: greedy where every model has it.

    Raises:
        ValueError: the reference is missing, a model has no responses of the decoding, or problems differ.
    """
    if reference not in measured:
        raise ValueError(f"the reference {reference!r} is none of the models measured: {', '.join(measured)}")
    greedy = not sampled and all(any(r.sample == 0 for r in found) for found in measured.values())
    used = {name: [r for r in found if (r.sample == 0) == greedy] for name, found in measured.items()}
    _check_problems(used, reference, "greedy" if greedy else "sampled")
    points = [_point(name, found, used[reference], name == reference) for name, found in used.items()]
    front = pareto_front({point.name: (point.mean_tokens, point.accuracy) for point in points})
    return tuple(replace(point, pareto=point.name in front) for point in points)


def pareto_front(places: Mapping[str, tuple[float, float]]) -> set[str]:
    """Names that no other beats in one of the two while being as good in the other; without an accuracy none is there.

    Args:
        places: name → (tokens, accuracy).
    """
    return {
        name
        for name, (tokens, accuracy) in places.items()
        if not math.isnan(accuracy)
        and not any(a >= accuracy and t <= tokens and (a > accuracy or t < tokens) for t, a in places.values())
    }


def order(points: Iterable[Point], by: Literal["accuracy", "tokens"]) -> list[str]:
    """Names of the models, the most accurate first, or those with the fewest tokens; equals stay as they come."""
    if by == "tokens":
        return [p.name for p in sorted(points, key=lambda p: _last(p.mean_tokens))]
    return [p.name for p in sorted(points, key=lambda p: _last(-p.accuracy))]


def told_order(points: Sequence[Point]) -> list[str]:
    """What came out, in sentences: who saves the most tokens, who keeps the accuracy, and the paper's order beside it.

    Models that differ in both accuracy and tokens have no single order, so there is one by each.
    """
    methods = [p for p in points if not p.reference]
    if not methods:
        return []
    named = {p.name: p for p in methods}
    by_tokens, by_accuracy = order(methods, "tokens"), order(methods, "accuracy")
    tokens = ", ".join(f"{name} ({signed_percent(named[name].tokens_change)})" for name in by_tokens)
    accuracy = ", ".join(f"{name} ({signed_points(named[name].accuracy_change)})" for name in by_accuracy)
    told = [
        f"Fewest tokens first, with the change against the reference: {tokens}.",
        f"Most accurate first, with the change in points: {accuracy}.",
        _told_losses([named[name] for name in by_accuracy]),
        _told_front(points),
    ]
    return told + _told_paper(named)


def signed_points(change: float) -> str:
    """A change in accuracy, in points: 0.012 → '+1.2'."""
    return _signed(100 * change)


def signed_percent(change: float) -> str:
    """A change by a share: -0.35 → '−35%'."""
    told = _signed(100 * change)
    return told if told == "–" else told + "%"


def _signed(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    told = f"{abs(value):.1f}".removesuffix(".0")
    return told if told == "0" else ("+" if value > 0 else "−") + told


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _last(value: float) -> tuple[bool, float]:
    """A sorting key that puts what was not measured at the end."""
    return (math.isnan(value), value)


def _check_problems(used: Mapping[str, Sequence[ScoredResponse]], reference: str, decoding: Decoding) -> None:
    wanted = {r.problem.id for r in used[reference]}
    for name, found in used.items():
        if not found:
            raise ValueError(f"model {name!r} has no {decoding} responses to compare by")
        asked = {r.problem.id for r in found}
        if asked != wanted:
            one = min(asked ^ wanted)
            raise ValueError(
                f"models {name!r} and {reference!r} were asked different problems: {len(asked ^ wanted)} were asked of "
                f"one of them alone, such as {one!r}"
            )


def _point(name: str, found: Sequence[ScoredResponse], base: Sequence[ScoredResponse], reference: bool) -> Point:
    """The model's place; whether it is on the front depends on the others."""
    summary, tokens = summarize(found, ks=()), _tokens(found)
    accuracy_change, accuracy_bounds = (0.0, (0.0, 0.0)) if reference else _accuracy_change(_rates(found), _rates(base))
    tokens_change, tokens_bounds = (0.0, (0.0, 0.0)) if reference else _tokens_change(tokens, _tokens(base))
    return Point(
        name=name,
        reference=reference,
        decoding=summary.decoding,
        problems=summary.problems,
        responses=summary.responses,
        errors=summary.errors,
        accuracy=summary.accuracy,
        accuracy_interval=summary.accuracy_interval,
        mean_tokens=_mean(list(tokens.values())),
        tokens_interval=_mean_interval(list(tokens.values())),
        accuracy_change=accuracy_change,
        accuracy_change_interval=accuracy_bounds,
        tokens_change=tokens_change,
        tokens_change_interval=tokens_bounds,
        pareto=False,
    )


def _rates(found: Sequence[ScoredResponse]) -> dict[str, float]:
    """Share of right responses of each problem that has a graded one."""
    verdicts: dict[str, list[float]] = defaultdict(list)
    for response in found:
        if response.grade.verdict is not Verdict.ERROR:
            verdicts[response.problem.id].append(float(response.grade.verdict is Verdict.RIGHT))
    return {problem: _mean(of) for problem, of in verdicts.items()}


def _tokens(found: Sequence[ScoredResponse]) -> dict[str, float]:
    """Mean response length of each problem."""
    lengths: dict[str, list[float]] = defaultdict(list)
    for response in found:
        lengths[response.problem.id].append(response.tokens)
    return {problem: _mean(of) for problem, of in lengths.items()}


def _accuracy_change(rates: Mapping[str, float], base: Mapping[str, float]) -> tuple[float, Interval]:
    """Mean difference and its interval (Agresti and Min, 2005): Wald's, with half a problem more in each of the four
    cells of right and wrong, so that it has a width even where the models agree on every problem."""
    changes = [rates[problem] - base[problem] for problem in rates if problem in base]
    if not changes:
        return math.nan, (-1.0, 1.0)
    change, n = _mean(changes), len(changes) + 2
    centre = math.fsum(changes) / n
    spread = (math.fsum(d * d for d in changes) + 1) / n - centre**2
    half = _Z * math.sqrt(spread / n)
    return change, (min(change, max(-1.0, centre - half)), max(change, min(1.0, centre + half)))


def _tokens_change(tokens: Mapping[str, float], base: Mapping[str, float]) -> tuple[float, Interval]:
    """Change of the mean and its interval, by the delta method on the logarithm of the ratio of the paired means."""
    now, before = _mean(list(tokens.values())), _mean(list(base.values()))
    if not (now > 0 and before > 0):
        return (now / before - 1 if before > 0 else math.nan), _UNKNOWN
    error = _standard_error([tokens[problem] / now - base[problem] / before for problem in tokens])
    ratio = now / before
    return ratio - 1, (ratio * math.exp(-_Z * error) - 1, ratio * math.exp(_Z * error) - 1)


def _mean_interval(values: Sequence[float]) -> Interval:
    mean, half = _mean(values), _Z * _standard_error(values)
    return (mean - half if math.isnan(half) else max(0.0, mean - half), mean + half)


def _standard_error(values: Sequence[float]) -> float:
    """Of the mean; NaN for one value, which says nothing of the spread."""
    if len(values) < 2:
        return math.nan
    mean = _mean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _told_losses(methods: Sequence[Point]) -> str:
    lost = [p.name for p in methods if p.accuracy_change_interval[1] < 0]
    gained = [p.name for p in methods if p.accuracy_change_interval[0] > 0]
    level = [p.name for p in methods if p.name not in lost and p.name not in gained]
    parts = [
        f"more accurate: {', '.join(gained)}" if gained else "",
        f"not told apart from it: {', '.join(level)}" if level else "",
        f"less accurate: {', '.join(lost)}" if lost else "",
    ]
    return f"Against the reference, at 95 %: {'; '.join(part for part in parts if part)}."


def _told_front(points: Sequence[Point]) -> str:
    front = ", ".join(p.name for p in sorted(points, key=lambda p: _last(p.mean_tokens)) if p.pareto)
    return f"On the front, where no other model is better in one and as good in the other: {front or 'none'}."


def _told_paper(named: Mapping[str, Point]) -> list[str]:
    told = []
    for benchmark, found in PAPER.items():
        common = [name for name in found if name in named]
        if len(common) < 2:
            continue
        tokens = sorted(common, key=lambda name: found[name].tokens)
        accuracy = sorted(common, key=lambda name: -found[name].accuracy)
        told.append(
            f"The paper on {benchmark}: fewest tokens first {', '.join(tokens)} "
            f"({_agreement([named[name].mean_tokens for name in tokens])}); "
            f"most accurate first {', '.join(accuracy)} ({_agreement([-named[name].accuracy for name in accuracy])})."
        )
    return told


def _agreement(values: Sequence[float]) -> str:
    """How many pairs of our values rise as they do in the paper's order."""
    pairs = [first < second for first, second in itertools.combinations(values, 2)]
    if all(pairs):
        return "the same order here"
    return f"{sum(pairs)} of {len(pairs)} pairs the same way round here"
