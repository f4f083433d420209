"""Messages to tokens, through the tokenizer's own chat template; the one place where text is encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from perilune.errors import ModelError, ProblemsError
from perilune.types import Demonstration, Problem


def render_prompt(
    problem: Problem, tokenizer: PreTrainedTokenizerBase, system_prompt: str | None = None
) -> tuple[int, ...]:
    """Prompt tokens [P], up to where the assistant's turn begins.

    Raises:
        ModelError: the tokenizer has no chat template.
        ProblemsError: the problem has images, which a text model cannot see.
    """
    if not tokenizer.chat_template:
        raise ModelError("the tokenizer has no chat template; set model.chat_template to the path of a Jinja template")
    if any(message.images for message in problem.messages):
        raise ProblemsError(f"problem {problem.id} has images, and the model reads text alone")
    messages = [{"role": message.role, "content": message.content} for message in problem.messages]
    if system_prompt is not None:
        messages.insert(0, {"role": "system", "content": system_prompt})
    tokens: Any = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    return tuple(int(token) for token in tokens)


def render_demonstration(
    demonstration: Demonstration, tokenizer: PreTrainedTokenizerBase, system_prompt: str | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(prompt tokens [P], response tokens [R]); the response ends with the end token.

    Raises:
        ModelError: the tokenizer has no chat template or no end token.
    """
    if tokenizer.eos_token_id is None:
        raise ModelError("the tokenizer has no end token, so a demonstration would not teach the model to stop")
    response = tokenizer.encode(demonstration.response, add_special_tokens=False)
    prompt = render_prompt(demonstration.problem, tokenizer, system_prompt)
    return prompt, (*map(int, response), int(tokenizer.eos_token_id))


def drop_long_prompts(
    problems: Sequence[Problem], render: Callable[[Problem], tuple[int, ...]], limit: int | None
) -> tuple[Problem, ...]:
    """Problems whose prompt has at most ``limit`` tokens; all of them without a limit.

    Raises:
        ProblemsError: none has.
    """
    if limit is None:
        return tuple(problems)
    kept = tuple(problem for problem in problems if len(render(problem)) <= limit)
    if not kept:
        raise ProblemsError(f"all {len(problems)} prompts are longer than max_prompt_tokens = {limit}; raise it")
    return kept
