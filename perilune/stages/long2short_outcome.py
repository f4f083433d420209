"""What a long2short has found so far, as it stands in ``RUN/long2short/``: results.json, examples.json and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from perilune.evaluation.tradeoff import Point, told_order, trade_off
from perilune.report.long2short_data import FOLDER
from perilune.report.long2short_page import long2short_lines, write_long2short_report
from perilune.run.jsonl import json_line, replace_lines
from perilune.run.metrics import read_metrics
from perilune.stages.long2short_models import LONG, SHORT, SHORT_SFT, Models, last_step, parent_of, title_of
from perilune.stages.sample import FOLDER as SAMPLING
from perilune.stages.sample import SUMMARY_FILE
from perilune.types import ScoredResponse, Verdict

RESULTS = "results.json"
_EXAMPLES = 3


class Outcome:
    """The figures of the models that are measured, and where the second RL phase starts."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._before = _read(models.folder / RESULTS)
        self.measured: dict[str, list[ScoredResponse]] = {}
        """Name → answers to the held-out problems."""
        self.seconds: dict[str, float] = {}
        """Name → what making it took, where no run within has noted it."""
        self.start: dict[str, Any] | None = self._before.get("start")
        """:func:`perilune.stages.long2short_start.choose_start`; a run that is resumed does not ask again."""

    def write(self, *, finished: bool) -> None:
        """What is known so far, as figures and as a page."""
        folder, recipe = self._models.folder, self._models.recipe
        points = trade_off(self.measured, LONG) if self.measured else ()
        named = {point.name: point for point in points}
        results = {
            "name": recipe.name,
            "finished": finished,
            "reference": LONG,
            "models": [self._row(name, named.get(name)) for name in self._models.names],
            "sampling": self._sampling(),
            "start": self.start,
            "settings": {
                "problems": len({response.problem.id for response in self.measured.get(LONG, [])}),
                "max_response_tokens": recipe.evaluation.max_response_tokens,
                "samples": recipe.evaluation.samples,
                "seed": recipe.seed,
            },
            "orders": told_order(points) if len(points) > 1 else [],
        }
        folder.mkdir(parents=True, exist_ok=True)
        replace_lines(folder / RESULTS, [json.dumps(json.loads(json_line(results)), indent=2) + "\n"])
        replace_lines(folder / "examples.json", [json_line(self._examples())])
        write_long2short_report(folder)

    def lines(self) -> list[str]:
        """What was written, for people: a table, and where the page is."""
        folder = self._models.folder
        return [*long2short_lines(_read(folder / RESULTS)), f"report: {folder / 'report.html'}"]

    def _row(self, name: str, point: Point | None) -> dict[str, Any]:
        models = self._models
        folders = {LONG: models.long, SHORT: models.config.short_model or f"models/{SHORT}"}
        parent = None if name in folders else parent_of(name)
        if name == "rl" and self.start is not None:
            parent = self.start["picked"]
        row = {
            "name": name,
            "title": title_of(name),
            "folder": folders.get(name, f"{FOLDER}/models/{name}"),
            "from": parent,
            "facts": _facts(models, name),
        }
        measured = {"seconds": None} if point is None else {"seconds": self._spent(name), "point": point.to_dict()}
        return row | measured

    def _spent(self, name: str) -> float | None:
        """Seconds that making and measuring took, all sessions together."""
        kept = {row["name"]: row.get("seconds") for row in self._before.get("models", [])}
        models = self._models
        folder = models.recipe.run_folder / SHORT_SFT if name == SHORT else models.run(name)
        phases = [event["phases"] for event in read_metrics(folder) if event["event"] == "seconds"]
        seconds = sum(value or 0.0 for table in phases for value in table.values())
        if name == "merge" and name not in self.seconds:
            return kept.get(name) or seconds or None
        return round(seconds + self.seconds.get(name, 0.0), 1) or None

    def _sampling(self) -> dict[str, dict[str, Any]]:
        """Model that was asked → counts."""
        found: dict[str, dict[str, Any]] = {}
        for name in self._models.config.models:
            summary = _read(self._models.run(name) / SAMPLING / SUMMARY_FILE)
            if summary:
                found[parent_of(name)] = summary
        return found

    def _examples(self) -> list[dict[str, Any]]:
        """Held-out problems that the long model solved, with every model's answer; of several lengths."""
        by_model = {
            name: {response.problem.id: response for response in responses if response.sample == 0}
            for name, responses in self.measured.items()
        }
        solved = [r for r in by_model.get(LONG, {}).values() if r.grade.verdict is Verdict.RIGHT]
        solved.sort(key=lambda response: response.tokens)
        places = {len(solved) * (1 + 2 * place) // (2 * _EXAMPLES) for place in range(_EXAMPLES)} if solved else set()
        return [
            {
                "question": solved[place].problem.messages[-1].content,
                "answer": solved[place].problem.answer,
                "responses": [
                    {
                        "model": name,
                        "text": answers[solved[place].problem.id].response,
                        "tokens": answers[solved[place].problem.id].tokens,
                        "verdict": answers[solved[place].problem.id].grade.verdict.value,
                    }
                    for name, answers in by_model.items()
                ],
            }
            for place in sorted(places)
        ]


def _facts(models: Models, name: str) -> list[list[str]]:
    """What is worth knowing of how a model was made."""
    step, config, folder = last_step(name), models.config, models.run(name)
    if step == "merge":
        return [["method", config.merge.method], ["weight of the long model", f"{config.merge.long_weight:g}"]]
    if step == SHORT and config.short_model is None:
        return [["SFT steps", _count(models.recipe.run_folder / SHORT_SFT, "sft_step")]]
    if step == "shortest":
        return [["SFT steps", _count(folder, "sft_step")], ["learning rate", f"{config.sft.learning_rate:g}"]]
    if step == "dpo":
        return [
            ["steps", _count(folder, "dpo_step")],
            ["beta", f"{models.recipe.dpo.beta:g}"],
            ["last margin", _last_margin(folder)],
        ]
    if step == "rl":
        return [
            ["iterations", _count(folder, "iteration")],
            ["length reward", f"{config.rl.length_reward.weight:g}"],
            ["maximum length", str(config.rl.max_response_tokens)],
        ]
    return []


def _count(folder: Path, event: str) -> str:
    """How many steps of a kind a run has taken."""
    return str(len({found["step"] for found in read_metrics(folder) if found["event"] == event}))


def _last_margin(folder: Path) -> str:
    """Of DPO: the mean over the last four steps."""
    last = [event for event in read_metrics(folder) if event["event"] == "dpo_step"][-4:]
    margins = [event["margin"] for event in last if event.get("margin") is not None]
    return f"{sum(margins) / len(margins):.2f} nats" if margins else "–"


def _read(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
