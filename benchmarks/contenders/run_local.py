"""Contender: the local engine of whichever checkout PYTHONPATH names, set up as a recipe would set it up.

Settings: dtype, slots, threads; ``forced`` takes away end tokens and the early stop; ``options`` are fields of the
recipe's [engine]; ``as_given`` lets requests begin in the order in which they were asked.
"""

from __future__ import annotations

import sys
from typing import Any

from answering import serve, settings, torch_description

import perilune
from perilune import build
from perilune.backends.engines import local
from perilune.recipe.engine import EngineConfig
from perilune.recipe.recipe import parse_recipe
from perilune.types import Request

MODEL = "smollm2-135m-instruct"
NEVER = 1_000_000


def engine_section(given: dict[str, Any]) -> dict[str, Any]:
    unknown = set(given["options"]) - set(EngineConfig.model_fields)
    if unknown:
        sys.exit(f"{perilune.__file__}: the engine has no {', '.join(sorted(unknown))}")
    section = {"dtype": given["dtype"], "slots": given["slots"], "device": "cpu", **given["options"]}
    return section | ({"repetition_min_tokens": NEVER} if given["forced"] else {})


def make_engine(given: dict[str, Any]) -> Any:
    """The engine alone is kept; the trainer whose weights it takes is let go."""
    if given["forced"]:
        # Else the model's own: no field of a recipe takes these away.
        build.end_token_ids = lambda *_: ()  # type: ignore[assignment]
    problems = {"kind": "generator", "count": 1, "generators": [{"name": "arithmetic", "difficulties": [2]}]}
    recipe = parse_recipe(
        {
            "name": "decoding",
            "threads": given["threads"],
            "stages": ["rl"],
            "model": {"name": MODEL},
            "problems": {"train": problems, "heldout": problems},
            "engine": engine_section(given),
            "trainer": {"dtype": "float32", "device": "cpu"},
        }
    )
    backends = build.build_backends(recipe)
    with backends.workers.serving(backends.trainer) as engine:
        return engine


def count_guesses(engine: Any, counted: dict[str, int]) -> None:
    """Note how many guesses are made and how many of them are drawn."""
    if not hasattr(engine, "_guess"):
        return
    guess, run = engine._guess, engine._run

    def guessing(*given: Any) -> Any:
        found = guess(*given)
        counted["guessed"] += sum(map(len, found))
        counted["steps"] += 1
        return found

    def running(*given: Any) -> Any:
        drawn = run(*given)
        counted["accepted"] += sum(len(own) - 1 for own in drawn)
        return drawn

    engine._guess, engine._run = guessing, running


def begin_as_given() -> None:
    """No request is expected to be longer than another."""

    class AsGiven(local.LongestFirst):
        def _expected(self, request: Request, group: int) -> int:
            return 0

    local.LongestFirst = AsGiven  # type: ignore[misc]


def main() -> None:
    given = settings()
    if given["as_given"]:
        begin_as_given()
    engine = make_engine(given)
    counted = {"guessed": 0, "accepted": 0, "steps": 0}
    count_guesses(engine, counted)

    def run(workload: dict[str, Any]) -> dict[str, Any]:
        counted.update(guessed=0, accepted=0, steps=0)
        requests = [
            Request(
                **(r | {"prompt_tokens": tuple(r["prompt_tokens"]), "response_tokens": tuple(r["response_tokens"])})
            )
            for r in workload["requests"]
        ]
        found = {c.request_id: c.segment for c in engine.generate(requests)}
        tokens = {name: list(segment.tokens) for name, segment in found.items()}
        return {"tokens": tokens, "ended": [name for name, s in found.items() if s.stop.terminal], **counted}

    serve(torch_description(source=str(perilune.__file__), dtype=given["dtype"]), run)


if __name__ == "__main__":
    main()
