"""What both sides of the iteration benchmark are to do, as one recipe."""

from __future__ import annotations

from typing import Any

from perilune.recipe.recipe import Recipe, parse_recipe

PROMPT = "{question}\nThink step by step. End with a line 'Answer: ...'."


def make_recipe(given: dict[str, Any]) -> Recipe:
    """As many problems in all as an iteration draws, so that both answer the same ones each time."""
    generators = [{"name": "arithmetic", "difficulties": [2, 3]}]
    source = {"kind": "generator", "count": given["problems"], "seed": 1, "prompt": PROMPT, "generators": generators}
    return parse_recipe(
        {
            "name": "iteration",
            "threads": given["threads"],
            "stages": ["rl"],
            "model": {"name": given["model"]},
            "problems": {"train": source, "heldout": source},
            "rewards": {"answer_form": "answer_line"},
            "engine": {"slots": given["problems"] * given["group_size"], "dtype": given["engine_dtype"]},
            "trainer": {"micro_batch_tokens": given["micro_batch_tokens"], "dtype": given["dtype"]},
            "rl": {
                "iterations": given["iterations"],
                "problems_per_iteration": given["problems"],
                "group_size": given["group_size"],
                "segment_tokens": given["tokens"],
                "max_response_tokens": given["tokens"],
                "learning_rate": given["learning_rate"],
                "minibatches": 1,
                "temperature": 1.0,
                "top_p": 1.0,
            },
        }
    )
