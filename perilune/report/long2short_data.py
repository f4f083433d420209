"""What a long2short folder says of its models, all measured or not: the page's material."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perilune.errors import RunFolderError
from perilune.evaluation.tradeoff import Point

FOLDER = "long2short"
"""Within the run."""


@dataclass(frozen=True, slots=True)
class Model:
    """One of the models compared."""

    name: str
    title: str
    folder: str
    parent: str | None
    """Name of the model that it was made from; None for the long and the short one."""
    point: Point | None
    """None while it is not measured."""
    seconds: float | None
    """What making and measuring it took."""
    facts: tuple[tuple[str, str], ...]
    """(name, value) of how it was made."""


@dataclass(frozen=True, slots=True)
class StartCandidate:
    """A model that the second RL phase might have started from."""

    name: str
    accuracy: float
    mean_tokens: float
    picked: bool


@dataclass(frozen=True, slots=True)
class Start:
    """Where the second RL phase starts, and why."""

    rule: str
    told: str
    candidates: tuple[StartCandidate, ...]
    """Empty if there was nothing to choose."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer to an example."""

    model: str
    text: str
    tokens: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Example:
    """A held-out problem, answered by every model."""

    question: str
    answer: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Long2ShortData:
    """The outcome of a long2short, finished or not."""

    name: str
    finished: bool
    reference: str
    models: tuple[Model, ...]
    sampling: dict[str, dict[str, Any]]
    """Model that was asked → name → count."""
    start: Start | None
    settings: dict[str, Any]
    orders: tuple[str, ...]
    """Sentences of :func:`perilune.evaluation.tradeoff.told_order`."""
    examples: tuple[Example, ...] = ()

    @property
    def measured(self) -> dict[str, Point]:
        """Name → figures of the models that have them."""
        return {model.name: model.point for model in self.models if model.point is not None}


def read_long2short(folder: Path) -> Long2ShortData:
    """Read ``results.json``, and ``examples.json`` if it is there.

    Raises:
        RunFolderError: the folder holds no outcome of long2short, or one that cannot be read.
    """
    path = folder / "results.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise RunFolderError(f"{folder} holds no outcome of long2short: cannot read {path}: {error}") from None
    except ValueError as error:
        raise RunFolderError(f"{path} is no JSON ({error}); resume the run to write it anew") from None
    try:
        return parse_results(value, _examples(folder / "examples.json"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RunFolderError(
            f"{path} is no outcome of long2short ({reason}); resume the run to write it anew"
        ) from None


def parse_results(value: Mapping[str, Any], examples: tuple[Example, ...] = ()) -> Long2ShortData:
    """The content of ``results.json``.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the value is none of these.
    """
    return Long2ShortData(
        name=str(value["name"]),
        finished=bool(value["finished"]),
        reference=str(value["reference"]),
        models=tuple(_model(one) for one in value["models"]),
        sampling={str(name): dict(counts) for name, counts in (value.get("sampling") or {}).items()},
        start=_start(value["start"]) if value.get("start") else None,
        settings=dict(value.get("settings") or {}),
        orders=tuple(str(sentence) for sentence in value.get("orders") or ()),
        examples=examples,
    )


def _model(value: Mapping[str, Any]) -> Model:
    found, seconds, parent = value.get("point"), value.get("seconds"), value.get("from")
    return Model(
        name=str(value["name"]),
        title=str(value.get("title") or value["name"]),
        folder=str(value.get("folder") or ""),
        parent=None if parent is None else str(parent),
        point=Point.from_dict(found) if found else None,
        seconds=None if seconds is None else float(seconds),
        facts=tuple((str(name), str(told)) for name, told in value.get("facts") or ()),
    )


def _start(value: Mapping[str, Any]) -> Start:
    candidates = tuple(
        StartCandidate(str(one["name"]), float(one["accuracy"]), float(one["mean_tokens"]), bool(one["picked"]))
        for one in value.get("candidates") or ()
    )
    return Start(str(value["rule"]), str(value["told"]), candidates)


def _examples(path: Path) -> tuple[Example, ...]:
    """None if the file is missing or is none of examples: the page can do without."""
    try:
        return tuple(map(_example, json.loads(path.read_text(encoding="utf-8", errors="replace"))))
    except (OSError, KeyError, TypeError, ValueError):
        return ()


def _example(value: Mapping[str, Any]) -> Example:
    answers = (
        Answer(str(one["model"]), str(one["text"]), int(one["tokens"]), str(one["verdict"]))
        for one in value["responses"]
    )
    return Example(str(value["question"]), str(value["answer"]), tuple(answers))
