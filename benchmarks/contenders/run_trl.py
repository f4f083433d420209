"""Contender: TRL's GRPOTrainer, one optimiser step a line: sampling, grading and update.

Settings beside those of the recipe: batch (responses per forward and backward pass, gradients accumulated over all of
them), weights (their type), continuous (transformers' continuous batching in place of its generate).
"""

from __future__ import annotations

import sys
import tempfile
import time
from importlib.metadata import version
from typing import Any

import torch
from answering import answer, next_workload, settings, torch_description
from iteration_recipe import make_recipe
from transformers import PrinterCallback, TrainerCallback

from perilune.backends.devices import pick_dtype
from perilune.backends.models import load_model, load_tokenizer
from perilune.data.problems import load_problems
from perilune.recipe.recipe import Recipe
from perilune.rewards.router import build_reward
from perilune.types import Stop

CPU = torch.device("cpu")
PAGE = 32
"""Tokens of a page of the cache of continuous batching."""
LONGEST_PROMPT = 256


class Turns(TrainerCallback):
    """Waits before each step until it is asked for, and answers after it."""

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description
        self.tokens = 0
        self.generating = 0.0
        self._start = (0.0, 0.0)

    def on_train_begin(self, *given: Any, **rest: Any) -> None:
        answer(self.description)

    def on_step_begin(self, *given: Any, **rest: Any) -> None:
        if next_workload() is None:
            sys.exit()
        self.tokens, self.generating = 0, 0.0
        self._start = time.perf_counter(), time.process_time()

    def on_step_end(self, *given: Any, **rest: Any) -> None:
        wall, processor = self._start
        seconds = time.perf_counter() - wall
        phases = {"generate and grade": self.generating, "train": seconds - self.generating}
        counts = {"generated": self.tokens}
        answer(
            {
                "seconds": seconds,
                "processor_seconds": time.process_time() - processor,
                "counts": counts,
                "phases": phases,
            }
        )


def time_generation(trainer: Any, turns: Turns) -> None:
    generate = trainer._generate_and_score_completions

    def timed(*given: Any, **rest: Any) -> Any:
        start = time.perf_counter()
        found = generate(*given, **rest)
        turns.generating += time.perf_counter() - start
        return found

    trainer._generate_and_score_completions = timed


def make_trainer(recipe: Recipe, given: dict[str, Any], turns: Turns, folder: str) -> Any:
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    problems = load_problems(recipe.problems.train, "train")
    reward = build_reward("math", recipe.rewards)

    def grade(
        completions: list[Any], completion_ids: list[list[int]], number: list[int], **rest: Any
    ) -> list[float | None]:
        turns.tokens += sum(map(len, completion_ids))
        texts = [completion[0]["content"] for completion in completions]
        return [reward(problems[n], text, Stop.ENDED).score for n, text in zip(number, texts, strict=True)]

    prompts = [[{"role": m.role, "content": m.content} for m in problem.messages] for problem in problems]
    rl = recipe.rl
    responses = rl.problems_per_iteration * rl.group_size
    model: Any = load_model(recipe.model.name, getattr(torch, given["weights"]), CPU)
    if not given["continuous"]:
        # The attention that from_pretrained would have chosen; ours is loaded with its own.
        model.set_attn_implementation("sdpa")
    return GRPOTrainer(
        model=model,
        reward_funcs=grade,
        processing_class=load_tokenizer(recipe.model.name),
        train_dataset=Dataset.from_dict({"prompt": prompts, "number": list(range(len(prompts)))}),
        callbacks=[turns],
        args=GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=pick_dtype(recipe.trainer.dtype, CPU) == torch.bfloat16,
            gradient_checkpointing=False,
            per_device_train_batch_size=given["batch"],
            gradient_accumulation_steps=responses // given["batch"],
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
            use_transformers_continuous_batching=given["continuous"],
            # By itself its cache would take most of the machine's memory.
            transformers_continuous_batching_config={
                "page_size": PAGE,
                "num_blocks": responses * ((LONGEST_PROMPT + rl.max_response_tokens) // PAGE + 2),
                "max_batch_tokens": 2048,
            },
        ),
    )


def main() -> None:
    given = settings()
    torch.set_num_threads(given["threads"])
    recipe = make_recipe(given)
    turns = Turns(torch_description(trl=version("trl")))
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(recipe, given, turns, folder)
        trainer.remove_callback(PrinterCallback)
        time_generation(trainer, turns)
        trainer.train()


if __name__ == "__main__":
    main()
