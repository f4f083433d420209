"""``perilune doctor RUN``: what of a run folder is whole, what is not, and what to do about it. Changes nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from perilune.errors import PeriluneError, RunFolderError
from perilune.run.checkpoint import verify_checkpoint
from perilune.run.opening import stored_recipe


class State(StrEnum):
    """How a part of a run is."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    """The run cannot go on from it."""
    NOTE = "note"
    """Worth knowing; the run goes on."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of a run folder, and how it is."""

    part: str
    state: State
    detail: str
    mend: str = ""
    """What to do about it."""


def examine_run(folder: Path) -> tuple[Finding, ...]:
    """Look at every part of a run, read-only; also while the run is under way.

    Raises:
        RunFolderError: the folder holds no run.
    """
    if not (folder / "recipe.toml").exists():
        raise RunFolderError(f"{folder} is no run folder: it has no recipe.toml")
    state = _State()
    return (
        _recipe(folder),
        *_buffer(folder, state),
        *_checkpoints(folder, state),
        *_metrics(folder, state),
        *_json_lines(folder),
        *_models(folder),
        *_traces(folder),
    )


def show_run(findings: tuple[Finding, ...], folder: Path, console: Console) -> int:
    """Print the findings; return the exit status, 1 where something is damaged."""
    marks = {State.WHOLE: ("whole  ", "green"), State.DAMAGED: ("damaged", "red"), State.NOTE: ("note   ", "yellow")}
    width = max(len(finding.part) for finding in findings)
    for finding in findings:
        line = Text.assemble(marks[finding.state], f"  {finding.part:{width}}  {finding.detail}")
        console.print(line, soft_wrap=True)
        if finding.mend:
            console.print(Text(f"         {finding.mend}", "dim"), soft_wrap=True)
    damaged = [finding.part for finding in findings if finding.state is State.DAMAGED]
    verdict = f"damaged: {', '.join(damaged)}" if damaged else f"whole; it goes on with: perilune resume {folder}"
    console.print(Text(f"\n{folder} is {verdict}"), soft_wrap=True)
    return 1 if damaged else 0


@dataclass(slots=True)
class _State:
    """Where the buffer says that the run stands."""

    iteration: int = 0
    checkpoints: list[str] = field(default_factory=list)


def _recipe(folder: Path) -> Finding:
    try:
        recipe = stored_recipe(folder)
    except PeriluneError as error:
        return Finding("recipe.toml", State.DAMAGED, str(error), "put the recipe that the run was started with here")
    return Finding(
        "recipe.toml", State.WHOLE, f"stages {', '.join(recipe.stages) or 'none'}, model {recipe.model.name}"
    )


def _buffer(folder: Path, state: _State) -> Iterator[Finding]:
    name, path = "buffer.sqlite", folder / "buffer.sqlite"
    if not path.exists():
        yield Finding(name, State.DAMAGED, "missing", "there is nothing to go on from: start anew with --overwrite")
        return
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            found = [row[0] for row in db.execute("PRAGMA integrity_check")]
            values = {key: json.loads(value) for key, value in db.execute("SELECT key, value FROM state")}
            groups = dict(db.execute("SELECT COALESCE(outcome, 'open'), COUNT(*) FROM groups GROUP BY outcome"))
            segments = db.execute("SELECT COUNT(*) FROM segments").fetchone()[0]
        db.close()
    except (sqlite3.Error, ValueError) as error:
        found, values, groups, segments = [str(error)], {}, {}, 0
    if found != ["ok"]:
        mend = (
            "the run cannot go on without it: put a copy back, or start anew with --overwrite, from a model in models/"
        )
        yield Finding(name, State.DAMAGED, "; ".join(found[:3]), mend)
        return
    progress = values.get("progress", {})
    state.iteration, state.checkpoints = progress.get("iteration", 0), values.get("checkpoints", [])
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(groups.items())) or "none yet"
    steps = ", ".join(progress.get("steps_done", [])) or "none"
    detail = f"steps done: {steps}; iteration {state.iteration}; groups: {counts}; {segments} segments"
    yield Finding(name, State.WHOLE, detail)


