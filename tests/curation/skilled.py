"""A small engine of known skill, for tests of what is asked of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from perilune.algorithm.streams import uniforms
from perilune.types import Completion, Problem, Request, Segment, Stop

END = 0


def encode(text: str) -> tuple[int, ...]:
    """Code points for tokens: any text is its own tokens."""
    return tuple(map(ord, text))


def decode(tokens: Sequence[int]) -> str:
    return "".join(chr(token) for token in tokens if token != END)


def render(problem: Problem) -> tuple[int, ...]:
    return encode("\n".join(message.content for message in problem.messages))


@dataclass
class SkilledEngine:
    """Answers a prompt that ends in a question that it knows: with 'Answer: <answer>' as often as its skill says.

    A request's seed decides whether it is right, so the same seed gives the same answer.
    """

    skills: Mapping[str, tuple[str, float]]
    """Question → its answer, and the probability of giving it."""
    asked: list[Request] = field(default_factory=list)
    version: int = 0

    def load_weights(self, weights: Iterable[tuple[str, object]], version: int) -> None:
        self.version = version

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        for request in reversed(requests):
            self.asked.append(request)
            answer, skill = self.skills[decode(request.prompt_tokens).rpartition("\n")[2]]
            (drawn,) = uniforms(np.array([request.seed], dtype=np.uint64), np.zeros(1, dtype=np.uint64))
            tokens = (*encode(f"Answer: {answer if drawn < skill else 'none of it'}"), END)
            yield Completion(request.id, Segment(tokens, (0.0,) * len(tokens), self.version, Stop.ENDED))
