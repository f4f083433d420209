"""The evaluate stage: the held-out problems, greedy and sampled, by the policy as it is."""

from __future__ import annotations

import json
from hashlib import blake2b

from perilune.evaluation.benchmark import evaluate
from perilune.evaluation.responses import write_responses
from perilune.evaluation.scoring import EvaluationSummary, summarize
from perilune.stages.session import Session


def measure(
    session: Session, name: str, step: int, *, during: bool = False, done: str | None = None
) -> EvaluationSummary:
    """Answer the held-out problems; write responses, metrics and a line for people.

    Responses are kept as they finish: an evaluation that was interrupted generates the others alone.

    Args:
        session: the run.
        name: of the evaluation: base, warmup, iteration-5, final.
        step: RL iterations behind the model.
        during: an evaluation in the midst of RL: greedy alone, on ``evaluation.during_count`` problems.
        done: the step of the run that is over with it.
    """
    config, backends, answers = session.recipe.evaluation, session.backends, session.run.answers
    problems = session.heldout[: config.during_count] if during else session.heldout
    samples = 0 if during else config.samples
    key = _key(session, name)
    with session.clock.phase("evaluate"), backends.workers.serving(backends.trainer) as engine:
        label = f"evaluate {name}"
        with session.display.task(label, len(problems) * (1 + samples)) as progress:
            responses = evaluate(
                engine,
                session.grader,
                problems,
                backends.render,
                backends.decode,
                max_response_tokens=config.max_response_tokens,
                samples=samples,
                temperature=config.temperature,
                seed=session.recipe.seed,
                progress=progress,
                known=answers.of(key),
                keep=lambda request, segment: answers.keep(key, request, segment),
            )
        summary = summarize(responses)
        write_responses(session.run.path / "evaluations" / f"{name}.jsonl", responses)
        values = {"name": name, "summary": summary.to_dict()}
        session.tell_answered("evaluation", step, values, name, done=done)
    session.display.evaluation(name, summary)
    return summary


def _key(session: Session, name: str) -> str:
    """What the answers of an evaluation depend on, beside the problem: the weights, and how they are asked."""
    config = session.recipe.evaluation
    settings = [session.backends.trainer.version, session.recipe.seed, config.max_response_tokens, config.temperature]
    return f"{name}/{blake2b(json.dumps(settings).encode(), digest_size=8).hexdigest()}"
