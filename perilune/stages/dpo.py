"""The stage dpo: direct preference optimisation on pairs of responses (k1.5, section 2.4)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from perilune.data.preferences import load_preferences
from perilune.errors import ProblemsError, RunFolderError
from perilune.run.jsonl import replace_lines
from perilune.stages.sample import FOLDER, PREFERENCES_FILE, empty_preferences
from perilune.stages.session import Session
from perilune.stages.supervised import minibatch_steps, take_steps
from perilune.types import Demonstration, Objective, OptimizerStep, Preference, Sample

_REFERENCE = "dpo-reference.json"


def optimize_preferences(session: Session) -> None:
    """Train on preference pairs; the model before the stage is the reference, and scores the pairs once.

    Raises:
        ProblemsError: there are no pairs, or they cannot be read.
    """
    config = session.recipe.dpo
    with session.clock.phase("dpo"):
        pairs = _pairs(session)[: config.count]
        samples = [sample for number, pair in enumerate(pairs) for sample in _samples(session, pair, number)]
        steps = [
            OptimizerStep(
                tuple(index for pair in step.indices for index in (2 * pair, 2 * pair + 1)), step.learning_rate
            )
            for step in minibatch_steps(len(pairs), config, session.recipe.seed)
        ]
        session.display.note(f"{len(pairs)} preference pairs, {len(steps)} optimiser steps")
        objective = Objective(
            "dpo",
            beta=config.beta,
            label_smoothing=config.label_smoothing,
            length_normalized=config.length_normalized,
        )
        take_steps(session, "dpo", _referenced(session, samples), objective, steps)


def _pairs(session: Session) -> list[Preference]:
    config, written = session.recipe.dpo, session.run.path / FOLDER / PREFERENCES_FILE
    if config.pairs is not None:
        return load_preferences(Path(config.pairs).expanduser())
    stages = session.recipe.stages
    if "sample" not in stages[: stages.index("dpo")]:
        raise ProblemsError(
            "the stage dpo needs preference pairs: name a file in dpo.pairs, or put the stage sample before it"
        )
    if not written.exists() or not written.stat().st_size:
        raise empty_preferences(session.run.path / FOLDER)
    return load_preferences(written)


def _samples(session: Session, pair: Preference, number: int) -> tuple[Sample, Sample]:
    chosen = _sample(session, pair, pair.chosen, number, advantage=1.0)
    return chosen, _sample(session, pair, pair.rejected, number, advantage=-1.0, ended=pair.rejected_ended)


def _sample(
    session: Session, pair: Preference, text: str, number: int, *, advantage: float, ended: bool = True
) -> Sample:
    prompt, response = session.backends.render_demonstration(Demonstration(pair.problem, text))
    if not ended and len(response) > 1:
        response = response[:-1]
    mask = (False,) * len(prompt) + (True,) * len(response)
    return Sample(prompt + response, len(prompt), mask, advantage, group=number)


def _referenced(session: Session, samples: Sequence[Sample]) -> list[Sample]:
    """The samples with their log-probabilities under the model before the stage, computed once and kept in the run."""
    path, key = session.run.path / _REFERENCE, _key(samples)
    if session.run.state.sft_steps:
        # The policy has moved: what was computed before it did counts.
        found = _kept(path, key)
    else:
        with session.display.task("reference", len(samples)) as progress:
            scored = session.backends.trainer.logprobs(samples)
            progress(len(samples), len(samples))
        found = [sum(row) for row in scored]
        replace_lines(path, [json.dumps({"key": key, "logprobs": found}) + "\n"])
    return [replace(sample, reference_logprob=value) for sample, value in zip(samples, found, strict=True)]


def _kept(path: Path, key: str) -> list[float]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] != key:
            raise RunFolderError(
                f"the preference pairs are not those that this run began with (see {path}): put them back, or start "
                "anew with --overwrite"
            )
        return [float(value) for value in kept["logprobs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"cannot read {path}, the reference's log-probabilities: {error}; start anew with --overwrite"
        ) from error


def _key(samples: Sequence[Sample]) -> str:
    digest = blake2b(digest_size=16)
    for sample in samples:
        digest.update(json.dumps([sample.prompt_length, sample.tokens]).encode())
    return digest.hexdigest()
