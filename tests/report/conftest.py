"""A run folder like those that the stages write, made through the package's own writers."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from perilune.evaluation.responses import write_responses
from perilune.evaluation.scoring import summarize
from perilune.recipe.recipe import parse_recipe, recipe_toml
from perilune.run.metrics import MetricsLog
from perilune.types import Grade, Message, Problem, ScoredResponse, Stop, Verdict

EVIL = "</pre><script>alert('x')</script><img src=x onerror=alert(1)> & \u202e \"quoted\""


def scored_responses(accuracy, tokens, problems=80, samples=4, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for number in range(problems):
        steps = 1 + number % 3
        problem = Problem(
            f"arithmetic/{number}",
            (Message("user", f"What is {number} + {steps}?"),),
            str(number + steps),
            tags=(("one step", "two steps", "three steps")[steps - 1],),
            difficulty=float(steps),
        )
        chance = min(1.0, max(0.0, accuracy * (1.5 - 0.25 * steps)))
        for sample in range(1 + samples):
            verdict = Verdict.RIGHT if rng.random() < chance else Verdict.WRONG
            if rng.random() < 0.01:
                verdict = Verdict.ERROR
            stop = Stop.ENDED if rng.random() < 0.9 else Stop.LIMIT
            length = int(rng.integers(tokens - 10, tokens + 20))
            grade = Grade(verdict, float(verdict is Verdict.RIGHT), "found something")
            found.append(ScoredResponse(problem, f"So Answer: {number}", length, stop, grade, sample))
    return found


def write_evaluation(folder, log, name, step, accuracy, tokens, **options):
    responses = scored_responses(accuracy, tokens, seed=step, **options)
    write_responses(folder / "evaluations" / f"{name}.jsonl", responses)
    log.write("evaluation", step, {"name": name, "summary": summarize(responses).to_dict()})


def write_sft(log, steps=40):
    rng = np.random.default_rng(1)
    for step in range(1, steps + 1):
        loss = 0.5 + 1.6 * math.exp(-step / 9) + rng.normal(0, 0.05)
        rate = 2e-5 * (1 - 0.9 * step / steps)
        log.write("sft_step", step, {"loss": loss, "learning_rate": rate, "gradient_norm": 2.0, "tokens": 900})


def iteration_values(number, iterations, rng):
    way = number / max(1, iterations - 1)
    limit, repeated = 0.2 - 0.1 * way, 0.05
    nothing_complete = number == 0
    return {
        "reward_mean": 0.3 + 0.4 * way + rng.normal(0, 0.03),
        "solve_rate": 0.28 + 0.4 * way + rng.normal(0, 0.03),
        "response_tokens_mean": 70 + 50 * way + rng.normal(0, 3),
        "entropy": 0.9 - 0.4 * way + rng.normal(0, 0.02),
        "mismatch_mean": math.nan if nothing_complete else 10 ** rng.normal(-3.1, 0.1),
        "mismatch_max": math.nan if nothing_complete else 10 ** rng.normal(-1.5, 0.2),
        "kl_to_reference": rng.normal(0.01, 0.004),
        "loss": 0.2 - 0.1 * way + rng.normal(0, 0.02),
        "gradient_norm": abs(rng.normal(1.2, 0.3)),
        "stop_ended": 1 - limit - repeated,
        "stop_limit": limit,
        "stop_repeated": repeated,
        "stop_cut": 0.3 + 0.1 * way,
        "versions_1": 1.0 if nothing_complete else 0.7 - 0.2 * way,
        "versions_2": 0.0 if nothing_complete else 0.2 + 0.1 * way,
        "versions_3_or_more": 0.0 if nothing_complete else 0.1 + 0.1 * way,
        "groups_trained": 2.0 if nothing_complete else float(rng.integers(6, 11)),
        "groups_waiting": float(rng.integers(2, 7)),
        "trajectories_trained": 64.0,
        "discarded_stale": float(rng.integers(0, 2)),
        "grade_errors": float(rng.integers(0, 3)),
        "tokens_per_second_rollout": 450 + rng.normal(0, 20),
        "seconds_rollout": 12 + 6 * way + rng.normal(0, 1),
        "seconds_train": 15 + 3 * way + rng.normal(0, 1),
        "seconds_save": 1.2,
    }


def sample_response(iteration, place):
    verdict = ("right", "wrong", "error", "right")[place % 4]
    segments = [
        {"version": version, "text": text, "tokens": 64 if more else 21, "stop": "cut" if more else "ended"}
        for version, text, more in [
            (
                iteration + 1,
                "First, Mia has 23 apples.\nShe buys 4 bags of 6 apples, so that is 4 * 6 = 24 apples",
                True,
            ),
            (iteration + 2, " more.\nLet me check: 6 + 6 + 6 + 6 = 24. Yes.\nNow 23 + 24 = 47", True),
            (iteration + 3, f".\nAnswer: 47 {EVIL if place == 1 else ''}", False),
        ][place % 3 :]
    ]
    return {
        "iteration": iteration,
        "problem": f"arithmetic/{iteration}-{place}",
        "question": "Mia has 23 apples and buys 4 bags of 6 apples each. How many does she have? "
        + EVIL * (place == 1),
        "answer": "47",
        "verdict": verdict,
        "score": float(verdict == "right"),
        "stop": segments[-1]["stop"],
        "segments": segments,
    }


def write_run(folder: Path, *, stages=("sft", "rl"), iterations=10, planned=None, base=True) -> Path:
    """Write a run that has done so many of the planned iterations."""
    planned = iterations if planned is None else planned
    recipe = parse_recipe(
        {
            "name": folder.name,
            "stages": list(stages),
            "model": {"name": "smollm2-135m-instruct"},
            "problems": {
                "train": {"kind": "generator", "generators": [{"name": "arithmetic"}], "count": 100},
                "heldout": {"kind": "generator", "generators": [{"name": "arithmetic"}], "count": 100},
            },
            "rl": {"iterations": max(1, planned)},
        }
    )
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    rng = np.random.default_rng(0)
    with MetricsLog(folder) as log, (folder / "samples.jsonl").open("w", encoding="utf-8") as samples:
        if base:
            write_evaluation(folder, log, "base", 0, 0.03, 60)
        if "sft" in stages:
            write_sft(log)
            write_evaluation(folder, log, "warmup", 0, 0.4, 75)
        if "rl" in stages:
            for number in range(iterations):
                log.write("iteration", number, iteration_values(number, iterations, rng))
                samples.writelines(json.dumps(sample_response(number, place)) + "\n" for place in range(4))
                if (number + 1) % 5 == 0 and number + 1 < planned:
                    way = number / iterations
                    options = {"problems": 40, "samples": 0}
                    write_evaluation(
                        folder, log, f"iteration-{number + 1}", number + 1, 0.4 + 0.2 * way, 100, **options
                    )
            if iterations == planned:
                write_evaluation(folder, log, "final", iterations, 0.6, 120)
        if iterations == planned:
            log.write("seconds", 0, {"phases": {"setup": 6.0, "sft": 130.0, "rollout": 150.0, "train": 165.0}})
    return folder


@pytest.fixture
def sketched(monkeypatch):
    """Drawings are empty, and there in a tenth of the time."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "sketch")


@pytest.fixture
def make_run(tmp_path):
    """Makes a run folder of a name."""
    return lambda name="quickstart", **options: write_run(tmp_path / name, **options)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A run folder that tests write no more than reports into."""
    return write_run(tmp_path_factory.mktemp("finished") / "quickstart")


@pytest.fixture
def evil():
    """What a hostile model wrote into one of the samples."""
    return EVIL
