"""The evaluate stage: the held-out problems, greedy and sampled, by the policy as it is."""

from __future__ import annotations

from perilune.evaluation.benchmark import evaluate
from perilune.evaluation.responses_io import write_responses
from perilune.evaluation.scoring import EvaluationSummary, summarize
from perilune.stages.session import Session


def measure(session: Session, name: str, step: int, *, during: bool = False) -> EvaluationSummary:
    """Answer the held-out problems; write responses, metrics and a line for people.

    Args:
        session: the run.
        name: of the evaluation: base, warmup, iteration-5, final.
        step: RL iterations behind the model.
        during: an evaluation in the midst of RL: greedy alone, on ``evaluation.during_count`` problems.
    """
    config, parts = session.recipe.evaluation, session.components
    problems = session.heldout[: config.during_count] if during else session.heldout
    samples = 0 if during else config.samples
    with session.clock.phase("evaluate"), parts.workers.serving(parts.trainer) as engine:
        label = f"evaluate {name}"
        with session.display.task(label, len(problems) * (1 + samples)) as progress:
            responses = evaluate(
                engine,
                session.grader,
                problems,
                parts.render,
                parts.decode,
                max_response_tokens=config.max_response_tokens,
                samples=samples,
                temperature=config.temperature,
                seed=session.recipe.seed,
                progress=progress,
            )
    summary = summarize(responses)
    write_responses(session.run.path / "evaluations" / f"{name}.jsonl", responses)
    session.log.write("evaluation", step, {"name": name, "summary": summary.to_dict()})
    session.display.evaluation(name, summary)
    return summary
