"""Runs every hostile program in one mode, as whoever runs this; prints a line of JSON for each.

    python hostile_run.py namespaces|landlock [NAME ...]

A line has the program's name and its faults: what it reached, how it ended where that is wrong, what it left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hostile_programs import ALL, Hostile

import perilune
from perilune.sandbox import process_tree
from perilune.sandbox.probes import Bait, bait
from perilune.sandbox.programs import Limits, Program, Submission
from perilune.sandbox.sandbox import Sandbox
from perilune.sandbox.syscall_numbers import MACHINE

LIMITS = Limits(
    cpu_seconds=1, wall_seconds=2, memory_mb=256, output_bytes=1 << 16, processes=8, open_files=64, file_bytes=4 << 20
)
PATIENT = replace(LIMITS, wall_seconds=60)
"""For those that wall time is not to end: on a busy machine they wait for their turn."""
AFTER = """
import json, math, os
try:
    left = set(os.listdir('.')) - {'.shm'}
except PermissionError:  # where programs have no folder at all
    left = set()
print(math.sqrt(16), json.loads('[1]'), left, os.environ.get('LEFT'), os.umask(0o22))
"""
CLEAN = "4.0 [1] set() None 18\n"


@dataclass(frozen=True)
class Scene:
    """What is there to be reached, and what was there before."""

    laid: Bait
    udp: socket.socket
    abstract: socket.socket
    facts: dict[str, Any]
    sandbox: Sandbox
    own: frozenset[int]
    signals: list[int]

    def reached(self) -> list[str]:
        """As seen from outside."""
        found = [taken] if (taken := self.laid.taken()) else []
        for name, listener in (("udp", self.udp), ("abstract", self.abstract)):
            with contextlib.suppress(BlockingIOError):
                listener.recv(1) if name == "udp" else listener.accept()
                found.append(f"the {name} socket outside was reached")
        found += [f"signal {number} came" for number in self.signals]
        self.signals.clear()
        return found

    def left(self) -> list[str]:
        """Processes that outlived their run."""
        for _ in range(20):  # the kernel takes a moment to forget one
            alive = {pid for pid in process_tree.descendants(os.getpid()) if pid not in self.own}
            if not alive:
                return []
            time.sleep(0.01)
        return [f"process {pid} is left" for pid in alive]


@contextlib.contextmanager
def scene(mode: str) -> Iterator[Scene]:
    """Lay out the bait, and start a sandbox of one worker, so that every program meets what the last one left."""
    signals: list[int] = []
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGIO):
        signal.signal(number, lambda came, _: signals.append(came))
    os.environ["PERILUNE_TOKEN"] = "a secret of the environment"
    name = f"perilune-hostile-{os.getpid()}"
    with (
        bait() as laid,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as abstract,
        Sandbox(workers=1, mode=mode) as sandbox,  # type: ignore[arg-type]
    ):
        udp.bind(("127.0.0.1", 0))
        abstract.bind(f"\0{name}")
        abstract.listen()
        for listener in (udp, abstract):
            listener.setblocking(False)
        facts = {
            **json.loads(laid.as_input()),
            "udp": udp.getsockname()[1],
            "abstract": name,
            "runner": os.getpid(),
            "package": str(Path(perilune.__file__).parent),
            "python": sys.base_prefix,
            "memory_mb": LIMITS.memory_mb,
            "file_bytes": LIMITS.file_bytes,
            "output_bytes": LIMITS.output_bytes,
        }
        sandbox.run(Program("cpp", "#include <bits/stdc++.h>\nint main() {}"), [b""])  # makes the header
        yield Scene(laid, udp, abstract, facts, sandbox, frozenset(process_tree.descendants(os.getpid())), signals)


def attack(hostile: Hostile, at: Scene) -> list[str]:
    """Run one program, and then a harmless one; returns the faults."""
    given = (json.dumps(at.facts) + "\n").encode()
    limits = LIMITS if "wall time" in hostile.endings else PATIENT
    submission = at.sandbox.run(Program(hostile.language, hostile.text(at.facts)), [given], limits)
    faults = [*_faults(hostile, submission), *at.reached(), *at.left()]
    harmless = at.sandbox.run(Program("python", AFTER), [b""], PATIENT).runs[0]
    if harmless.stdout.decode() != CLEAN:
        faults.append(f"the next program saw {harmless.stdout!r} {harmless.stderr[-300:]!r} {harmless.detail}")
    if at.sandbox.replaced:
        faults.append(f"{at.sandbox.replaced} workers were lost")
    return faults


def _faults(hostile: Hostile, submission: Submission) -> list[str]:
    if not submission.compiled:
        return [] if "not compiled" in hostile.endings else [f"not compiled: {submission.compile}"]
    run = submission.runs[0]
    faults = []
    if run.ending.value not in hostile.endings:
        faults.append(f"ended by {run.ending.value}: {run.detail} {run.stdout[-200:]!r} {run.stderr[-300:]!r}")
    if b"ESCAPED" in run.stdout + run.stderr:
        faults.append(run.stdout[-2000:].decode(errors="replace"))
    if hostile.finishes and b"tried" not in run.stdout:
        faults.append(f"did not get to its end: {run.stderr[-500:]!r}")
    if len(run.stdout) > LIMITS.output_bytes:
        faults.append(f"{len(run.stdout)} bytes of output")
    return faults


def main() -> None:
    """Every program, or those that are named."""
    mode, *names = sys.argv[1:]
    chosen = [hostile for hostile in ALL if not names or hostile.name in names]
    before = set(os.listdir(tempfile.gettempdir()))  # noqa: PTH208
    with scene(mode) as at:
        own = {name for name in os.listdir(tempfile.gettempdir()) if name not in before}  # noqa: PTH208
        for hostile in chosen:
            if hostile.x86_64 and MACHINE != "x86_64":
                continue
            begun = time.monotonic()
            faults = attack(hostile, at)
            report = {"name": hostile.name, "faults": faults, "seconds": round(time.monotonic() - begun, 2)}
            sys.stdout.write(f"{json.dumps(report)}\n")
            sys.stdout.flush()
        files = set(os.listdir(tempfile.gettempdir())) - before - own  # noqa: PTH208
    left = [f"process {pid} is left" for pid in process_tree.descendants(os.getpid())]
    left += [f"{name} is left" for name in sorted(files | {name for name in own if _is_there(name)})]
    sys.stdout.write(json.dumps({"name": "", "faults": left, "seconds": 0}) + "\n")


def _is_there(name: str) -> bool:
    return name.startswith("perilune-") and Path(tempfile.gettempdir(), name).exists()


if __name__ == "__main__":
    main()
