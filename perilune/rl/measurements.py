"""One iteration as numbers: what the metrics file, the terminal line and the report show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from perilune.algorithm.sampling import BANDS
from perilune.recipe.reward_names import reward_names
from perilune.rl.loop import Iteration
from perilune.rl.rollout import RolloutResult
from perilune.rl.sampler import Draw
from perilune.types import Group, Phase, Sample, Stop, Trajectory, Verdict


def iteration_metrics(done: Iteration) -> dict[str, float]:
    """Flat metrics of a committed iteration.

    Rewards, lengths and stops are of the responses in groups that became complete; shares lie in [0, 1]; times are
    seconds; ``entropy`` is the estimate -mean log pi of the sampled tokens, in nats.
    """
    finished = [t for group in done.complete for t in group.trajectories]
    graded = [t.grade.verdict for t in finished if t.grade and t.grade.verdict is not Verdict.ERROR]
    rewards = [reward for group in done.rewarded for reward in group.rewards_G]
    logprobs = [value for t in finished for value in t.logprobs]
    metrics = {
        "reward_mean": _mean(rewards),
        "solve_rate": graded.count(Verdict.RIGHT) / len(graded) if graded else math.nan,
        "response_tokens_mean": _mean([len(t.tokens) for t in finished]),
        "entropy": -_mean(logprobs),
        "groups_trained": float(len({sample.group for sample in done.samples})),
        "groups_flat": float(sum(group.flat for group in done.rewarded)),
        "groups_waiting": float(done.waiting),
        "trajectories_trained": float(len(done.samples)),
        "discarded_stale": float(done.discarded),
        "grade_errors": float(done.generated.grade_errors),
        "grades_over_limit": float(done.rollout.grades_over_limit),
        "rollout_tokens": float(done.generated.tokens),
        "tokens_per_second_rollout": done.rollout.tokens / max(done.seconds["rollout"], 1e-9),
    }
    metrics |= _by_reward(done.complete)
    metrics |= _grading(done.rollout) | _drawn(done.draws)
    metrics |= {f"seconds_{phase}": seconds for phase, seconds in done.seconds.items()}
    metrics |= _stop_shares(finished) | _version_shares(done.samples)
    if done.update is not None:
        metrics |= {
            "loss": done.update.loss,
            "gradient_norm": done.update.gradient_norm,
            "mismatch_mean": done.update.mismatch_mean,
            "mismatch_max": done.update.mismatch_max,
            "mismatch_beyond": done.update.mismatch_beyond,
            "mismatch_kl": done.update.mismatch_kl,
            "corrected": done.update.corrected,
            "kl_to_reference": done.update.kl_to_reference,
            "optimizer_steps": float(done.update.steps),
            "steps_skipped": float(done.update.skipped),
            "tokens_trained": float(done.update.tokens),
        }
    return metrics


PHASE_SECONDS = {
    "offload": "offload",
    "start": "engine_start",
    "transfer": "transfer",
    "stop": "engine_stop",
    "onload": "onload",
}
"""The phases around a rollout, and what their seconds are called among an iteration's."""


def with_phases(metrics: Mapping[str, float], phases: Sequence[Phase]) -> dict[str, float]:
    """An iteration's metrics with the phases around its rollout: their seconds come out of the rollout phase's.

    Args:
        metrics: from :func:`iteration_metrics`.
        phases: since the iteration before; of each name the last counts, since evaluations have theirs, too.
    """
    last = {phase.name: phase for phase in phases}
    seconds = {f"seconds_{PHASE_SECONDS[name]}": p.seconds for name, p in last.items() if name in PHASE_SECONDS}
    found = {**metrics, **seconds}
    if seconds and "seconds_rollout" in found:
        found["seconds_rollout"] -= sum(seconds.values())
        found["tokens_per_second_rollout"] *= metrics["seconds_rollout"] / max(found["seconds_rollout"], 1e-9)
    found |= {f"memory_gb_{name}": phase.memory_gb for name, phase in last.items()}
    return found | {f"device_gb_{name}": phase.device_gb for name, phase in last.items() if phase.device_gb}


def _grading(rollout: RolloutResult) -> dict[str, float]:
    """How much was graded, and which share of that passed while responses were still being generated."""
    work, waited = rollout.grading_seconds, rollout.grade_wait_seconds
    return {"grading_seconds": work, "grading_overlap": max(0.0, 1 - waited / work) if work > 0 else math.nan}


def tags_drawn(draws: Sequence[Draw]) -> dict[str, float]:
    """How many of the fresh problems have each first tag; 'untagged' are those without."""
    return {tag: float(count) for tag, count in sorted(Counter(draw.tag or "untagged" for draw in draws).items())}


def _by_reward(complete: Sequence[Group]) -> dict[str, float]:
    """Mean of what each reward gave to the responses that it graded, before weights, penalties and length rewards."""
    scores: dict[str, list[float]] = {}
    for group in complete:
        alone = reward_names(group.problem.reward)
        for grade in (t.grade for t in group.trajectories if t.grade and t.grade.verdict is not Verdict.ERROR):
            for name, score in grade.parts or ([(alone[0], grade.score)] if len(alone) == 1 else []):
                scores.setdefault(name, []).append(score)
    return {f"reward/{name}": _mean(found) for name, found in scores.items()}


def _drawn(draws: Sequence[Draw]) -> dict[str, float]:
    """What the fresh problems are like; their bands only where the recipe tells any."""
    if not draws:
        return {}
    banded = [draw.band for draw in draws if draw.band is not None]
    counts = {f"drawn_{band}": float(banded.count(band)) for band in (*BANDS, "unknown")} if banded else {}
    return counts | {
        "drawn_difficulty": _mean([draw.difficulty for draw in draws if draw.difficulty is not None]),
        "drawn_success": _mean([draw.success for draw in draws]),
        "drawn_tags": float(len({draw.tag for draw in draws})),
        "pool_allowed": draws[0].allowed,
    }


def multi_version_count(samples: Sequence[Sample]) -> int:
    """How many samples span two policy versions or more."""
    return sum(len(set(sample.versions)) > 1 for sample in samples)


def _stop_shares(finished: Sequence[Trajectory]) -> dict[str, float]:
    """Share of finished responses per terminal Stop, and share of all their segments that were cut."""
    stops = [t.stop for t in finished]
    segments = [segment.stop for t in finished for segment in t.segments]
    shares = {f"stop_{stop.value}": _share(stops.count(stop), len(stops)) for stop in Stop if stop.terminal}
    return shares | {"stop_cut": _share(segments.count(Stop.CUT), len(segments))}


def _version_shares(samples: Sequence[Sample]) -> dict[str, float]:
    spans = [len(set(sample.versions)) for sample in samples]
    return {
        "versions_1": _share(spans.count(1), len(spans)),
        "versions_2": _share(spans.count(2), len(spans)),
        "versions_3_or_more": _share(sum(span > 2 for span in spans), len(spans)),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
