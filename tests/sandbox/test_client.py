"""The client against servers that fail in ways of their own."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from perilune.errors import RewardError
from perilune.sandbox.client import RemoteJudge
from perilune.sandbox.judge import JudgeSettings
from perilune.sandbox.programs import Program
from perilune.sandbox.tasks import Case, StdioTask
from perilune.sandbox.verdicts import Judgement, Outcome

TASK = StdioTask((Case("", "1"),))
PROGRAM = Program("python", "print(1)")
ACCEPTED = b'{"outcome": "accepted", "detail": "fine", "cases": []}'


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@contextmanager
def server(answers: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives one answer to each connection, the last one again and again; and what it was sent."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(1 << 16))
                    connection.sendall(answers[min(len(asked), len(answers)) - 1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def judged(answers: list[bytes], patience: float = 30.0) -> tuple[Judgement, list[bytes]]:
    with server(answers) as (url, asked), RemoteJudge(url, JudgeSettings(), patience, token="t") as judge:
        return judge.judge(TASK, PROGRAM), asked


@pytest.mark.parametrize(
    "first",
    [
        answer("429 Too Many Requests", b"{}", "Retry-After: 0"),
        answer("503 Service Unavailable"),
        b"",
        b"no HTTP at all\r\n\r\n",
        answer("200 OK", ACCEPTED)[:-5],
    ],
    ids=["full", "away", "hung up", "garbage", "cut off"],
)
def test_what_passes_is_asked_again(first: bytes) -> None:
    judgement, asked = judged([first, answer("200 OK", ACCEPTED)])
    assert judgement == Judgement(Outcome.ACCEPTED, "fine")
    assert len(asked) == 2
    assert b"Authorization: Bearer t" in asked[1]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (answer("401 Unauthorized", b"who are you"), "status 401: who are you"),
        (answer("500 Internal Server Error"), "status 500"),
        (answer("200 OK", b"[]"), "no judgement"),
        (answer("200 OK", b'{"outcome": "fine", "detail": "", "cases": []}'), "no judgement"),
    ],
)
def test_what_stays_is_an_error_and_no_verdict(reply: bytes, reason: str) -> None:
    judgement, asked = judged([reply])
    assert judgement.outcome is Outcome.INFRASTRUCTURE_ERROR
    assert reason in judgement.detail
    assert len(asked) == 1


def test_patience_ends() -> None:
    start = time.monotonic()
    judgement, asked = judged([answer("429 Too Many Requests", b"", "Retry-After: 1")], patience=5.0)
    assert judgement.outcome is Outcome.INFRASTRUCTURE_ERROR
    assert "429" in judgement.detail
    assert len(asked) >= 2
    assert time.monotonic() - start < 20


def test_a_service_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with RemoteJudge(url, JudgeSettings(), patience_seconds=0.5) as judge:
            assert judge.judge(TASK, PROGRAM).outcome is Outcome.INFRASTRUCTURE_ERROR


def raises(make: Callable[[], object]) -> str:
    with pytest.raises(RewardError) as caught:
        make()
    return str(caught.value)


def test_what_is_no_address() -> None:
    for url in ("127.0.0.1:8777", "ftp://host", "http://"):
        assert url in raises(lambda url=url: RemoteJudge(url, JudgeSettings()))
