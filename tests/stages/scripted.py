"""An engine whose responses end, unlike a random model's: letters of a length that the request's seed decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random

from perilune.build import build_backends
from perilune.protocols import Engine, Trainer
from perilune.recipe.recipe import Recipe
from perilune.stages.backends import Backends
from perilune.types import Completion, Phase, Request, Segment, Stop

END = 2


@dataclass
class Speaker:
    """Says between 4 and ``longest`` letters."""

    longest: int = 20
    most: int = 10**9
    """It is killed when it has given so many responses."""
    equal: bool = False
    """All responses are equally long."""
    given: list[str] = field(default_factory=list)
    version: int = 0

    def load_weights(self, weights: Iterable[tuple[str, object]], version: int) -> None:
        self.version = version

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        for request in requests:
            if len(self.given) == self.most:
                raise KeyboardInterrupt
            self.given.append(request.id)
            rng = Random(f"{request.seed}/{request.temperature}")
            length = self.longest if self.equal else rng.randint(4, self.longest)
            whole = [*(rng.randint(70, 90) for _ in range(length - 1)), END]
            rest = whole[len(request.response_tokens) :]
            allowed = min(request.segment_tokens, request.max_response_tokens - len(request.response_tokens))
            if len(rest) <= allowed:
                tokens, stop = rest, Stop.ENDED
            else:
                tokens = rest[:allowed]
                full = len(request.response_tokens) + allowed == request.max_response_tokens
                stop = Stop.LIMIT if full else Stop.CUT
            yield Completion(request.id, Segment(tuple(tokens), (-3.0,) * len(tokens), self.version, stop))


@dataclass
class Speakers:
    """Workers with one such engine."""

    engine: Speaker

    @contextmanager
    def serving(self, trainer: Trainer) -> Iterator[Engine]:
        self.engine.load_weights((), trainer.version)
        yield self.engine

    def take_phases(self) -> tuple[Phase, ...]:
        return ()

    def close(self) -> None:
        pass


@dataclass
class Built:
    """Builds real backends, but for the engine; remembers for which models."""

    engine: Speaker
    models: list[str] = field(default_factory=list)

    def __call__(self, recipe: Recipe) -> Backends:
        self.models.append(recipe.model.name)
        return replace(build_backends(recipe), workers=Speakers(self.engine))
