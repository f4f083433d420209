"""A load generator for the sandbox service: many requests at once for a minute, with no error but 429 allowed.

Starts ``perilune sandbox serve``, keeps so many requests open all the time, waits as the service says where it is full,
and kills one of its workers every few seconds. Every verdict is looked at. Usage:

    python benchmarks/service_load.py [--concurrent 500] [--seconds 60] [--kill-every 10]
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field

from perilune.sandbox import process_tree

EXPECTED = ("accepted", "wrong answer", "time limit", "runtime error")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Tally:
    """What came back."""

    answers: collections.Counter[str] = field(default_factory=collections.Counter)
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    open: int = 0
    most_open: int = 0


def request(number: int) -> tuple[dict[str, object], str]:
    """A judgement to ask for, and the right verdict: one in ten is wrong, one in fifty endless, one in fifty fails."""
    source, verdict = f"print(int(input()) + {number})", "accepted"
    if number % 50 == 7:
        source, verdict = "while True: pass", "time limit"
    elif number % 50 == 9:
        source, verdict = "raise ValueError", "runtime error"
    elif number % 10 == 3:
        source, verdict = f"print(int(input()) - {number})", "wrong answer"
    task = {"cases": [{"input": "5\n", "output": f"{5 + number}\n"}]}
    limits = {"cpu_seconds": 0.5, "wall_seconds": 30}
    return {
        "task": task,
        "program": {"language": "python", "source": source},
        "settings": {"limits": limits, "total_seconds": 60},
    }, verdict


async def ask(streams: Streams, body: dict[str, object]) -> tuple[int, dict[str, str], bytes]:
    """One request over a connection that is kept: (status, headers, body).

    By hand, since a general client needs more of the processor than the service that it is to load.
    """
    reader, writer = streams
    content = json.dumps(body).encode()
    head = f"POST /v1/judge HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + content)
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def keep_asking(port: int, tally: Tally, numbers: range, until: float) -> None:
    """One of those that ask: the next request as soon as the last is answered."""
    streams = await asyncio.open_connection("127.0.0.1", port)
    for number in numbers:
        body, verdict = request(number)
        status = 429
        while status == 429 and time.monotonic() < until:
            begun = time.monotonic()
            tally.open += 1
            tally.most_open = max(tally.most_open, tally.open)
            try:
                status, headers, answer = await ask(streams, body)
            except (OSError, EOFError) as error:
                tally.faults.append(f"{type(error).__name__}: {error}")
                streams = await asyncio.open_connection("127.0.0.1", port)
                break
            finally:
                tally.open -= 1
            if status == 429:
                tally.answers["429"] += 1
                await asyncio.sleep(float(headers["retry-after"]) * random.uniform(0.5, 1.5))
                continue
            tally.seconds.append(time.monotonic() - begun)
            if status != 200:
                tally.faults.append(f"status {status}: {answer[:200]!r}")
            elif (outcome := json.loads(answer)["outcome"]) != verdict:
                tally.faults.append(f"{outcome} for {verdict}")
            else:
                tally.answers[verdict] += 1
        if time.monotonic() >= until:
            break
    streams[1].close()


async def kill_workers(pid: int, every: float, until: float) -> int:
    """SIGKILL for one zygote after the other; returns how many."""
    killed = 0
    while every and time.monotonic() + every < until:
        await asyncio.sleep(every)
        # Below the service are launchers, and below each of them its zygote.
        launchers = [child for child in process_tree.descendants(pid) if process_tree.parent(child) == pid]
        zygotes = [child for launcher in launchers for child in list(process_tree.descendants(launcher))[:1]]
        if zygotes:
            os.kill(random.choice(zygotes), signal.SIGKILL)
            killed += 1
    return killed


async def load(port: int, pid: int, concurrent: int, seconds: float, kill_every: float) -> tuple[Tally, int]:
    """Ask, and kill, at the same time."""
    tally, until = Tally(), time.monotonic() + seconds
    asking = [keep_asking(port, tally, range(n, 10**9, concurrent), until) for n in range(concurrent)]
    *_, killed = await asyncio.gather(*asking, kill_workers(pid, kill_every, until))
    return tally, killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrent", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--queue", type=int, default=64)
    parser.add_argument("--kill-every", type=float, default=10.0, help="seconds; 0 for never")
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sizes = ["--workers", str(options.workers), "--queue", str(options.queue)]
    command = [sys.executable, "-m", "perilune.cli", "sandbox", "serve", "--port", str(port), *sizes]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as service:
        try:
            wait_for(url)
            tally, killed = asyncio.run(
                load(port, service.pid, options.concurrent, options.seconds, options.kill_every)
            )
            health = wait_for(url)
        finally:
            service.send_signal(signal.SIGINT)
            service.wait(120)
    report(tally, killed, health, options)


def wait_for(url: str) -> int:
    """The status of its health, once the service answers."""
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health") as answer:
                return int(answer.status)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def report(tally: Tally, killed: int, health: int, options: argparse.Namespace) -> None:
    """Print the figures; exit with status 1 where there was an error other than 429."""
    judged = sum(tally.answers[verdict] for verdict in EXPECTED)
    print(f"{tally.most_open} requests open at once for {options.seconds:g} s, {killed} workers killed meanwhile")
    print(f"{judged} judged ({judged / options.seconds:.0f}/s), {tally.answers['429']} times told to come again (429)")
    print(", ".join(f"{verdict}: {tally.answers[verdict]}" for verdict in EXPECTED))
    if len(tally.seconds) > 1:
        cuts = statistics.quantiles(tally.seconds, n=100)
        print(f"seconds to a judgement: median {cuts[49]:.2f}, 99th percentile {cuts[98]:.2f}")
    print(f"errors other than 429: {len(tally.faults)}; health afterwards: {health}")
    for fault in tally.faults[:5]:
        print(f"  {fault}")
    if tally.faults or not judged or health != 200:
        sys.exit(1)


if __name__ == "__main__":
    main()
