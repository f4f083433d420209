"""The builder: what it asks, what it keeps, and why it drops the rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from skilled import END, decode, encode, render

from perilune.curation.behaviours import Behaviour
from perilune.curation.demonstrations import build_demonstrations
from perilune.curation.warmup_files import summarize_warmup, write_messages, write_rejected
from perilune.curation.warmup_prompts import WarmupPrompts, load_examples
from perilune.curation.warmup_set import Rejection, WarmupSet
from perilune.data.demonstrations import load_demonstrations
from perilune.errors import EngineError, RunFolderError
from perilune.recipe.curation import WarmupConfig
from perilune.rewards.pool import GradingPool
from perilune.types import Completion, Message, Problem, Request, Segment, Stop

EGGS = Problem("eggs", (Message("user", "Tom has 30 eggs. Tom buys 12 more. How many eggs does Tom have?"),), "42")
CARS = Problem("cars", (Message("user", "Ann has 50 cars. Ann sells 15 cars. How many cars does Ann have?"),), "35")

PLANNED = "Plan: start with 30 eggs, then add the 12 that he buys.\n30 + 12 = 42.\nAnswer: 42"
CHECKED = "30 + 12 = 42.\nCheck: 42 - 12 = 30, as at the start.\nAnswer: 42"


@dataclass
class Writer:
    """An engine that knows what it has to say to each request by its name; 'Answer: 0' to all others.

    A text that ends in '…' reaches the maximum length there.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    version: int = 0

    def load_weights(self, weights: Iterable[tuple[str, object]], version: int) -> None:
        self.version = version

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        self.asked += requests
        for request in reversed(requests):
            text = self.texts.get(request.id, "Answer: 0")
            stop = Stop.LIMIT if text.endswith("…") else Stop.ENDED
            tokens = encode(text) if stop is Stop.LIMIT else (*encode(text), END)
            yield Completion(request.id, Segment(tokens, (0.0,) * len(tokens), self.version, stop))


CONFIG = WarmupConfig(variants=("plan", "check"), samples=2, shots=1, per_problem=9)


def build(
    engine: Writer,
    grader: GradingPool,
    problems: Sequence[Problem] = (EGGS, CARS),
    config: WarmupConfig = CONFIG,
    **options: object,
) -> WarmupSet:
    prompts = WarmupPrompts(load_examples(), config.variants, config.shots, "answer_line")
    return build_demonstrations(
        engine, grader, problems, prompts, render, decode, config, answer_form="answer_line", **options
    )


def reasons(built: WarmupSet) -> dict[str, Rejection]:
    return {rejected.response.name: rejected.reason for rejected in built.rejected}


def test_each_problem_is_asked_in_every_variant_with_streams_of_its_own(grader: GradingPool) -> None:
    engine, seen = Writer(), []
    built = build(engine, grader, progress=lambda *place: seen.append(place), seed=3)
    assert [request.id for request in engine.asked] == [
        f"{problem}/{variant}/{sample}"
        for problem in ("eggs", "cars") for variant in ("plan", "check") for sample in (0, 1)
    ]  # fmt: skip
    assert len({request.seed for request in engine.asked}) == 8
    assert {request.temperature for request in engine.asked} == {CONFIG.temperature}
    assert engine.asked[0].prompt_tokens == engine.asked[1].prompt_tokens != engine.asked[2].prompt_tokens
    assert seen == [(n, 8) for n in range(1, 9)]
    assert built.counts.asked == 8 and built.counts.kept == 0
    assert built.counts.dropped[Rejection.WRONG] == 8
    again = Writer()
    build(again, grader, problems=(CARS,), seed=3)
    assert {r.id: r.seed for r in again.asked}.items() <= {r.id: r.seed for r in engine.asked}.items()


def test_what_is_kept_pairs_the_plain_problem_with_the_response(grader: GradingPool) -> None:
    built = build(Writer({"eggs/plan/1": f"\n{PLANNED}  ", "eggs/check/0": CHECKED}), grader)
    (first, second) = sorted(built.kept, key=lambda kept: kept.name, reverse=True)
    assert (first.name, first.variant, first.sample) == ("eggs/plan/1", "plan", 1)
    assert first.demonstration.problem is EGGS and first.demonstration.response == PLANNED
    assert first.behaviours == {Behaviour.PLANNING} and second.behaviours == {Behaviour.EVALUATION}
    assert first.tokens == len(PLANNED) + 4
    assert built.counts.kept == 2


def test_every_reason_to_drop_a_response(grader: GradingPool) -> None:
    unreadable = replace(EGGS, id="unreadable", answer="")
    example = WarmupPrompts(load_examples(), ("plan",), 1, "answer_line").examples(EGGS, "plan")[0]
    texts = {
        "eggs/plan/0": "30 + 12 = 41.\nAnswer: 41",
        "eggs/plan/1": PLANNED + "…",
        "eggs/plan/2": PLANNED.replace("30 + 12 = 42", "30 + 12 = 44"),
        "eggs/plan/3": PLANNED + "\nQuestion: Mia has 3 cats.",
        "eggs/plan/4": f"{example.question}\n{PLANNED}",
        "eggs/plan/5": "Ann has 50 cars. Ann sells some.\n" + PLANNED,
        "eggs/plan/6": "30 + 12 = 42.\nAnswer: 42",
        "eggs/plan/7": PLANNED,
        "eggs/plan/8": PLANNED + " ",
        "unreadable/plan/0": PLANNED,
    }
    config = CONFIG.model_copy(update={"variants": ("plan",), "samples": 9})
    built = build(Writer(texts), grader, (EGGS, CARS, unreadable), config)
    found = reasons(built)
    assert [found.get(f"eggs/plan/{n}") for n in range(9)] == [
        Rejection.WRONG, Rejection.CUT, Rejection.FALSE_STEP, Rejection.NEXT_QUESTION, Rejection.LEAKED,
        Rejection.LEAKED, Rejection.FEW_BEHAVIOURS, None, Rejection.DUPLICATE,
    ]  # fmt: skip
    assert found["unreadable/plan/0"] is Rejection.UNGRADABLE
    details = {rejected.response.name: rejected.detail for rejected in built.rejected}
    assert details["eggs/plan/0"] == "41"
    assert details["eggs/plan/2"] == "30 + 12 = 44"
    assert details["eggs/plan/8"] == "eggs/plan/7"
    assert sum(built.counts.dropped.values()) + built.counts.kept == built.counts.asked == 27


