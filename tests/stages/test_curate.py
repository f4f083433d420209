"""Curation as a user runs it: a planted pile whose truth is known, through the whole stage."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from perilune.algorithm.streams import uniforms
from perilune.backends.trainers.torch_trainer import TorchTrainer
from perilune.data.chat import render_demonstration
from perilune.errors import PeriluneError, ProblemsError
from perilune.protocols import Trainer
from perilune.recipe.recipe import Recipe, load_recipe, recipe_toml
from perilune.recipe.training import TrainerConfig
from perilune.run.jsonl import read_objects
from perilune.stages.backends import Backends, Build
from perilune.stages.pipeline import run_pipeline
from perilune.types import Completion, Phase, Problem, Request, Segment, Stop

sys.path.insert(0, str(Path(__file__).parent.parent / "curation"))
from planted import Planted, PlantedModel, evaluation_set, planted, planted_model, precision_recall

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

END, TURN = 0, "\x1e"
KINDS = {"hopeless": "impossible", "no_answer": "proof"}
"""Reasons that go by another name than the planted kind that they are for."""


def render(problem: Problem) -> tuple[int, ...]:
    """Code points for tokens, a separator between the turns."""
    return tuple(map(ord, TURN.join(message.content for message in problem.messages)))


def decode(tokens: Sequence[int]) -> str:
    return "".join(chr(token) for token in tokens if token != END)


class PlantedEngine:
    """Answers each planted problem with the skill that was planted, and guesses where examples come before it.

    What it says depends on a request's seed alone. Implements the engine's protocol, workers included.
    """

    def __init__(self, mixture: Sequence[Planted], model: PlantedModel) -> None:
        self.version = 0
        self.asked: list[str] = []
        self.stop_after: int | None = None
        self._owner = {item.problem.messages[0].content: item.problem for item in mixture}
        self._model = model

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]], version: int) -> None:
        self.version = version

    @contextmanager
    def serving(self, trainer: Trainer) -> Iterator[PlantedEngine]:
        yield self

    def take_phases(self) -> tuple[Phase, ...]:
        return ()

    def close(self) -> None:
        pass

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        for request in requests:
            if self.stop_after is not None and len(self.asked) >= self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(request.id)
            shots, _, question = decode(request.prompt_tokens).rpartition(TURN)
            text = self._answer(self._owner[question], guess=bool(shots), seed=request.seed)
            tokens = (*map(ord, text), END)
            yield Completion(request.id, Segment(tokens, (0.0,) * len(tokens), self.version, Stop.ENDED))

    def _answer(self, problem: Problem, *, guess: bool, seed: int) -> str:
        (drawn,) = uniforms(np.array([seed], dtype=np.uint64), np.zeros(1, dtype=np.uint64))
        if guess:
            choices = self._model.guesses[problem.id]
            return choices[int(drawn * len(choices))]
        right = drawn < self._model.skill[problem.id]
        return f"Let me think.\nAnswer: {problem.answer if right else '-77777'}"


class World:
    """A folder with a pile, a held-out set and a recipe, and the model that answers."""

    def __init__(
        self, folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, count: int, seed: int
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.mixture = planted(count, seed)
        self.engine = PlantedEngine(self.mixture, planted_model(self.mixture, seed))
        self.model, self.tokenizer, self.folder = model, tokenizer, folder
        write(folder / "pile.jsonl", [item.problem for item in self.mixture])
        write(folder / "held.jsonl", evaluation_set(seed))

    def recipe(self, **curation: Any) -> Recipe:
        fields = {"id": "id"}
        table = {
            "name": "planted",
            "output": str(self.folder / "runs"),
            "threads": 1,
            "stages": ["curate"],
            "model": {"name": "planted"},
            "problems": {
                "train": {"kind": "jsonl", "path": str(self.folder / "pile.jsonl"), "fields": fields},
                "heldout": {"kind": "jsonl", "path": str(self.folder / "held.jsonl"), "fields": fields},
            },
            "curation": {"tags": {"method": "rules"}, "difficulty": {"drop_hopeless": True}} | curation,
            "evaluation": {"base": False},
            "logging": {"tensorboard": False},
        }
        path = self.folder / "recipe.toml"
        path.write_text(recipe_toml(Recipe.model_validate(table)), encoding="utf-8")
        return load_recipe(path)

    @property
    def build(self) -> Build:
        def built(recipe: Recipe) -> Backends:
            return Backends(
                trainer=TorchTrainer(self.model, self.tokenizer, TrainerConfig(), torch.float32),
                workers=self.engine,
                render=render,
                render_demonstration=lambda shown: render_demonstration(shown, self.tokenizer),
                decode=decode,
                description="planted",
            )

        return built


def write(path: Path, problems: Sequence[Problem]) -> None:
    records = [{"id": p.id, "question": p.messages[0].content, "answer": p.answer} for p in problems]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


@pytest.fixture
def world(tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> World:
    return World(tmp_path, tiny_model, tiny_tokenizer, count=120, seed=5)


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_kinds_are_found(
    seed: int, tiny_model: PreTrainedModel, tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    world = World(tmp_path, tiny_model, tiny_tokenizer, count=1000, seed=seed)
    folder = run_pipeline(world.recipe(), world.build, quiet=True) / "curation"
    found = {row["id"]: KINDS.get(row["reason"], row["reason"]) for row in read_objects(folder / "dropped.jsonl")}
    kept = [row["id"] for row in read_objects(folder / "problems.jsonl")]
    assert sorted([*found, *kept]) == sorted(item.problem.id for item in world.mixture)
    truth = {item.problem.id: item.kind for item in world.mixture}
    measured = precision_recall(truth, found | dict.fromkeys(kept, "ordinary"))
    table = [f"{kind:16} precision {p:.3f} recall {r:.3f} of {n}" for kind, (p, r, n) in measured.items()]
    sys.stdout.write("\n".join(["", *table, ""]))
    wrong = [(n, k, found.get(n, "kept")) for n, k in truth.items() if k != found.get(n, "ordinary")]
    assert all(min(precision, recall) >= 0.95 for precision, recall, _ in measured.values()), [*table, *wrong[:12]]


def test_what_stays_is_graded_and_labelled_and_can_be_read_as_a_source(world: World) -> None:
    recipe = world.recipe()
    folder = run_pipeline(recipe, world.build, quiet=True) / "curation"
    rows = read_objects(folder / "problems.jsonl")
    assert rows and all(0 < row["pass_rate"] < 0.9 for row in rows)
    assert all(row["difficulty"] == pytest.approx(1 - row["pass_rate"]) for row in rows)
    assert {row["band"] for row in rows} == {"easy", "medium", "hard"}
    assert any(row["tags"][0].startswith("mathematics/") for row in rows if row["tags"])
    counts = json.loads((folder / "curation.json").read_text())
    assert counts["finished"] and [step["name"] for step in counts["steps"]] == list(recipe.curation.steps)
    assert sum(counts["difficulty"]["bands"]["after"].values()) == len(rows)
    assert "planted" in (folder / "report.html").read_text()
    fields = {name: name for name in ("id", "difficulty", "tags", "pass_rate")}
    source = recipe.problems.train.model_copy(
        update={
            "path": str(folder / "problems.jsonl"),
            "fields": recipe.problems.train.fields.model_copy(update=fields),
        }
    )
    from perilune.data.problems import load_problems

    again = load_problems(source, "train")
    assert [(p.id, p.pass_rate, p.tags) for p in again] == [(r["id"], r["pass_rate"], tuple(r["tags"])) for r in rows]


def test_a_curation_that_was_stopped_asks_nothing_twice(world: World) -> None:
    whole = World(world.folder / "whole", world.model, world.tokenizer, count=120, seed=5)
    expected = run_pipeline(whole.recipe(), whole.build, quiet=True) / "curation"
    recipe = world.recipe()
    for stop in (30, 300, 500):
        world.engine.stop_after = stop
        with pytest.raises(KeyboardInterrupt):
            run_pipeline(recipe, world.build, resume=True, quiet=True)
        assert not json.loads((recipe.run_folder / "curation" / "curation.json").read_text())["finished"]
    world.engine.stop_after = None
    folder = run_pipeline(recipe, world.build, resume=True, quiet=True) / "curation"
    assert sorted(world.engine.asked) == sorted(whole.engine.asked)
    for name in ("problems.jsonl", "dropped.jsonl"):
        assert (folder / name).read_bytes() == (expected / name).read_bytes()
    # And once it is over nothing is done again.
    asked = len(world.engine.asked)
    run_pipeline(recipe, world.build, resume=True, quiet=True)
    assert len(world.engine.asked) == asked


def test_another_run_takes_samples_from_a_shared_cache(world: World) -> None:
    cache = str(world.folder / "shared.sqlite")
    run_pipeline(world.recipe(cache=cache), world.build, quiet=True)
    asked = len(world.engine.asked)
    recipe = world.recipe(cache=cache).model_copy(update={"name": "again"})
    run_pipeline(recipe, world.build, quiet=True)
    assert len(world.engine.asked) == asked


def test_steps_can_be_chosen(world: World) -> None:
    folder = run_pipeline(world.recipe(steps=["forms", "balance"]), world.build, quiet=True) / "curation"
    assert not world.engine.asked
    reasons = {row["reason"] for row in read_objects(folder / "dropped.jsonl")}
    assert reasons == {"multiple_choice", "true_false", "proof"}


def test_a_balanced_set_says_what_it_gave_up(world: World) -> None:
    tags = {"method": "rules", "balance": "quota", "quota": 5}
    folder = run_pipeline(world.recipe(tags=tags), world.build, quiet=True) / "curation"
    gone = [row for row in read_objects(folder / "dropped.jsonl") if row["reason"] == "over_quota"]
    assert gone and "5 of" in gone[0]["detail"]
    after = json.loads((folder / "curation.json").read_text())["tags"]["after"]
    assert max(after.values()) == 5


def test_where_nothing_stays_it_says_who_took_it(world: World) -> None:
    proofs = [item.problem for item in world.mixture if item.kind in ("proof", "true_false")]
    write(world.folder / "pile.jsonl", proofs)
    with pytest.raises(ProblemsError, match=r"curation left none of \d+ problems; .*report\.html shows which step"):
        run_pipeline(world.recipe(), world.build, quiet=True)


def test_a_pile_without_any_answer_is_a_wrong_mapping(world: World) -> None:
    path = world.folder / "pile.jsonl"
    path.write_text('{"id": "a", "question": "What is 2 + 2?", "result": "4"}\n', encoding="utf-8")
    with pytest.raises(ProblemsError, match="no field 'answer'"):
        run_pipeline(world.recipe(), world.build, quiet=True)


@pytest.mark.parametrize(
    ("curation", "message"),
    [
        ({"tags": {"taxonomy": "nowhere.toml"}}, r"cannot read curation\.tags\.taxonomy nowhere\.toml"),
        (
            {"contamination": {"sets": [{"name": "aime", "kind": "jsonl", "path": "nowhere.jsonl"}]}},
            "no problem file at nowhere.jsonl",
        ),
    ],
)
def test_a_missing_file_is_told_before_anything_is_loaded(world: World, curation: dict[str, Any], message: str) -> None:
    def unbuilt(recipe: Recipe) -> Backends:
        raise AssertionError("loaded a model")

    recipe = world.recipe(**curation)
    with pytest.raises(PeriluneError, match=message):
        run_pipeline(recipe, unbuilt, quiet=True)
    assert not recipe.run_folder.exists()


def test_a_named_set_lists_its_matches(world: World) -> None:
    held = [item.problem for item in world.mixture if item.kind == "ordinary"][:3]
    write(world.folder / "other.jsonl", held)
    named = {"name": "other", "kind": "jsonl", "path": str(world.folder / "other.jsonl"), "fields": {"id": "id"}}
    recipe = world.recipe(contamination={"sets": [named]}, steps=["contamination"])
    folder = run_pipeline(recipe, world.build, quiet=True) / "curation"
    rows = {row["id"]: row for row in read_objects(folder / "dropped.jsonl")}
    for problem in held:
        row = rows[problem.id]
        assert (row["match"], row["match_question"]) == (f"other: {problem.id}", problem.messages[0].content)
