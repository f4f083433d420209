import pytest
from drawings import check, told

from perilune.report.run_charts import heldout_chart, rl_figures, sft_figures, thinning_note
from perilune.report.run_data import Evaluation, read_run
from perilune.run.metrics import MetricsLog


def test_a_whole_run_has_every_figure(make_run):
    run = read_run(make_run())
    assert [figure.title for figure in rl_figures(run)] == [
        "Reward",
        "Solve rate",
        "Held-out accuracy",
        "Response length",
        "Entropy",
        "Trainer and engine",
        "KL to the reference",
        "Loss",
        "Gradient norm",
        "Why responses stopped",
        "Segments cut",
        "Policy versions per response",
        "Time per phase",
        "Groups",
        "Grading errors",
        "Rollout speed",
    ]
    assert [figure.title for figure in sft_figures(run)] == ["SFT loss", "Learning rate"]
    for figure in (*rl_figures(run), *sft_figures(run)):
        check(figure.chart)
    assert thinning_note(run) == ""


def test_figures_without_data_are_left_out(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.write("iteration", 0, {"reward_mean": 0.5, "loss": float("nan")})
    assert [figure.title for figure in rl_figures(read_run(tmp_path))] == ["Reward"]
    assert sft_figures(read_run(tmp_path)) == []


def test_iterations_are_counted_from_one_and_values_are_those_of_the_file(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.write("iteration", 0, {"reward_mean": 0.25})
        log.write("iteration", 1, {"reward_mean": 0.5})
    (figure,) = rl_figures(read_run(tmp_path))
    assert told(figure.chart) == (["iteration 1", "iteration 2"], {"reward": ["0.25", "0.5"]})


def test_draws_are_shown_by_band_or_else_by_difficulty(tmp_path):
    with MetricsLog(tmp_path / "bands") as log:
        log.write("iteration", 0, {"drawn_easy": 6.0, "drawn_medium": 2.0, "drawn_hard": 0.0, "drawn_difficulty": 1.5})
        log.write("iteration", 1, {"drawn_easy": 0.0, "drawn_medium": 3.0, "drawn_hard": 5.0, "drawn_difficulty": 2.5})
    (figure,) = rl_figures(read_run(tmp_path / "bands"))
    rows = list(told(figure.chart)[1].items())
    assert (figure.title, rows) == (
        "Problems drawn",
        [("easy", ["6", "0"]), ("medium", ["2", "3"]), ("hard", ["0", "5"])],
    )
    with MetricsLog(tmp_path / "none") as log:
        log.write("iteration", 0, {"drawn_difficulty": 1.5})
    (figure,) = rl_figures(read_run(tmp_path / "none"))
    assert told(figure.chart)[1] == {"difficulty": ["1.5"]}


def test_phases_of_any_name_are_in_the_bars(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.write("iteration", 0, {"seconds_own": 1.0, "seconds_train": 2.0, "seconds_grade_wait": 3.0})
    (figure,) = rl_figures(read_run(tmp_path))
    assert list(told(figure.chart)[1]) == ["train", "grade wait", "own"]


def test_memory_is_shown_where_trainer_and_engine_take_turns(tmp_path):
    with MetricsLog(tmp_path) as log:
        phases = ("offload", "start", "transfer", "rollout", "stop", "onload")
        log.write("iteration", 0, {f"memory_gb_{phase}": float(n) for n, phase in enumerate(phases)})
    (figure,) = rl_figures(read_run(tmp_path))
    assert figure.title == "Memory as trainer and engine take turns"
    _, rows = told(figure.chart)
    assert list(rows)[::5] == ["trainer gave way", "trainer back"]
    assert list(rows.values()) == [["0"], ["1"], ["2"], ["3"], ["4"], ["5"]]


def test_tokens_too_far_apart_are_shown_where_there_are_any(tmp_path):
    for name, values in (("none", {"mismatch_beyond": 0.0}), ("some", {"mismatch_beyond": 0.25, "corrected": 0.5})):
        with MetricsLog(tmp_path / name) as log:
            log.write("iteration", 0, values)
    assert rl_figures(read_run(tmp_path / "none")) == []
    (figure,) = rl_figures(read_run(tmp_path / "some"))
    assert told(figure.chart)[1] == {"beyond the cap": ["25%"], "corrected": ["50%"]}


def evaluation(name, step, accuracy):
    return Evaluation(name, step, {"accuracy": accuracy, "accuracy_interval": [0.0, 1.0]})


def test_the_base_model_is_apart_after_a_warm_up_and_is_the_policy_without():
    warmed = [evaluation("base", 0, 0.1), evaluation("warmup", 0, 0.4), evaluation("final", 9, 0.6)]
    _, rows = told(heldout_chart(warmed))
    assert [(name, [v and v.split()[0] for v in values]) for name, values in rows.items()] == [
        ("policy", ["40%", "60%"]),
        ("base model", ["10%", None]),
    ]
    ((_, values),) = told(heldout_chart([warmed[0], warmed[2]]))[1].items()
    assert [v.split()[0] for v in values] == ["10%", "60%"]
    assert heldout_chart([evaluation("final", 9, None)]) is None


@pytest.mark.parametrize(("iterations", "points"), [(200, 200), (201, 101), (1000, 200)])
def test_long_runs_are_thinned_to_means_that_end_at_the_last_iteration(tmp_path, iterations, points):
    with MetricsLog(tmp_path) as log:
        for number in range(iterations):
            log.write("iteration", number, {"reward_mean": float(number)})
    run = read_run(tmp_path)
    heads, rows = told(rl_figures(run)[0].chart)
    assert len(heads) == points
    assert heads[-1] == f"iteration {iterations}"
    size = -(-iterations // 200)
    assert float(rows["reward"][0]) == pytest.approx((size - 1) / 2)
    assert f"mean of {-(-iterations // 60)} iterations" in thinning_note(run)
