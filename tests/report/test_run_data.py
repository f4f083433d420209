import json

import pytest

from perilune.errors import RunFolderError
from perilune.report.run_data import read_run
from perilune.run.metrics import MetricsLog


def test_a_finished_run(make_run):
    run = read_run(make_run())
    assert run.name == "quickstart" and run.finished
    assert [e["step"] for e in run.iterations] == list(range(10)) and run.planned_iterations == 10
    assert [e.name for e in run.evaluations] == ["base", "warmup", "iteration-5", "final"]
    assert list(run.stages) == ["base", "warmup", "final"]
    assert run.seconds == {"setup": 6.0, "sft": 130.0, "rollout": 150.0, "train": 165.0}
    assert len(run.samples) == 40


def test_what_an_interrupted_run_wrote_twice_counts_as_last_written(make_run):
    folder = make_run(stages=("rl",), iterations=3, planned=5)
    before = read_run(folder)
    assert not before.finished
    samples = (folder / "samples.jsonl").read_text()
    with (folder / "samples.jsonl").open("a") as file:
        file.write(samples.splitlines()[-1] + "\n")
    with MetricsLog(folder) as log:
        log.write("iteration", 2, {"reward_mean": 0.125, "seconds_rollout": 1.0})
        log.write("evaluation", 0, {"name": "base", "summary": {"accuracy": 0.5}})
    run = read_run(folder)
    assert [e["step"] for e in run.iterations] == [0, 1, 2]
    assert run.iterations[-1]["reward_mean"] == 0.125
    assert run.stages["base"].summary == {"accuracy": 0.5}
    assert len(run.samples) == len(before.samples)


def test_time_comes_from_the_iterations_until_a_session_has_ended(make_run):
    folder = make_run(stages=("rl",), iterations=3, planned=5)
    expected = sum(e["seconds_train"] for e in read_run(folder).iterations)
    assert read_run(folder).seconds["train"] == pytest.approx(expected)
    with MetricsLog(folder) as log:
        for _ in range(2):
            log.write("seconds", 0, {"phases": {"train": 4.0}})
    assert read_run(folder).seconds == {"train": 8.0}


def test_a_run_of_the_warm_up_alone_is_finished_after_it(make_run):
    run = read_run(make_run(stages=("sft",)))
    assert run.finished and run.planned_iterations == 0 and len(run.sft_steps) == 40


def test_lines_that_are_not_whole_are_passed_over(make_run):
    folder = make_run(iterations=1)
    with (folder / "samples.jsonl").open("a") as file:
        file.write('{"iteration": 0, "prob\n[1, 2]\n' + json.dumps({"iteration": "x"}) + "\n")
    assert len(read_run(folder).samples) == 4


def test_a_folder_of_no_run_is_told(tmp_path):
    with pytest.raises(RunFolderError, match="is no run folder"):
        read_run(tmp_path)
    with pytest.raises(RunFolderError, match="is no run folder"):
        read_run(tmp_path / "missing")
