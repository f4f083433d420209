"""What the contenders are given to do: requests of forced length, as plain values that can go as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perilune.backends.models import load_tokenizer

MODEL = "smollm2-135m-instruct"
GROUP_SIZE = 8
PROBLEMS = (
    "Tom has {a} apples and buys {b} more. Then he gives {c} of them to Anna. How many apples does he have now?",
    "A train travels {a} km in one hour and stops for {c} minutes in each of {b} towns. How far does it go in a day?",
    "If {a} pens cost {b} coins, what do {c} pens cost, and how many coins are left of a hundred?",
    "Add {a} and {b}, then subtract {c}. What is the result?",
    "A box holds {a} eggs. How many eggs are in {b} boxes, if {c} of them are broken?",
    "Anna is {c} years older than Ben, and together they are {a}. How old are both of them in {b} years?",
    "A tank of {a} litres loses {c} litres an hour and has lost {b} already. When is it empty?",
    "What is the remainder of {a} divided by {c}, and what is that of {b}?",
)
INSTRUCTIONS = (
    "\nThink step by step and write down every step of your calculation. Check the result before you give it. "
    "The last line of what you write must be 'Answer: ...', with the number alone behind it."
)


class Prompts:
    """Problems with numbers of their own, about 100 tokens each; none comes twice, so that no cache knows it."""

    def __init__(self, seed: int, instructions: str = INSTRUCTIONS):
        self._tokenizer = load_tokenizer(MODEL)
        self._rng = np.random.default_rng(seed)
        self._instructions = instructions
        self._drawn = 0

    def draw(self) -> list[int]:
        a, b, c = (int(n) for n in self._rng.integers((20, 20, 2), (1000, 1000, 20)))
        self._drawn += 1
        text = PROBLEMS[self._drawn % len(PROBLEMS)].format(a=a, b=b, c=c) + self._instructions
        message = [{"role": "user", "content": text}]
        return list(self._tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=False))


def request(number: int, prompt: Sequence[int], length: int, temperature: float, top_p: float) -> dict[str, Any]:
    """A fresh response in one segment, as the fields of the project's Request."""
    return {
        "id": str(number),
        "prompt_tokens": list(prompt),
        "response_tokens": [],
        "segment_tokens": length,
        "max_response_tokens": length,
        "seed": number,
        "temperature": temperature,
        "top_p": top_p,
    }


def grouped(prompts: Prompts, lengths: Sequence[int], first: int, temperature: float, top_p: float) -> dict[str, Any]:
    """Responses of these lengths, :data:`GROUP_SIZE` to each prompt, numbered from ``first``."""
    requests: list[dict[str, Any]] = []
    for place, length in enumerate(lengths):
        prompt = prompts.draw() if place % GROUP_SIZE == 0 else requests[-1]["prompt_tokens"]
        requests.append(request(first + place, prompt, length, temperature, top_p))
    return {"requests": requests}
