import pytest
from curations import counts, dropped, problem, write_curation

from perilune.curation.fates import Reason
from perilune.errors import RunFolderError
from perilune.recipe.curation import CurationConfig
from perilune.report.curation_data import Running, read_curation
from perilune.report.curation_words import REASONS, SETTINGS, STEPS


def test_a_finished_curation_is_read_whole(tmp_path):
    data = read_curation(write_curation(tmp_path))
    assert (data.name, data.model, data.finished, data.entered, data.kept) == ("demo", "a-model", True, 1000, 600)
    assert data.steps[0].reasons == (("multiple_choice", 60), ("proof", 10))
    assert [step.dropped for step in data.steps] == [70, 30, 100, 200]
    assert data.difficulty.samples == 4 and data.difficulty.after == (100, 200, 200, 100, 0)
    assert dict(data.difficulty.bands.before)["trivial"] == 200
    assert data.guess.attempts == 2 and data.guess.hits == (800, 70, 30)
    assert data.contamination_sets == (("heldout", 240),)
    assert len(data.problems) == 20 and data.problems[1].band == "hard" and data.problems[1].pass_rate == 0.25
    assert len(data.dropped) == 90 and data.dropped[-1].match_question == "How much is 3 plus 1?"


def test_the_run_folder_does_as_well(tmp_path):
    folder = write_curation(tmp_path)
    assert read_curation(tmp_path) == read_curation(folder)
    assert read_curation(tmp_path).folder == folder


def test_messages_become_one_text(tmp_path):
    one = [{"role": "user", "content": "Why?"}]
    two = [{"role": "system", "content": "Be brief."}, *one]
    data = read_curation(write_curation(tmp_path, kept=[problem(1, question=one), problem(2, question=two)]))
    assert [found.question for found in data.problems] == ["Why?", "system: Be brief.\n\nuser: Why?"]


def test_an_unfinished_curation_is_read_as_far_as_it_is(tmp_path):
    running = {"name": "difficulty", "done": 120, "total": 400}
    folder = write_curation(tmp_path, {"name": "demo", "finished": False, "steps": [], "running": running})
    (folder / "problems.jsonl").unlink()
    with (folder / "dropped.jsonl").open("a") as file:
        file.write('{"id": "p/7", "question": "Half a li')
    data = read_curation(folder)
    assert data.running == Running("difficulty", 120, 400) and not data.finished
    assert (data.entered, data.kept, data.problems, len(data.dropped)) == (0, 0, (), 90)
    assert data.difficulty is data.guess is None and data.tags.before == ()


@pytest.mark.parametrize("value", [None, [], 3, "text"])
def test_missing_and_strange_parts_are_empty(tmp_path, value):
    keys = ("steps", "tags", "difficulty", "guess", "contamination_sets", "running", "model")
    folder = write_curation(tmp_path, dict.fromkeys(keys, value), kept=[], gone=[dropped(1, None, value)])
    data = read_curation(folder)
    assert data.steps == () and data.difficulty is None and data.guess is None and data.running is None
    assert data.name == tmp_path.name


def test_a_histogram_that_is_too_short_is_filled(tmp_path):
    found = counts() | {"difficulty": {"before": [3, 2, 1], "after": None}}
    difficulty = read_curation(write_curation(tmp_path, found)).difficulty
    assert (difficulty.samples, difficulty.after, difficulty.bands.before) == (2, (0, 0, 0), ())


def test_a_folder_of_no_curation_is_told(tmp_path):
    with pytest.raises(RunFolderError, match="is no curation folder"):
        read_curation(tmp_path)


@pytest.mark.parametrize("text", ['{"name": "dem', "[]"])
def test_a_damaged_file_is_told(tmp_path, text):
    (tmp_path / "curation.json").write_text(text)
    with pytest.raises(RunFolderError, match="is damaged"):
        read_curation(tmp_path)


def test_every_step_and_reason_has_its_words():
    steps = CurationConfig().steps
    assert set(STEPS) == set(SETTINGS) == set(steps)
    assert set(REASONS) == {reason.value for reason in Reason}


def test_lone_surrogates_are_read(tmp_path):
    folder = write_curation(tmp_path, kept=[problem(1, question="lone \ud800")])
    assert read_curation(folder).problems[0].question == "lone \ud800"
