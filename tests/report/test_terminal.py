import io
import math
import os
import pty
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

from perilune.evaluation.scoring import summarize
from perilune.report.terminal import Display, iteration_line
from perilune.types import Grade, Message, Problem, ScoredResponse, Stop, Verdict

METRICS = {
    "reward_mean": 0.4567,
    "solve_rate": 0.5,
    "response_tokens_mean": 87.4,
    "entropy": 0.61,
    "stop_ended": 0.9,
    "stop_repeated": 0.04,
    "stop_limit": 0.06,
    "stop_cut": 0.2,
    "mismatch_mean": 0.00123,
    "seconds_rollout": 12.34,
    "seconds_train": 8.0,
}


def summary():
    problem = Problem("p", (Message("user", "?"),), "1")
    grade = Grade(Verdict.RIGHT, 1.0)
    return summarize([ScoredResponse(problem, "t", 10, Stop.ENDED, grade, sample) for sample in range(3)])


def test_an_iteration_is_one_line_and_what_is_missing_is_a_dash():
    line = iteration_line(3, 10, {**METRICS, "kl_to_reference": math.nan})
    assert line == (
        "iteration  3/10 | reward 0.457 | solved 50% | tokens 87 | entropy 0.61 | "
        "ended 90% repeated 4% limit 6% cut 20% | mismatch 0.0012 | KL – | rollout 12.3 s train 8.0 s"
    )


def test_what_went_wrong_in_an_iteration_is_on_its_line():
    fine = iteration_line(3, 10, {**METRICS, "grade_errors": 0.0, "steps_skipped": 0.0})
    assert fine == iteration_line(3, 10, METRICS)
    assert " | NOT GRADABLE 2 | rollout" in iteration_line(3, 10, {**METRICS, "grade_errors": 2.0})
    assert " | STEPS SKIPPED 1 | rollout" in iteration_line(3, 10, {**METRICS, "steps_skipped": 1.0})


def test_without_a_terminal_there_are_plain_lines_however_long():
    stream, outcome = io.StringIO(), io.StringIO()
    with Display(stream=stream, outcome=outcome) as display:
        display.heading("Step 1 of 2: sft")
        display.note("[bold]not markup[/bold]")
        with display.task("evaluate base", 3) as progress:
            for done in range(1, 4):
                progress(done, 3)
        with display.phases(2) as phases:
            phases.advance("rollout", 1, 2)
            display.iteration(1, 2, METRICS)
        display.evaluation("base", summary())
        display.warn("look here")
        display.finish(
            {"accuracy": {"base": 0.025, "final": None}, "accuracy_interval": {"base": [0.01, 0.06]}, "tokens": {}},
            Path("runs/x/report.html"),
        )
    lines = stream.getvalue().splitlines()
    assert lines == [
        "Step 1 of 2: sft",
        "[bold]not markup[/bold]",
        "2 iterations in all",
        iteration_line(1, 2, METRICS),
        "base: accuracy 100.0% (95 %: 21% to 100%, 1 problems, greedy), 10 tokens a response, sampled 100.0%, "
        "pass@2 100.0%",
        "warning: look here",
    ]
    assert outcome.getvalue().splitlines() == [
        "base       2.5%  (95 %: 1% to 6%)",
        "final         –",
        "report: runs/x/report.html",
    ]


def test_quiet_shows_warnings_and_the_outcome_alone():
    stream, outcome = io.StringIO(), io.StringIO()
    with Display(quiet=True, stream=stream, outcome=outcome) as display:
        display.heading("heading")
        display.note("note")
        display.iteration(1, 2, METRICS)
        display.evaluation("base", summary())
        with display.task("t", 1) as progress, display.phases(1) as phases:
            progress(1, 1)
            phases.advance("rollout", 1, 1)
        display.warn("look here")
        display.finish({}, Path("report.html"))
    assert stream.getvalue() == "warning: look here\n"
    assert outcome.getvalue() == "report: report.html\n"


def test_control_characters_of_quoted_text_do_not_reach_the_terminal():
    stream = io.StringIO()
    with Display(stream=stream) as display:
        display.note("evil \x1b[2J\x9b1m text\r")
        display.warn("evil \x1b]0;title\x07")
    assert not set(stream.getvalue()) & {"\x1b", "\x9b", "\x07", "\r"}


def test_notes_come_whole_from_many_threads():
    stream = io.StringIO()
    with Display(stream=stream) as display:
        threads = [
            threading.Thread(target=lambda n=n: [display.note(f"note {n} of a thread") for _ in range(50)])
            for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(set(stream.getvalue().splitlines())) == [f"note {n} of a thread" for n in range(4)]


PROGRAM = textwrap.dedent(
    """
    import time
    from perilune.report.terminal import Display
    with Display() as display:
        display.heading("a heading")
        with display.phases(2) as phases:
            phases.advance("rollout", 1, 2)
            phases.advance("rollout", 2, 2)
            phases.advance("train", 1, 1)
            with display.task("evaluate iteration-1", 5) as progress:
                progress(3, 5)
                time.sleep(0.5)  # bars are drawn ten times a second
                display.note("between")
    """
)


def run_on_terminal(environment):
    """What the program writes to standard error when that is a terminal."""
    main, side = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=side, env={**os.environ, **environment}) as process:
        os.close(side)
        written = b""
        try:
            while data := os.read(main, 65536):
                written += data
        except OSError:
            pass  # the terminal's other side is closed
    os.close(main)
    assert process.returncode == 0
    return written.decode()


def test_on_a_terminal_there_are_bars_and_nested_tasks():
    written = run_on_terminal({"TERM": "xterm", "COLUMNS": "100", "NO_COLOR": ""})
    assert "\x1b[" in written
    for word in ("a heading", "rollout", "train", "evaluate iteration-1", "3/5", "between"):
        assert word in written


def test_no_color_is_honoured_on_a_terminal():
    coloured = "\x1b[38;5;"
    assert coloured in run_on_terminal({"TERM": "xterm-256color", "COLUMNS": "100", "NO_COLOR": ""})
    assert coloured not in run_on_terminal({"TERM": "xterm-256color", "COLUMNS": "100", "NO_COLOR": "1"})


def test_a_dumb_terminal_gets_no_bars():
    assert "\x1b[" not in run_on_terminal({"TERM": "dumb"})


def test_forced_colour_does_not_reach_a_pipe():
    environment = {**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, env=environment)
    assert done.stderr.decode().splitlines() == ["a heading", "2 iterations in all", "between"]
