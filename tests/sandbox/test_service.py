"""The HTTP service as a process of its own, spoken to over its socket."""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest

from perilune.cli import main
from perilune.sandbox.client import TOKEN_VARIABLE, RemoteJudge
from perilune.sandbox.judge import JudgeSettings
from perilune.sandbox.programs import Limits, Program
from perilune.sandbox.tasks import Case, StdioTask, Task
from perilune.sandbox.verdicts import Outcome

TOKEN = "a secret of this test"
SQUARES: Task = StdioTask((Case("2\n", "4\n"), Case("3\n", "9\n")))
SETTINGS = JudgeSettings(Limits(cpu_seconds=2, wall_seconds=60))
RIGHT = {"language": "python", "source": "print(int(input()) ** 2)"}
JUDGE = {"task": {"cases": [{"input": "2", "output": "4"}]}, "program": RIGHT}


@contextmanager
def served(*arguments: str, token: str | None = None) -> Iterator[tuple[int, int]]:
    """(port, process id) of a service that answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "perilune.cli", "sandbox", "serve", "--port", str(port), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    process = subprocess.Popen(command, env=environment | ({TOKEN_VARIABLE: token} if token else {}))
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                ask(port, "GET", "/health")
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def ask(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, content, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        text = response.read()
        kind = response.headers.get_content_type()
        return response.status, json.loads(text) if kind == "application/json" else text.decode(), response.headers
    finally:
        connection.close()


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[int, int]]:
    with served("--workers", "2", "--queue", "6") as found:
        yield found


@pytest.fixture(scope="module")
def port(service: tuple[int, int]) -> int:
    return service[0]


def test_judging_gives_the_judgement(port: int) -> None:
    status, answer, _ = ask(port, "POST", "/v1/judge", JUDGE)
    assert status == 200
    assert (answer["outcome"], answer["detail"]) == ("accepted", "1 cases passed")
    assert answer["cases"][0]["wall_seconds"] > 0


def test_running_gives_bytes_as_they_were_written(port: int) -> None:
    source = "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])\nsys.exit(3)"
    inputs = [base64.b64encode(given).decode() for given in (b"\xff\x00a", b"bc")]
    body = {"program": {"language": "python", "source": source}, "inputs": inputs, "limits": {"cpu_seconds": 1}}
    status, answer, _ = ask(port, "POST", "/v1/run", body)
    assert status == 200 and answer["compiled"]
    assert [base64.b64decode(run["stdout"]) for run in answer["runs"]] == [b"a\x00\xff", b"cb"]
    assert [(run["ending"], run["exit_code"]) for run in answer["runs"]] == [("exited", 3)] * 2


def test_a_batch_answers_in_order(port: int) -> None:
    wrong = {**JUDGE, "program": {"language": "python", "source": "print(5)"}}
    status, answer, _ = ask(port, "POST", "/v1/batch", {"requests": [JUDGE, wrong, JUDGE]})
    assert status == 200
    assert [j["outcome"] for j in answer["judgements"]] == ["accepted", "wrong answer", "accepted"]


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/v1/judge", {**JUDGE, "task": {"cases": []}}, 422, "at least one case"),
        ("/v1/judge", {**JUDGE, "extra": 1}, 422, "extra"),
        ("/v1/judge", {**JUDGE, "program": {"language": "cobol", "source": ""}}, 422, "cobol"),
        ("/v1/judge", b"{", 422, "JSON"),
        ("/v1/run", {"program": RIGHT, "inputs": []}, 422, "inputs"),
        ("/v1/run", {"program": RIGHT, "inputs": [""], "limits": {"cpu_seconds": 0}}, 422, "cpu_seconds"),
        ("/v1/run", {"program": RIGHT, "inputs": ["no base64!"]}, 422, "inputs"),
        ("/v1/batch", {"requests": []}, 422, "a batch has 1 to 32"),
        ("/v1/batch", {"requests": [JUDGE] * 20}, 429, "no room"),
        ("/nowhere", {}, 404, "Not Found"),
    ],
)
def test_what_is_refused(port: int, path: str, body: Any, status: int, reason: str) -> None:
    found, answer, _ = ask(port, "POST", path, body)
    assert (found, reason in json.dumps(answer)) == (status, True), answer


def test_limits_above_the_service_s_are_lowered(port: int) -> None:
    body = {
        "program": {"language": "python", "source": "x = 'x' * (3 << 30)"},
        "inputs": [""],
        "limits": {"memory_mb": 1 << 20},
    }
    _, answer, _ = ask(port, "POST", "/v1/run", body)
    assert answer["runs"][0]["ending"] != "exited" or answer["runs"][0]["exit_code"] != 0


def test_a_body_that_is_too_large_is_refused_unread(port: int) -> None:
    status, answer, _ = ask(port, "POST", "/v1/judge", b"x" * ((16 << 20) + 1))
    assert (status, "bytes" in answer["detail"]) == (413, True)
    # Also where its length is not said beforehand.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(
        "POST", "/v1/judge", iter([b"x" * (1 << 20)] * 17), {"Content-Type": "application/json"}, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()
    assert ask(port, "POST", "/v1/judge", JUDGE)[0] == 200


def test_a_full_service_says_when_to_come_again_and_loses_nothing(port: int) -> None:
    slow = {**JUDGE, "program": {"language": "python", "source": "import time\ntime.sleep(0.4)\nprint(4)"}}
    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(lambda _: ask(port, "POST", "/v1/judge", slow), range(24)))
    statuses = [status for status, _, _ in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 8
    for status, answer, headers in answers:
        if status == 429:
            assert int(headers["Retry-After"]) >= 1
        else:
            assert answer["outcome"] == "accepted"
    assert ask(port, "GET", "/health")[1]["inside"] == 0


def test_the_client_comes_again_until_it_is_let_in(port: int) -> None:
    program = Program("python", "import time\ntime.sleep(0.2)\nprint(int(input()) ** 2)")
    with (
        RemoteJudge(f"http://127.0.0.1:{port}", SETTINGS, patience_seconds=240) as judge,
        ThreadPoolExecutor(20) as many,
    ):
        outcomes = list(many.map(lambda _: judge.judge(SQUARES, program).outcome, range(30)))
    assert outcomes == [Outcome.ACCEPTED] * 30


def test_killed_workers_come_back(service: tuple[int, int]) -> None:
    port, process = service
    with RemoteJudge(f"http://127.0.0.1:{port}", SETTINGS, patience_seconds=240) as judge:
        program = Program("python", RIGHT["source"])
        assert judge.judge(SQUARES, program).outcome is Outcome.ACCEPTED
        stop = threading.Event()
        outcomes: list[Outcome] = []

        def work() -> None:
            while not stop.is_set():
                outcomes.append(judge.judge(SQUARES, program).outcome)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(0.5)
            for child in psutil.Process(process).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        stop.set()
        for thread in threads:
            thread.join()
        # Never a verdict on the program, and work goes on.
        assert set(outcomes) <= {Outcome.ACCEPTED, Outcome.INFRASTRUCTURE_ERROR}
        assert [judge.judge(SQUARES, program).outcome for _ in range(8)] == [Outcome.ACCEPTED] * 8


def test_figures_for_prometheus(port: int) -> None:
    ask(port, "POST", "/v1/judge", JUDGE)
    status, text, headers = ask(port, "GET", "/metrics")
    assert status == 200 and headers.get_content_type() == "text/plain"
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(figures['perilune_sandbox_judgements_total{outcome="accepted"}']) >= 1
    assert float(figures['perilune_sandbox_answers_total{path="/v1/judge",status="200"}']) >= 1
    assert float(figures["perilune_sandbox_capacity"]) == 8


def test_health_and_the_page_of_the_interface(port: int) -> None:
    status, answer, _ = ask(port, "GET", "/health")
    assert status == 200
    assert (answer["status"], answer["workers"], answer["capacity"]) == ("ok", 2, 8)
    assert answer["isolation"] in {"namespaces", "landlock"}
    _, schema, _ = ask(port, "GET", "/openapi.json")
    assert set(schema["paths"]) == {"/v1/run", "/v1/judge", "/v1/batch", "/health", "/metrics"}
    assert "StdioTask" in schema["components"]["schemas"]
    assert ask(port, "GET", "/docs")[0] == 200


def test_without_a_token_only_loopback_names_are_answered(port: int) -> None:
    # A page in this machine's browser can reach the port under a name of its own making; its Host tells.
    assert ask(port, "POST", "/v1/judge", JUDGE, {"Host": "evil.example"})[0] == 400
    assert ask(port, "POST", "/v1/judge", JUDGE, {"Host": f"localhost:{port}"})[0] == 200


def test_a_token_is_asked_for_where_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(token=TOKEN) as (port, _):
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
            for method, path in (("POST", "/v1/judge"), ("POST", "/v1/run"), ("GET", "/metrics"), ("GET", "/other")):
                status, _, found = ask(port, method, path, JUDGE if method == "POST" else None, headers)
                assert (status, found["WWW-Authenticate"]) == (401, "Bearer")
        assert ask(port, "GET", "/health")[0] == 200
        assert ask(port, "POST", "/v1/judge", JUDGE, bearer)[1]["outcome"] == "accepted"
        assert ask(port, "GET", "/metrics", headers=bearer)[0] == 200
        url = f"http://127.0.0.1:{port}"
        program = Program("python", RIGHT["source"])
        with RemoteJudge(url, SETTINGS, 60, token="wrong") as stranger:
            judgement = stranger.judge(SQUARES, program)
        assert judgement.outcome is Outcome.INFRASTRUCTURE_ERROR and "401" in judgement.detail
        monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
        with RemoteJudge(url, SETTINGS, 60) as friend:
            friend.check()
            assert friend.judge(SQUARES, program).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_others_are_listened_to_with_a_token_alone(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert main(["sandbox", "serve", "--host", host]) == 2
    assert TOKEN_VARIABLE in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"task": NaN}', 422),
        (b"[" * 100_000, 400),
        (b'{"program": ' + b"9" * 5000 + b"}", 400),
        (b"\xff\xfe", 422),
        (b"", 422),
    ],
    ids=["NaN", "deep", "long number", "no text", "empty"],
)
def test_what_is_hardly_json_is_the_requests_fault(port: int, body: bytes, status: int) -> None:
    assert ask(port, "POST", "/v1/judge", body)[0] == status
    assert ask(port, "POST", "/v1/judge", JUDGE)[0] == 200
