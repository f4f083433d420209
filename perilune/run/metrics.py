"""metrics.jsonl: every event of a run as one line; TensorBoard and Weights & Biases as mirrors of it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from perilune.errors import BackendUnavailable, RunFolderError
from perilune.run.jsonl import json_line, read_objects

METRICS_FILE = "metrics.jsonl"


class _Mirror(Protocol):
    """Takes the numbers of each event."""

    def write(self, event: str, step: int, numbers: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class MetricsLog:
    """Appends events to ``metrics.jsonl``, and mirrors their numbers; use it as a context manager.

    Each event is written with one system call, so that a killed process leaves at most one line unfinished; opening
    the log again takes such a line away.

    Args:
        folder: the run's.
        tensorboard: write TensorBoard events to ``folder/tensorboard``.
        wandb_project: Weights & Biases project; WANDB_MODE=offline is honoured.
        run_name: how the run is called there.

    Raises:
        RunFolderError: the file cannot be written.
        BackendUnavailable: Weights & Biases is asked for and is not installed or refuses.
    """

    def __init__(
        self, folder: Path, tensorboard: bool = False, wandb_project: str | None = None, run_name: str | None = None
    ) -> None:
        self._mirrors: list[_Mirror] = []
        self._path = path = folder / METRICS_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _open(path)
            _drop_unfinished_line(self._file)
        except OSError as error:
            raise RunFolderError(f"cannot write {path}: {error}; set output to another place") from error
        try:
            if tensorboard:
                self._mirrors.append(_TensorBoard(folder / "tensorboard"))
            if wandb_project is not None:
                self._mirrors.append(_Wandb(folder, wandb_project, run_name))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, event: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one event; NaN and infinities become null.

        Args:
            event: its kind: iteration, sft_step, evaluation …
            step: counts within the kind.
            values: what JSON can say; numbers, nested ones too, go to the mirrors as ``event/name``.

        Raises:
            RunFolderError: the line could not be written.
        """
        self.append(event_line(event, step, values), event, step, values)

    def append(self, line: str, event: str, step: int, values: Mapping[str, Any]) -> None:
        """The same of a line that :func:`event_line` has made."""
        self._follow()
        _write_whole(self._file, line.encode("utf-8", errors="replace"))
        self.mirror(event, step, values)

    def _follow(self) -> None:
        """Go on in the file that lies there now, where a resumed run has put its past in place of the one it found."""
        there = self._path.stat() if self._path.exists() else None
        if there is None or not os.path.samestat(there, os.fstat(self._file)):
            os.close(self._file)
            self._file = -1
            self._file = _open(self._path)

    def mirror(self, event: str, step: int, values: Mapping[str, Any]) -> None:
        """Show an event's numbers in the mirrors alone."""
        numbers = dict(_numbers(values, f"{event}/"))
        for mirror in self._mirrors:
            mirror.write(event, step, numbers)

    def close(self) -> None:
        """Flush the mirrors and close the file; doing it twice does no harm."""
        while self._mirrors:
            self._mirrors.pop().close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def event_line(event: str, step: int, values: Mapping[str, Any]) -> str:
    """An event as a line of metrics.jsonl, with the time of day; NaN and infinities become null."""
    return json_line({"event": event, "step": step, "time": round(time.time(), 3), **values})


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The events of a run in order, each with at least ``event`` and ``step``; a line that is not whole is skipped."""
    return [event for event in read_objects(folder / METRICS_FILE) if "event" in event and "step" in event]


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)


def _write_whole(file: int, line: bytes) -> None:
    try:
        written = os.write(file, line)
    except OSError as error:
        raise RunFolderError(f"cannot write {METRICS_FILE}: {error}; make room, then resume the run") from error
    if written < len(line):
        raise RunFolderError(
            f"cannot write {METRICS_FILE}: no space left on the device; make room, then resume the run"
        )


def _drop_unfinished_line(file: int) -> None:
    size = os.fstat(file).st_size
    end = size
    while end > 0:
        start = max(0, end - 65536)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        end = start + newline + 1 if newline >= 0 else start
        if newline >= 0:
            break
    if end < size:
        os.ftruncate(file, end)


def _numbers(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    """(slash-separated name, value) of each finite number, nested mappings too."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers({str(key): inner for key, inner in value.items()}, f"{prefix}{name}/")
        elif isinstance(value, int | float) and math.isfinite(value):
            yield prefix + name, float(value)


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        # TensorBoard's own writer: torch.utils.tensorboard would import torch.
        from tensorboard.summary import Writer  # type: ignore[import-untyped]

        self._writer = Writer(str(folder))

    def write(self, event: str, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, folder: Path, project: str, run_name: str | None) -> None:
        try:
            import wandb
        except ImportError:
            raise BackendUnavailable(
                "logging.wandb is set but the package wandb is not installed: pip install 'perilune[wandb]', or take "
                "logging.wandb out of the recipe"
            ) from None
        try:
            self._run = wandb.init(project=project, name=run_name, dir=str(folder))
        except wandb.errors.Error as error:
            raise BackendUnavailable(
                f"Weights & Biases cannot start: {error}. Log in with 'wandb login', or set WANDB_MODE=offline to "
                "write to the run folder alone"
            ) from error
        self._events: set[str] = set()

    def write(self, event: str, step: int, numbers: Mapping[str, float]) -> None:
        # Each kind of event has its own axis: their steps do not rise together, as W&B's own step must.
        axis = f"{event}/step"
        if event not in self._events:
            self._events.add(event)
            self._run.define_metric(axis)
            self._run.define_metric(f"{event}/*", step_metric=axis)
        self._run.log({**numbers, axis: step})

    def close(self) -> None:
        self._run.finish()