def test_caps_of_a_problem_and_of_all(grader: GradingPool) -> None:
    other = CARS.messages[0].content
    texts = {
        "eggs/plan/0": PLANNED,
        "eggs/check/0": CHECKED,
        "eggs/check/1": "30 + 12 = 42.\nAnother way: 10 + 30 = 40 and 40 + 2 = 42.\nAnswer: 42",
        "cars/plan/0": f"{other}\nPlan: take the 15 cars that are sold away from 50.\n50 - 15 = 35.\nAnswer: 35",
    }
    built = build(Writer(texts), grader, config=CONFIG.model_copy(update={"per_problem": 2}))
    assert Counter(kept.problem.id for kept in built.kept) == {"eggs": 2, "cars": 1}
    assert built.counts.dropped[Rejection.OVER_PER_PROBLEM] == 1
    built = build(Writer(texts), grader, config=CONFIG.model_copy(update={"count": 3}))
    assert Counter(b for kept in built.kept for b in kept.behaviours) == {
        Behaviour.PLANNING: 1, Behaviour.EVALUATION: 1, Behaviour.EXPLORATION: 1,
    }  # fmt: skip
    assert list(reasons(built).values()).count(Rejection.OVER_COUNT) == 1


def test_a_build_that_was_stopped_asks_for_the_rest_alone(grader: GradingPool) -> None:
    texts = {"eggs/plan/0": PLANNED, "eggs/check/1": CHECKED}
    kept: dict[str, Segment] = {}
    whole = build(Writer(texts), grader, keep=kept.__setitem__)
    assert len(kept) == 8
    known = {name: segment for name, segment in kept.items() if name.startswith("eggs")}
    engine, more = Writer(texts), dict[str, Segment]()
    assert build(engine, grader, known=known, keep=more.__setitem__) == whole
    assert {request.id for request in engine.asked} == set(more) == set(kept) - set(known)


class Forgetful(Writer):
    """Leaves its last request without an answer."""

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        yield from super().generate(requests[:-1])


def test_an_engine_that_leaves_one_out_is_told(grader: GradingPool) -> None:
    with pytest.raises(EngineError, match=r"no finished response to 1 of 8 .*'cars/check/1'"):
        build(Forgetful(), grader)


def test_the_files(grader: GradingPool, tmp_path: Path) -> None:
    built = build(Writer({"eggs/plan/1": PLANNED, "eggs/check/0": CHECKED.replace("as at", "\udcff as at")}), grader)
    write_messages(tmp_path / "a" / "demonstrations.jsonl", built.kept)
    write_rejected(tmp_path / "a" / "rejected.jsonl", built.rejected)
    lines = [json.loads(line) for line in (tmp_path / "a" / "demonstrations.jsonl").read_text().splitlines()]
    planned = next(line for line in lines if line["variant"] == "plan")
    assert planned == {
        "messages": [
            {"role": "user", "content": EGGS.messages[0].content},
            {"role": "assistant", "content": PLANNED},
        ],
        "answer": "42",
        "reward": "math",
        "problem": "eggs",
        "variant": "plan",
        "behaviours": ["planning"],
        "sample": 1,
        "tokens": len(PLANNED) + 1,
    }
    loaded = load_demonstrations(tmp_path / "a" / "demonstrations.jsonl")
    assert PLANNED in [shown.response for shown in loaded]
    assert {(shown.problem.messages, shown.problem.answer, shown.problem.reward) for shown in loaded} == {
        (EGGS.messages, "42", "math")
    }
    rejected = [json.loads(line) for line in (tmp_path / "a" / "rejected.jsonl").read_text().splitlines()]
    assert Counter(line["reason"] for line in rejected) == {"wrong": 6}
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="make room"):
        write_messages(tmp_path / "file" / "demonstrations.jsonl", built.kept)


def test_the_figures(grader: GradingPool) -> None:
    texts = {"eggs/plan/0": PLANNED, "eggs/plan/1": "Answer: 42", "eggs/check/0": CHECKED}
    summary = summarize_warmup(build(Writer(texts), grader))
    assert (summary["asked"], summary["right"], summary["kept"]) == (8, 3, 2)
    assert summary["dropped"]["wrong"] == 5 and summary["dropped"]["few_behaviours"] == 1
    assert summary["behaviours"]["kept"] == {"planning": 1, "evaluation": 1, "reflection": 0, "exploration": 0}
    assert summary["variants"]["plan"]["right"] == 2 and summary["variants"]["plan"]["yield"] == 0.25
    assert json.loads(json.dumps(summary)) == summary


def test_nothing_asked_is_nothing_kept(grader: GradingPool) -> None:
    built = build(Writer(), grader, problems=())
    assert built == WarmupSet((), ())
    assert summarize_warmup(built)["mean_tokens"] is None
