"""What every engine refuses."""

from __future__ import annotations

from perilune.errors import EngineError
from perilune.types import Request


def check_request(request: Request, context: int | None) -> None:
    """Whether a request can be served.

    Args:
        request: what is asked.
        context: longest prompt and response together, if there is a limit.

    Raises:
        EngineError: it is empty, already at its limit, or longer than the context.
    """
    longest = len(request.prompt_tokens) + request.max_response_tokens
    if not request.prompt_tokens:
        raise EngineError(f"request {request.id}: the prompt is empty; give at least one token")
    if min(request.segment_tokens, request.max_response_tokens - len(request.response_tokens)) < 1:
        raise EngineError(
            f"request {request.id}: nothing left to generate: {len(request.response_tokens)} response tokens of "
            f"at most {request.max_response_tokens}, segment of {request.segment_tokens}"
        )
    if context is not None and longest > context:
        raise EngineError(
            f"request {request.id}: {len(request.prompt_tokens)} prompt tokens and up to "
            f"{request.max_response_tokens} response tokens exceed the model's context of {context}; lower "
            "max_response_tokens or drop long prompts (max_prompt_tokens)"
        )
