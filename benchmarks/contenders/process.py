"""The asking side: contenders are started, asked in turn, and their answers compared in pairs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
EMULATION = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""What holds libraries to fewer instructions than the processor has; every contender gets them as they are here."""


@dataclass(slots=True)
class Contender:
    """One process that answers workloads; while it is not asked it sleeps.

    OpenMP's threads look for work for 0.2 s at most after a run and sleep then, so none is told to wait passively,
    which would slow it down.
    """

    name: str
    script: str
    """Within this folder."""
    settings: dict[str, Any]
    python: str = sys.executable
    source: Path = ROOT
    """The checkout that it imports."""
    environment: dict[str, str] = field(default_factory=dict)
    description: dict[str, Any] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    """What counts; :meth:`ask` alone adds nothing."""
    _process: Any = None
    _log: IO[str] | None = None

    def start(self) -> None:
        threads = str(self.settings["threads"])
        environment = os.environ | {
            "PYTHONPATH": str(self.source),
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
        }
        environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"} | self.environment
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [self.python, str(HERE / self.script), json.dumps(self.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self.description = self._read()
        self._signal(signal.SIGSTOP)

    def ask(self, workload: Any) -> dict[str, Any]:
        """The answer to one workload.

        Raises:
            SystemExit: the contender has failed; with the end of what it wrote.
        """
        self._signal(signal.SIGCONT)
        # One that has ended is told of by _read: where memory is short, the system ends whom it likes.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(workload) + "\n")
            self._process.stdin.flush()
        found = self._read()
        self._signal(signal.SIGSTOP)
        return found

    def _signal(self, number: int) -> None:
        """To the process and its own ones: who waits must not work, not even by looking for work."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def close(self) -> None:
        if self._process is not None:
            self._signal(signal.SIGCONT)
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
            self._process = None

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            assert self._log is not None
            self._log.seek(0)
            status = self._process.wait()
            why = "no memory was left" if status == -9 else f"status {status}"
            sys.exit(f"{self.name} has failed ({why}):\n{self._log.read()[-3000:]}")
        found: dict[str, Any] = json.loads(line)
        return found


def alternate(contenders: Sequence[Contender], workloads: Sequence[Any]) -> None:
    """Each workload goes to all contenders in turn: A B C, A B C …"""
    for number, workload in enumerate(workloads):
        for contender in contenders:
            answer = contender.ask(workload)
            contender.answers.append(answer)
            print(f"  round {number + 1}: {contender.name} {answer['seconds']:.2f} s", file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast one contender was as another, pair by pair."""

    pairs: tuple[float, ...]
    processor: float
    """Median, in processor time."""

    @property
    def median(self) -> float:
        return statistics.median(self.pairs)

    def __str__(self) -> str:
        span = f"{min(self.pairs):.2f} to {max(self.pairs):.2f}"
        return f"{self.median:.2f} ({span}; in processor time {self.processor:.2f})"


def compare(one: Contender, other: Contender) -> Ratio:
    """Tokens per second of ``one`` over those of ``other``, both having answered the same workloads."""
    pairs = tuple(zip(one.answers, other.answers, strict=True))
    return Ratio(
        tuple(rate(mine) / rate(theirs) for mine, theirs in pairs),
        statistics.median(
            rate(mine, "processor_seconds") / rate(theirs, "processor_seconds") for mine, theirs in pairs
        ),
    )


def rate(answer: dict[str, Any], seconds: str = "seconds") -> float:
    """Tokens per second of an answer."""
    return produced(answer) / float(answer[seconds])


def produced(answer: dict[str, Any]) -> int:
    """Tokens of an answer, told one by one or counted."""
    if "tokens" in answer:
        return sum(map(len, answer["tokens"].values()))
    return sum(answer["counts"].values())


def processor() -> str:
    """The processor, its vector instructions, and what holds libraries to fewer of them."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8")
    flags = [flag for flag in wanted if flag in found.get("flags", "").split()]
    held = [f"{name}={os.environ[name]}" for name in EMULATION if name in os.environ]
    return f"{found.get('model name', 'unknown')}, {' '.join(flags)}" + (f"; held to {', '.join(held)}" if held else "")
