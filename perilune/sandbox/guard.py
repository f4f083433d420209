"""What stands before the service: token, size of the body, and a bounded number of requests inside.

A request is refused before its body is read, so that a flood costs no memory: 401 without the token, 413 for a body
that is too large, 408 for one that does not come, 429 with Retry-After while the service is full.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/health", "/docs", "/openapi.json"})
_WORK = "/v1/"


class Slots:
    """How many judgements may be inside at once, those that wait for a worker included; touched by the loop alone."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.taken = 0

    def take(self, count: int = 1) -> bool:
        """Take so many slots; False, and none taken, if there are not as many."""
        if self.taken + count > self.capacity:
            return False
        self.taken += count
        return True

    def free(self, count: int = 1) -> None:
        """Give them back."""
        self.taken -= count


class Guard:
    """ASGI middleware.

    Args:
        app: what is guarded.
        slots: shared with the app, which may take more.
        token: expected as ``Authorization: Bearer``; None lets everyone in.
        body_bytes: largest body.
        body_seconds: longest wait for the next part of a body.
        on_answer: called with path and status of each answer.
    """

    def __init__(
        self,
        app: App,
        slots: Slots,
        token: str | None,
        body_bytes: int,
        body_seconds: float,
        on_answer: Callable[[str, int], None],
    ) -> None:
        self._app = app
        self._slots = slots
        self._token = token
        self._body_bytes = body_bytes
        self._body_seconds = body_seconds
        self._on_answer = on_answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._on_answer(path, message["status"])
            await send(message)

        headers = {name.lower(): value for name, value in scope["headers"]}
        if path not in OPEN_PATHS and not self._known(headers.get(b"authorization", b"")):
            await _refuse(answer, 401, "the token is missing or wrong", {b"www-authenticate": b"Bearer"})
        elif _too_large(headers.get(b"content-length", b"0"), self._body_bytes):
            await _refuse(answer, 413, f"a body may have {self._body_bytes} bytes")
        elif not path.startswith(_WORK):
            await self._app(scope, self._limited(receive), answer)
        elif not self._slots.take():
            await refuse_busy(answer)
        else:
            try:
                await self._app(scope, self._limited(receive), answer)
            finally:
                self._slots.free()

    def _known(self, authorization: bytes) -> bool:
        if self._token is None:
            return True
        return hmac.compare_digest(authorization, b"Bearer " + self._token.encode())

    def _limited(self, receive: Receive) -> Receive:
        """The body, counted, each part of it within the time; what comes after it, such as a hang-up, may take long."""
        count, complete = 0, False

        async def limited() -> Message:
            nonlocal count, complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._body_seconds)
            except TimeoutError:
                raise HTTPException(408, f"nothing came for {self._body_seconds:g} s") from None
            count += len(message.get("body", b""))
            if count > self._body_bytes:
                raise HTTPException(413, f"a body may have {self._body_bytes} bytes")
            complete = not message.get("more_body", False)
            return message

        return limited


def _too_large(length: bytes, most: int) -> bool:
    return not length.isdigit() or int(length[:20]) > most


async def refuse_busy(send: Send) -> None:
    """Come again later."""
    await _refuse(send, 429, "every worker is busy and the queue is full", {b"retry-after": b"1"})


async def _refuse(send: Send, status: int, reason: str, headers: dict[bytes, bytes] | None = None) -> None:
    body = json.dumps({"detail": reason}).encode()
    fields = {b"content-type": b"application/json", b"content-length": str(len(body)).encode(), **(headers or {})}
    await send({"type": "http.response.start", "status": status, "headers": list(fields.items())})
    await send({"type": "http.response.body", "body": body})
