"""A whole RL iteration, Perilune's against TRL's GRPOTrainer, side by side in one run.

Both answer the same 8 problems with 8 responses of up to 96 tokens each, sampled at temperature 1 from the whole
vocabulary, grade them with the same reward, and take ONE optimiser step at the same learning rate on all 64 of them.
(Perilune's default is four steps per iteration; one is what TRL does here.) Ours is the loop itself, with engine,
trainer, grading pool, buffer and the checkpoint that it writes after each iteration; TRL writes none. The segment
budget is the maximum length, so that every group is complete within its iteration. The first iteration of each warms
up. As sampled lengths differ, times are given per iteration and per 1,000 generated tokens. Usage:

    python benchmarks/iteration.py [--steps 2] [--trl-batch 16 64] [--trl-weights bfloat16]

TRL and datasets must be installed (pip install '.[benchmarks]'). With several --trl-batch the best of them counts.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from perilune.backends.devices import available_cores, pick_dtype
from perilune.backends.models import load_model, load_tokenizer
from perilune.build import build_backends
from perilune.data.problems import load_problems
from perilune.recipe.recipe import Recipe, parse_recipe
from perilune.rewards.pool import GradingPool
from perilune.rewards.router import build_reward
from perilune.rl.loop import Master, iterate
from perilune.rl.sampler import ProblemSampler
from perilune.run.folder import RunFolder
from perilune.types import Problem, Stop

MODEL = "smollm2-135m-instruct"
CPU = torch.device("cpu")
PROMPT = "{question}\nThink step by step. End with a line 'Answer: ...'."


@dataclass(frozen=True, slots=True)
class Measured:
    """One iteration, the warm-up not among them."""

    seconds: float
    tokens: int
    """Generated response tokens."""


def make_recipe(arguments: argparse.Namespace) -> Recipe:
    """As many problems in all as an iteration draws, so that both answer the same ones each time."""
    generators = [{"name": "arithmetic", "difficulties": [2, 3]}]
    source = {
        "kind": "generator",
        "count": arguments.problems,
        "seed": 1,
        "prompt": PROMPT,
        "generators": generators,
    }
    return parse_recipe(
        {
            "name": "iteration",
            "threads": arguments.threads,
            "stages": ["rl"],
            "model": {"name": arguments.model},
            "problems": {"train": source, "heldout": source},
            "rewards": {"answer_form": "answer_line"},
            "engine": {"slots": arguments.problems * arguments.group_size, "dtype": arguments.dtype},
            "trainer": {"micro_batch_tokens": arguments.micro_batch_tokens, "dtype": arguments.dtype},
            "rl": {
                "iterations": 1 + arguments.steps,
                "problems_per_iteration": arguments.problems,
                "group_size": arguments.group_size,
                "segment_tokens": arguments.tokens,
                "max_response_tokens": arguments.tokens,
                "learning_rate": arguments.learning_rate,
                "minibatches": 1,
                "temperature": 1.0,
                "top_p": 1.0,
            },
        }
    )


def ours(recipe: Recipe, problems: Sequence[Problem]) -> list[Measured]:
    backends = build_backends(recipe)
    found: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder, GradingPool(recipe.rewards) as grader:
        master = Master(
            trainer=backends.trainer,
            workers=backends.workers,
            grader=grader,
            run=RunFolder.open(Path(folder)),
            sampler=ProblemSampler(problems, recipe.rl.sampling, recipe.seed),
            render=backends.render,
            decode=backends.decode,
            seed=recipe.seed,
            on_segment=lambda done, total: None,
            on_step=lambda step: None,
        )
        start = time.perf_counter()
        for done in iterate(master, recipe.rl):
            end = time.perf_counter()
            assert done.waiting == 0 and done.update is not None and done.update.steps == 1
            found.append(Measured(end - start, done.rollout.tokens))
            phases = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in done.seconds.items())
            print(f"  perilune {done.number}: {end - start:.1f} s ({phases}), {done.rollout.tokens} tokens", flush=True)
            start = time.perf_counter()
        master.run.buffer.close()
    return found[1:]


class StepTimes(TrainerCallback):
    """Notes when training began and when each step ended: data, generation, reward and update lie between."""

    def __init__(self) -> None:
        self.stamps: list[float] = []

    def on_train_begin(self, *given: Any, **rest: Any) -> None:
        self.stamps.append(time.perf_counter())

    def on_step_end(self, *given: Any, **rest: Any) -> None:
        self.stamps.append(time.perf_counter())


def theirs(recipe: Recipe, problems: Sequence[Problem], batch: int, weights: torch.dtype) -> list[Measured]:
    """TRL with ``batch`` responses per forward and backward pass, gradients accumulated over all of them."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    reward = build_reward("math", recipe.rewards)
    tokens: list[int] = []

    def grade(
        completions: list[Any], completion_ids: list[list[int]], number: list[int], **rest: Any
    ) -> list[float | None]:
        tokens.append(sum(map(len, completion_ids)))
        texts = [completion[0]["content"] for completion in completions]
        return [reward(problems[n], text, Stop.ENDED).score for n, text in zip(number, texts, strict=True)]

    prompts = [[{"role": m.role, "content": m.content} for m in problem.messages] for problem in problems]
    rl, times = recipe.rl, StepTimes()
    responses = rl.problems_per_iteration * rl.group_size
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=peer_model(recipe.model.name, weights),
            reward_funcs=grade,
            processing_class=load_tokenizer(recipe.model.name),
            train_dataset=Dataset.from_dict({"prompt": prompts, "number": list(range(len(prompts)))}),
            callbacks=[times],
            args=GRPOConfig(
                output_dir=folder,
                use_cpu=True,
                bf16=pick_dtype(recipe.trainer.dtype, CPU) == torch.bfloat16,
                gradient_checkpointing=False,
                per_device_train_batch_size=batch,
                gradient_accumulation_steps=responses // batch,
                generation_batch_size=responses,
                num_generations=rl.group_size,
                max_completion_length=rl.max_response_tokens,
                temperature=rl.temperature,
                top_p=rl.top_p,
                top_k=0,
                beta=0.0,
                num_iterations=1,
                max_steps=rl.iterations,
                learning_rate=rl.learning_rate,
                lr_scheduler_type="constant",
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    seconds = [end - start for start, end in zip(times.stamps, times.stamps[1:], strict=False)]
    found = [Measured(*pair) for pair in zip(seconds, tokens, strict=True)]
    for number, measured in enumerate(found):
        print(f"  trl, batch {batch}, {number}: {measured.seconds:.1f} s, {measured.tokens} tokens", flush=True)
    return found[1:]


def peer_model(name: str, weights: torch.dtype) -> Any:
    model = load_model(name, weights, CPU)
    # The attention that from_pretrained would have chosen; ours is loaded with its own.
    model.set_attn_implementation("sdpa")
    return model


def per_step(found: Sequence[Measured]) -> float:
    return sum(measured.seconds for measured in found) / len(found)


def per_thousand(found: Sequence[Measured]) -> float:
    return sum(measured.seconds for measured in found) / sum(measured.tokens for measured in found) * 1000


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="compute type of both")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--steps", type=int, default=2, help="measured iterations, after one to warm up")
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=96, help="maximum response length")
    parser.add_argument("--learning-rate", type=float, default=1e-6)
    parser.add_argument("--micro-batch-tokens", type=int, default=1024, help="of Perilune's trainer")
    parser.add_argument("--trl-batch", type=int, nargs="+", default=[16], help="responses per pass of TRL's trainer")
    parser.add_argument(
        "--trl-weights",
        choices=("float32", "bfloat16"),
        default="bfloat16",
        help="type of TRL's weights; ours are float32 masters with a copy in the compute type",
    )
    arguments = parser.parse_args()
    for batch in arguments.trl_batch:
        if arguments.problems * arguments.group_size % batch:
            parser.error(
                f"--trl-batch {batch} does not divide the {arguments.problems * arguments.group_size} responses"
            )
    return arguments


def main() -> None:
    arguments = parse()
    recipe = make_recipe(arguments)
    problems = load_problems(recipe.problems.train, "train")
    dtype = pick_dtype(arguments.dtype, CPU)
    print(
        f"{arguments.problems} problems x {arguments.group_size} responses of up to {arguments.tokens} tokens, "
        f"{dtype}, {arguments.threads} threads, mean of {arguments.steps} iterations after 1 to warm up"
    )
    mine = ours(recipe, problems)
    gc.collect()
    weights = getattr(torch, arguments.trl_weights)
    peer = min((theirs(recipe, problems, batch, weights) for batch in arguments.trl_batch), key=per_thousand)
    for name, found in (("perilune", mine), (f"trl ({arguments.trl_weights} weights)", peer)):
        generated = sum(measured.tokens for measured in found) / len(found)
        print(
            f"{name}: {per_step(found):.1f} s and {generated:.0f} tokens per iteration, "
            f"{per_thousand(found):.1f} s per 1,000 tokens"
        )
    print(
        f"ratio per 1,000 generated tokens: {per_thousand(peer) / per_thousand(mine):.2f} "
        f"(per iteration: {per_step(peer) / per_step(mine):.2f})"
    )


if __name__ == "__main__":
    main()
