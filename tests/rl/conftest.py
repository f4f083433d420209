"""The real master of the loop around the tiny model, with a record of what the trainer and the engine were given."""

from __future__ import annotations

import copy
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from perilune.algorithm.repetition import RepetitionDetector
from perilune.backends.engines.local import LocalEngine
from perilune.backends.local_workers import LocalWorkers
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.data.chat import render_prompt
from perilune.recipe.rewards import RewardsConfig
from perilune.recipe.training import RLConfig, SamplingConfig, TrainerConfig
from perilune.rewards.pool import GradingPool
from perilune.rl.loop import Master
from perilune.rl.sampler import ProblemSampler
from perilune.run.folder import RunFolder
from perilune.types import Completion, Message, Objective, OptimizerStep, Problem, Request, Sample, UpdateMetrics

NO_END = (10_000,)
"""An end token that the tiny model does not have: every response goes on to its limit."""

OWN_REWARDS = textwrap.dedent(
    """
    from pathlib import Path

    from perilune.types import Grade, Verdict

    def even(problem, response, stop):
        right = sum(map(ord, response)) % 2 == 0
        return Grade(Verdict.RIGHT if right else Verdict.WRONG, float(right), str(len(response)))

    def broken(problem, response, stop):
        if not Path(problem.answer).exists():
            raise RuntimeError("the judge is out")
        return even(problem, response, stop)

    calls = {}

    def mostly_broken(problem, response, stop):
        calls[problem.id] = calls.get(problem.id, 0) + 1
        if calls[problem.id] % 3 != 1:
            raise RuntimeError("the judge is tired")
        return even(problem, response, stop)
    """
)


@dataclass(frozen=True)
class Update:
    """What the trainer was given in one update."""

    version: int
    """Before it."""
    samples: tuple[Sample, ...]
    own_logprobs: list[tuple[float, ...]]
    """By the weights before it."""
    objective: Objective
    steps: tuple[OptimizerStep, ...]


class RecordingTrainer(TorchTrainer):
    """The torch trainer, keeping what it was given."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        super().__init__(model, tokenizer, TrainerConfig(), torch.float32)
        self.updates: list[Update] = []

    def update(
        self,
        samples: Sequence[Sample],
        objective: Objective,
        steps: Sequence[OptimizerStep],
        on_step: object = None,
    ) -> UpdateMetrics:
        self.updates.append(Update(self.version, tuple(samples), self.logprobs(samples), objective, tuple(steps)))
        return super().update(samples, objective, steps, on_step)  # type: ignore[arg-type]


class RecordingEngine(LocalEngine):
    """The local engine, keeping what it was asked."""

    asked: list[Request]

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        self.asked = [*getattr(self, "asked", []), *requests]
        yield from super().generate(requests)


@dataclass
class Lab:
    """Makes fresh master, as a new process would, on one folder."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    folder: Path
    stack: ExitStack
    ends: tuple[int, ...] = NO_END
    warnings: list[str] = field(default_factory=list)
    problems: list[Problem] = field(
        default_factory=lambda: [
            Problem(f"p{n}", (Message("user", f"What is {n} + {n}?"),), str(2 * n), "rl_rewards:even") for n in range(6)
        ]
    )

    def render(self, problem: Problem) -> tuple[int, ...]:
        return render_prompt(problem, self.tokenizer)

    def trainer(self) -> RecordingTrainer:
        return RecordingTrainer(copy.deepcopy(self.model), self.tokenizer)

    def engine(self) -> RecordingEngine:
        return RecordingEngine(
            copy.deepcopy(self.model), self.ends, slots=5, detector=lambda: RepetitionDetector(4, 8, 64)
        )

    def grader(self) -> GradingPool:
        return self.stack.enter_context(GradingPool(RewardsConfig(workers=1, retries=0)))

    def run(self) -> RunFolder:
        run = RunFolder.open(self.folder)
        self.stack.callback(run.buffer.close)
        return run

    def master(self, *, on_segment: Callable[[int, int], None] = lambda done, total: None) -> Master:
        run, trainer = self.run(), self.trainer()
        newest = run.newest_checkpoint(self.warnings.append)
        if newest is not None:
            trainer.load(newest)
        sampler = ProblemSampler(self.problems, SamplingConfig(strategy="uniform"), seed=3)
        sampler.restore(run.observations)
        return Master(
            trainer=trainer,
            workers=LocalWorkers(self.engine()),
            grader=self.grader(),
            run=run,
            sampler=sampler,
            render=self.render,
            decode=lambda tokens: str(self.tokenizer.decode(list(tokens), skip_special_tokens=True)),
            seed=3,
            on_segment=on_segment,
            on_step=lambda step: None,
        )


@pytest.fixture
def lab(
    tiny_model: PreTrainedModel,
    tiny_tokenizer: PreTrainedTokenizerBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Lab]:
    (tmp_path / "rl_rewards.py").write_text(OWN_REWARDS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with ExitStack() as stack:
        yield Lab(tiny_model, tiny_tokenizer, tmp_path, stack)


@pytest.fixture
def short_config() -> RLConfig:
    """Segments of 6 tokens, responses of 16: without an end token each response takes three iterations."""
    return RLConfig(
        iterations=5,
        problems_per_iteration=2,
        group_size=3,
        segment_tokens=6,
        max_response_tokens=16,
        learning_rate=1e-3,
        minibatches=2,
    )
