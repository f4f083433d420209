"""A judge that asks a sandbox service; speaks HTTP with the standard library alone."""

from __future__ import annotations

import http.client
import json
import os
import random
import ssl
import threading
import time
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from perilune.errors import RewardError
from perilune.sandbox.judge import JudgeSettings
from perilune.sandbox.programs import Program
from perilune.sandbox.tasks import Task
from perilune.sandbox.verdicts import CaseResult, Judgement, Outcome

TOKEN_VARIABLE = "PERILUNE_SANDBOX_TOKEN"
_LONGEST_PAUSE_SECONDS = 5.0


class ServiceFailure(Exception):
    """The service gave no judgement; says why. Never a verdict on the program."""


class RemoteJudge:
    """Judges through a service; safe to call from many threads, each with a connection of its own.

    While the service is full (429), restarts or cannot be reached, it is asked again until the patience ends.

    Args:
        url: such as http://127.0.0.1:8777.
        settings: sent with each request; the service may lower them.
        patience_seconds: how long one judgement may take, all attempts together.
        token: by default what the environment variable PERILUNE_SANDBOX_TOKEN holds.

    Raises:
        RewardError: the URL is none of an HTTP service.
    """

    def __init__(
        self, url: str, settings: JudgeSettings, patience_seconds: float = 120.0, token: str | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise RewardError(f"rewards.code.service = {url!r} is no address such as http://127.0.0.1:8777")
        self._url = url
        self._secure = parts.scheme == "https"
        self._address = (parts.hostname, parts.port)
        self._path = parts.path.rstrip("/")
        self._settings = settings
        self._patience_seconds = patience_seconds
        self._token = token if token is not None else os.environ.get(TOKEN_VARIABLE)
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            while self._connections:
                self._connections.pop().close()

    def judge(self, task: Task, program: Program) -> Judgement:
        """Have a program judged; a service that fails is an infrastructure error, not an exception."""
        settings = asdict(self._settings)
        try:
            answer = self._ask(
                "POST", "/v1/judge", {"task": asdict(task), "program": asdict(program), "settings": settings}
            )
            return _judgement(answer)
        except ServiceFailure as failure:
            return Judgement(Outcome.INFRASTRUCTURE_ERROR, str(failure))

    def check(self) -> None:
        """Ask whether the service works, and knows us.

        Raises:
            RewardError: it does not answer, or not to us.
        """
        try:
            self._ask("GET", "/health")
            self._ask("GET", "/metrics", plain=True)
        except ServiceFailure as failure:
            raise RewardError(
                f"{failure}. Start it with: perilune sandbox serve; its token must be in {TOKEN_VARIABLE} here too"
            ) from None

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, plain: bool = False) -> Any:
        """One answer; a service that is full or away is asked again while there is patience."""
        content = None if body is None else json.dumps(body).encode("ascii")
        deadline = time.monotonic() + self._patience_seconds
        pause = 0.1
        while True:
            try:
                status, wait, answer = self._exchange(method, path, content, deadline - time.monotonic())
                if status == 200:
                    return answer if plain else json.loads(answer)
                reason = f"status {status}: {answer[:200].decode('utf-8', errors='replace')}"
                again = status in {429, 502, 503, 504}
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._hang_up()
                reason, wait, again = f"{type(error).__name__}: {error}", None, not isinstance(error, ssl.SSLError)
            # Many clients that were refused together shall not come back together.
            delay = (wait if wait is not None else pause) * random.uniform(0.5, 1.5)
            if not again or time.monotonic() + delay >= deadline:
                raise ServiceFailure(f"the sandbox service {self._url}: {reason}")
            time.sleep(delay)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _exchange(
        self, method: str, path: str, content: bytes | None, seconds: float
    ) -> tuple[int, float | None, bytes]:
        """(status, seconds to wait as the service says, body) of one request."""
        connection = self._connection(max(0.1, seconds))
        kept = connection.sock is not None
        headers = {"Content-Type": "application/json"} if content is not None else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, self._path + path, content, headers)
            response = connection.getresponse()
        except ConnectionError:
            self._hang_up()
            if not kept:
                raise
            # The service may close a connection that was kept open, at any time: that is no failure of its own.
            return self._exchange(method, path, content, seconds)
        answer = response.read()
        if response.will_close:
            self._hang_up()
        after = response.headers.get("Retry-After", "")
        wait = min(float(after), _LONGEST_PAUSE_SECONDS) if after.isdecimal() else None
        return response.status, wait, answer

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None:
            make = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            found = self._local.connection = make(*self._address)
            with self._lock:
                self._connections.append(found)
        found.timeout = seconds
        if found.sock is not None:
            found.sock.settimeout(seconds)
        return found

    def _hang_up(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()


def _judgement(answer: Any) -> Judgement:
    try:
        cases = tuple(CaseResult(**{**case, "outcome": Outcome(case["outcome"])}) for case in answer["cases"])
        return Judgement(Outcome(answer["outcome"]), answer["detail"], cases)
    except (KeyError, TypeError, ValueError) as error:
        raise ServiceFailure(f"the service's answer is no judgement: {error}") from None