def _checkpoints(folder: Path, state: _State) -> Iterator[Finding]:
    """Those that the buffer names, and what else lies there. The run goes on from the newest whole one."""
    faults = {name: verify_checkpoint(folder / "checkpoints" / name) for name in state.checkpoints}
    any_whole = any(not found for found in faults.values())
    for name, found in faults.items():
        part = f"checkpoints/{name}"
        if not found:
            size = sum(file.stat().st_size for file in (folder / "checkpoints" / name).iterdir())
            yield Finding(part, State.WHOLE, f"{size / 1e6:,.1f} MB, every file as it was written")
        elif any_whole:
            mend = "perilune resume goes on from the newest that is whole"
            yield Finding(part, State.NOTE, f"damaged: {'; '.join(found)}", mend)
        else:
            mend = "put a copy of it back; else start anew with --overwrite, from a model in models/"
            yield Finding(part, State.DAMAGED, "; ".join(found), mend)
    for path in sorted((folder / "checkpoints").glob("*")):
        if path.name not in faults:
            yield Finding(f"checkpoints/{path.name}", State.NOTE, "left by an interrupted save, removed by the next")


def _metrics(folder: Path, state: _State) -> Iterator[Finding]:
    objects, broken = _lines(folder / "metrics.jsonl")
    numbers = [event["step"] for event in objects if event.get("event") == "iteration"]
    missing = sorted(set(range(state.iteration)) - set(numbers))
    detail = f"{len(objects)} events, {len(numbers)} iterations"
    if missing:
        detail += f"; without a line: iterations {', '.join(str(number + 1) for number in missing)}"
    if broken:
        detail += f"; {broken} unreadable lines"
    mend = "perilune resume completes it" if missing or broken else ""
    yield Finding("metrics.jsonl", State.NOTE if missing or broken else State.WHOLE, detail, mend)


def _json_lines(folder: Path) -> Iterator[Finding]:
    for path in (*sorted((folder / "evaluations").glob("*.jsonl")), folder / "samples.jsonl"):
        if not path.exists():
            continue
        objects, broken = _lines(path)
        detail = f"{len(objects)} responses" + (f", {broken} unreadable lines" if broken else "")
        yield Finding(str(path.relative_to(folder)), State.NOTE if broken else State.WHOLE, detail)


def _models(folder: Path) -> Iterator[Finding]:
    for model in sorted(path for path in (folder / "models").glob("*") if path.is_dir()):
        part = f"models/{model.name}"
        if model.name.startswith("."):
            yield Finding(part, State.NOTE, "left by an interrupted save", "it is removed by the next one")
            continue
        missing = [name for name in ("config.json", "tokenizer_config.json") if not (model / name).exists()]
        weights = sorted(model.glob("*.safetensors"))
        faults = [f"{name} is missing" for name in missing] + ([] if weights else ["it has no weights"])
        faults += [f"{path.name}: {fault}" for path in weights if (fault := _safetensors_fault(path))]
        if faults:
            mend = "perilune resume writes it again if its stage is not over"
            yield Finding(part, State.DAMAGED, "; ".join(faults), mend)
        else:
            size = sum(path.stat().st_size for path in weights)
            yield Finding(part, State.WHOLE, f"{size / 1e6:,.1f} MB in {len(weights)} file(s)")


def _traces(folder: Path) -> Iterator[Finding]:
    if (folder / "stuck.txt").exists():
        first = (folder / "stuck.txt").read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
        yield Finding("stuck.txt", State.NOTE, first)
    skipped = sorted((folder / "skipped").glob("*"))
    if skipped:
        names = ", ".join(path.name for path in skipped[:3])
        yield Finding("skipped/", State.NOTE, f"{len(skipped)} minibatches without a finite loss: {names}")


def _safetensors_fault(path: Path) -> str | None:
    """Why a safetensors file is not whole; None if header and size agree."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            return None
    except (OSError, SafetensorError) as error:
        return str(error)


def _lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The objects of a JSONL file, and how many lines are none."""
    objects, broken = [], 0
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                value = json.loads(line)
            except ValueError:
                broken += bool(line)
                continue
            if isinstance(value, dict):
                objects.append(value)
            else:
                broken += 1
    return objects, broken
