"""Asking several times, with a cache that spares what was asked before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from skilled import SkilledEngine, decode, render

from perilune.curation.asking import Ask, Asker, Settings, pass_rate, rewards_key, rights
from perilune.curation.sample_cache import SampleCache
from perilune.errors import EngineError, NothingGraded, RunFolderError
from perilune.rewards.pool import GradingPool
from perilune.types import Completion, Message, Problem, Request, Segment, Verdict

SKILLS = {"always": ("1", 1.0), "never": ("2", 0.0), "half": ("3", 0.5)}
PROBLEMS = [Problem(name, (Message("user", name),), answer) for name, (answer, _) in SKILLS.items()]
TEN = Settings(samples=10, temperature=1.0, max_response_tokens=40)


def asks(problems: list[Problem] = PROBLEMS) -> list[Ask]:
    return [Ask(problem, render(problem)) for problem in problems]


def quiet(done: int, total: int) -> None:
    pass


class Lab:
    def __init__(self, folder: Path, grader: GradingPool) -> None:
        self.folder, self.grader, self.engine = folder, grader, SkilledEngine(SKILLS)

    def asker(self, **changes: object) -> Asker:
        cache = SampleCache(self.folder / "samples.sqlite")
        asker = Asker(self.engine, self.grader, decode, cache, "model", "judge", seed=0)
        return replace(asker, **changes)  # type: ignore[arg-type]


@pytest.fixture
def lab(tmp_path: Path, grader: GradingPool) -> Lab:
    return Lab(tmp_path, grader)


def test_every_problem_gets_all_its_answers_graded(lab: Lab) -> None:
    told: list[tuple[int, int]] = []
    found = lab.asker().ask(asks(), TEN, lambda *p: told.append(p))
    assert {name: len(given) for name, given in found.items()} == {"always": 10, "never": 10, "half": 10}
    assert (pass_rate(found["always"]), pass_rate(found["never"])) == (1.0, 0.0)
    assert 0 < rights(found["half"]) < 10
    assert told[0] == (0, 30) and told[-1] == (30, 30)
    assert len({request.seed for request in lab.engine.asked}) == 30


def test_nothing_is_asked_twice(lab: Lab) -> None:
    first = lab.asker().ask(asks(), TEN, quiet)
    again = lab.asker()
    assert again.ask(asks(), TEN, quiet) == first
    assert (again.spent.generated, again.spent.cached, len(lab.engine.asked)) == (0, 30, 30)


def test_more_samples_add_to_those_there_are(lab: Lab) -> None:
    first = lab.asker().ask(asks(), TEN, quiet)
    more = lab.asker().ask(asks(), replace(TEN, samples=14), quiet)
    assert all(more[name][:10] == given for name, given in first.items())
    assert len(lab.engine.asked) == 3 * 14


@pytest.mark.parametrize(
    "change", [{"model": "another"}, {"seed": 1}, {"settings": replace(TEN, temperature=0.7)}], ids=str
)
def test_another_model_seed_or_setting_is_another_sample(lab: Lab, change: dict[str, object]) -> None:
    lab.asker().ask(asks(), TEN, quiet)
    settings = change.pop("settings", TEN)
    lab.asker(**change).ask(asks(), settings, quiet)  # type: ignore[arg-type]
    assert len(lab.engine.asked) == 60


def test_another_reference_is_another_grade_of_the_same_answers(lab: Lab) -> None:
    lab.asker().ask(asks(), TEN, quiet)
    moved = [replace(problem, answer="1") for problem in PROBLEMS]
    found = lab.asker().ask(asks(moved), TEN, quiet)
    assert {name: rights(given) for name, given in found.items()} == {"always": 10, "never": 0, "half": 0}
    assert len(lab.engine.asked) == 30


class StoppedEngine(SkilledEngine):
    """Is interrupted after seven answers."""

    def generate(self, requests: list[Request]) -> Iterator[Completion]:  # type: ignore[override]
        for number, completion in enumerate(super().generate(requests)):
            if number == 7:
                raise KeyboardInterrupt
            yield completion


def test_what_was_answered_before_an_interruption_is_kept(lab: Lab) -> None:
    whole = Lab(lab.folder / "whole", lab.grader)
    expected = whole.asker().ask(asks(), TEN, quiet)
    stopped = StoppedEngine(SKILLS)
    with pytest.raises(KeyboardInterrupt):
        lab.asker(engine=stopped).ask(asks(), TEN, quiet)
    lab.grader.drain()
    assert lab.asker().ask(asks(), TEN, quiet) == expected
    assert len(lab.engine.asked) == 23


def test_an_error_is_neither_right_nor_wrong_nor_kept(lab: Lab) -> None:
    # A reference without mathematics in it is an error of the reward, each time it is tried.
    broken = Problem("always", (Message("user", "always"),), "")
    found = lab.asker().ask(asks([broken, PROBLEMS[1]]), TEN, quiet)
    assert {answer.grade.verdict for answer in found["always"]} == {Verdict.ERROR}
    assert pass_rate(found["always"]) is None and rights(found["always"]) == 0
    cache = SampleCache(lab.folder / "samples.sqlite")
    assert cache._db.execute("SELECT COUNT(*) FROM grades").fetchone() == (10,)
    cache.close()


def test_where_nothing_can_be_graded_it_ends_and_the_answers_are_kept(lab: Lab) -> None:
    broken = Problem("always", (Message("user", "always"),), "")
    with pytest.raises(NothingGraded, match="all 10 gradings ended in errors"):
        lab.asker().ask(asks([broken]), TEN, quiet)
    again = lab.asker()
    assert pass_rate(again.ask(asks([replace(broken, answer="1")]), TEN, quiet)["always"]) == 1.0
    assert again.spent.generated == 0


def test_a_grade_is_of_the_row_that_a_reward_of_ones_own_saw(lab: Lab) -> None:
    # The reward math sees no columns; what matters is that another row is graded anew.
    for row, graded in (("", 10), ('{"level": 1}', 20), ('{"level": 2}', 30), ('{"level": 2}', 30)):
        lab.asker().ask(asks([replace(PROBLEMS[0], row=row)]), TEN, quiet)
        cache = SampleCache(lab.folder / "samples.sqlite")
        assert cache._db.execute("SELECT COUNT(*) FROM grades").fetchone() == (graded,)
        cache.close()


class ForgetfulEngine(SkilledEngine):
    def generate(self, requests: list[Request]) -> Iterator[Completion]:  # type: ignore[override]
        yield from list(super().generate(requests))[1:]


def test_an_engine_that_leaves_one_out_is_an_error(lab: Lab) -> None:
    with pytest.raises(EngineError, match="left 1 of 3 problems without all their answers"):
        lab.asker(engine=ForgetfulEngine(SKILLS)).ask(asks(), TEN, quiet)


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "samples.sqlite"
    path.write_text("not a database, but long enough to be taken for something else" * 40, encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"cannot use the sample cache .*samples\.sqlite"):
        SampleCache(path)


def test_a_segment_survives_the_file(tmp_path: Path) -> None:
    cache = SampleCache(tmp_path / "deep" / "samples.sqlite")
    from perilune.types import Stop

    segment = Segment((1, 70_000), (-0.1, -2.5), 0, Stop.LIMIT)
    cache.keep_sample("key", 3, segment)
    cache.keep_score("key", {"a": -1.5})
    cache.close()
    again = SampleCache(tmp_path / "deep" / "samples.sqlite")
    assert again.samples("key", 4) == {3: segment} and again.samples("key", 3) == {}
    assert again.score("key") == {"a": -1.5} and again.score("other") is None
    again.close()


def test_what_does_not_change_a_grade_is_not_in_its_name() -> None:
    one = rewards_key({"answer_form": "any", "workers": 1, "timeout_seconds": 5})
    assert one == rewards_key({"answer_form": "any", "workers": 4, "timeout_seconds": 60})
    assert one != rewards_key({"answer_form": "boxed", "workers": 1, "timeout_seconds": 5})
