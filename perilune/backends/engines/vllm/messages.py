"""Messages between the trainer's process and the engine's: JSON over a socket pair, nothing that runs code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

from perilune.backends.engines.vllm.host import Progress
from perilune.types import Request, Stop

Message = dict[str, Any]


def send(connection: Connection, message: Mapping[str, Any]) -> None:
    """Send one message."""
    connection.send_bytes(json.dumps(message, separators=(",", ":")).encode("utf-8"))


def receive(connection: Connection) -> Message:
    """Wait for one message.

    Raises:
        EOFError: the other side is gone.
    """
    message: Message = json.loads(connection.recv_bytes())
    return message


def pack_request(request: Request) -> Message:
    """As a message's part."""
    return asdict(request)


def unpack_request(values: Message) -> Request:
    """What :func:`pack_request` gave."""
    tokens = {name: tuple(values[name]) for name in ("prompt_tokens", "response_tokens")}
    return Request(**{**values, **tokens})


def pack_progress(progress: Progress) -> list[Any]:
    """As a message's part; floats keep every bit."""
    stop = None if progress.stop is None else progress.stop.value
    return [progress.request_id, progress.tokens, progress.logprobs, stop]


def unpack_progress(values: list[Any]) -> Progress:
    """What :func:`pack_progress` gave."""
    name, tokens, logprobs, stop = values
    return Progress(name, tuple(tokens), tuple(logprobs), None if stop is None else Stop(stop))
