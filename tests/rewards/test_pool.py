import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from perilune.errors import RewardError
from perilune.recipe.rewards import RewardsConfig
from perilune.rewards.messages import decode_grade, decode_task, encode_grade, encode_task
from perilune.rewards.pool import GradingPool
from perilune.types import Grade, GradeRequest, Message, Problem, Stop, Verdict

OWN = textwrap.dedent(
    """
    import itertools, os, signal, subprocess, sys, time
    from pathlib import Path
    from perilune.types import Grade, Verdict

    RIGHT = Grade(Verdict.RIGHT, 1.0, "fine")

    def first_time(path):
        try:
            Path(path).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def hang(problem, response, stop):
        while True:
            pass

    def hang_with_the_lock(problem, response, stop):
        return 7 ** (7 ** 9)

    def hang_once(problem, response, stop):
        if first_time(problem.answer):
            time.sleep(1000)
        return RIGHT

    def exit(problem, response, stop):
        os._exit(3)

    def crash(problem, response, stop):
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(1000)

    def quit(problem, response, stop):
        sys.exit(4)

    def fail(problem, response, stop):
        raise RuntimeError(f"cannot judge {response}")

    def fail_once(problem, response, stop):
        if first_time(problem.answer):
            raise RuntimeError("not yet")
        return RIGHT

    def error(problem, response, stop):
        return Grade(Verdict.ERROR, 0.0, "judge asleep")

    def not_a_grade(problem, response, stop):
        return "right"

    def beyond(problem, response, stop):
        return Grade(Verdict.RIGHT, float("nan"))

    def modules(problem, response, stop):
        heavy = {"torch", "transformers", "vllm", "ray"} & set(sys.modules)
        return Grade(Verdict.WRONG, 0.0, ",".join(sorted(heavy)) or "none")

    def worker(problem, response, stop):
        print("noise on standard output")
        return Grade(Verdict.RIGHT, 1.0, f"{os.getpid()} {os.getsid(0)} {stop}")

    def stop_once(problem, response, stop):
        if first_time(problem.answer):
            os.kill(os.getpid(), signal.SIGSTOP)
        return RIGHT

    def kill(problem, response, stop):
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(1000)

    def devour(problem, response, stop):
        return [bytearray(1 << 20) for _ in range(1 << 20)]

    def wait(problem, response, stop):
        time.sleep(2)
        return RIGHT

    def spin(problem, response, stop):
        while True:
            pass

    def spin_and_catch(problem, response, stop):
        while True:
            try:
                spin(problem, response, stop)
            except BaseException:
                pass

    def spin_in_one_step(problem, response, stop):
        return any(itertools.repeat(0))

    def deep(problem, response, stop):
        return deep(problem, response, stop)

    kept = []

    def keep(problem, response, stop):
        kept.append(bytearray(40 << 20))
        return Grade(Verdict.RIGHT, 1.0, f"{os.getpid()} {len(kept)}")

    def write_to_the_pool(garbage):
        for name in os.listdir("/proc/self/fd"):
            try:
                if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                    os.write(int(name), garbage)
            except OSError:
                pass

    def garble_once(problem, response, stop):
        if first_time(problem.answer):
            write_to_the_pool(b'{"verdict": "right"}\\n')
        return RIGHT

    def flood(problem, response, stop):
        while True:
            write_to_the_pool(b"x" * 65536)

    def child(problem, response, stop):
        started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        Path(problem.answer).write_text(str(started.pid))
        time.sleep(1000)
    """
)
SLOW_TO_IMPORT = "import time; time.sleep(1.5)\nfrom own_rewards import worker\n"


@pytest.fixture
def own_rewards(tmp_path, monkeypatch):
    """A folder on the path with a user's own rewards; workers find it through the parent's sys.path."""
    (tmp_path / "own_rewards.py").write_text(OWN)
    (tmp_path / "slow_to_import.py").write_text(SLOW_TO_IMPORT)
    (tmp_path / "deadly_import.py").write_text("import os\nos._exit(9)\n")
    (tmp_path / "endless_import.py").write_text("import time\ntime.sleep(1000)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def request(name, reward="math", answer="18", response="Answer: 18"):
    return GradeRequest(name, Problem("p", (Message("user", "?"),), answer, reward), response)


def one(reward, timeout=1.0, retries=1, answer="18"):
    """Grade, stats and events of one request to a user's own reward."""
    events = []
    config = RewardsConfig(workers=1, timeout_seconds=timeout, retries=retries)
    with GradingPool(config, on_event=events.append) as pool:
        pool.submit(request("x", reward, answer))
        ((name, grade),) = pool.drain()
        assert name == "x"
        assert pool.finished() == []
        return grade, pool.stats, events


def gone(pid):
    """Whether a process has ended (a zombie that nobody has reaped yet counts as ended)."""
    deadline = time.monotonic() + 25
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_right_wrong_and_error_of_the_math_reward():
    with GradingPool(RewardsConfig(workers=1)) as pool:
        pool.submit(request("right"))
        pool.submit(request("wrong", response="Answer: 19"))
        pool.submit(request("error", answer=""))
        grades = dict(pool.drain())
        assert {name: grade.verdict for name, grade in grades.items()} == {
            "right": Verdict.RIGHT,
            "wrong": Verdict.WRONG,
            "error": Verdict.ERROR,
        }
        assert (pool.stats.graded, pool.stats.errors, pool.stats.retries, pool.stats.restarts) == (3, 1, 1, 0)


def test_two_hundred_gradings_on_two_workers():
    with GradingPool(RewardsConfig(workers=2)) as pool:
        for i in range(200):
            pool.submit(request(str(i), answer=str(i), response=f"Answer: {i + i % 2}"))
        grades = pool.drain()
        assert sorted(int(name) for name, _ in grades) == list(range(200))
        assert all((grade.verdict is Verdict.RIGHT) == (int(name) % 2 == 0) for name, grade in grades)
        assert pool.stats.graded == 200


def test_one_worker_keeps_the_order_and_each_result_is_given_once():
    with GradingPool(RewardsConfig(workers=1)) as pool:
        for i in range(20):
            pool.submit(request(str(i)))
        collected = []
        while len(collected) < 20:
            collected += pool.finished()
            time.sleep(0.01)
        assert [name for name, _ in collected] == [str(i) for i in range(20)]
        assert pool.drain() == []


def test_submit_and_finished_do_not_wait(own_rewards):
    config = RewardsConfig(workers=1, timeout_seconds=1, retries=0)
    with GradingPool(config) as pool:
        begun = time.monotonic()
        pool.submit(request("x", "own_rewards:hang"))
        assert pool.finished() == []
        assert time.monotonic() - begun < 0.5
        assert dict(pool.drain())["x"].verdict is Verdict.ERROR


@pytest.mark.parametrize("reward", ["own_rewards:hang", "own_rewards:hang_with_the_lock"])
def test_the_time_limit_holds(own_rewards, reward):
    begun = time.monotonic()
    grade, stats, events = one(reward, timeout=0.5, retries=1)
    assert grade.verdict is Verdict.ERROR
    assert "no grade within 0.5 s" in grade.detail
    assert (stats.timeouts, stats.restarts, stats.retries, stats.errors, stats.graded) == (2, 2, 1, 1, 1)
    assert stats.busy_seconds >= 1.0  # two tries
    assert any("again" in event for event in events)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("reward", "detail", "replaced"),
    [
        ("spin", "more than 0.5 s of processor time", False),
        ("devour", "more than 200 MiB of memory", False),
        ("deep", "deeper than Python's recursion limit", False),
        # What does not come to itself is ended by the kernel.
        ("spin_and_catch", "more than 0.5 s of processor time", True),
        ("spin_in_one_step", "more than 0.5 s of processor time", True),
    ],
)
def test_a_response_whose_grading_takes_too_much_is_wrong_and_holds_up_nobody(own_rewards, reward, detail, replaced):
    with GradingPool(RewardsConfig(workers=1, cpu_seconds=0.5, memory_mb=200, timeout_seconds=600)) as pool:
        pool.submit(request("x", f"own_rewards:{reward}"))
        pool.submit(request("y"))
        grades = dict(pool.drain())
        stats = pool.stats
    assert grades["x"].verdict is Verdict.WRONG
    assert detail in grades["x"].detail
    assert grades["y"].verdict is Verdict.RIGHT
    assert (stats.errors, stats.retries, stats.timeouts, stats.over_limit) == (0, 0, 0, 1)
    assert stats.restarts == replaced


@pytest.mark.parametrize("reward", ["spin", "spin_in_one_step", "devour"])
def test_in_a_trial_it_is_the_reward_that_takes_too_much(own_rewards, reward):
    config = RewardsConfig(workers=1, cpu_seconds=0.5, memory_mb=200, retries=0, timeout_seconds=600)
    with GradingPool(config) as pool:
        pool.submit(replace(request("x", f"own_rewards:{reward}"), ask="trial"))
        ((_, grade),) = pool.drain()
    assert grade.verdict is Verdict.ERROR
    assert "grading" in grade.detail and "(rewards." in grade.detail


def test_a_worker_that_holds_on_to_memory_is_replaced_before_its_gradings_fail(own_rewards):
    with GradingPool(RewardsConfig(workers=1, memory_mb=100)) as pool:
        for number in range(8):
            pool.submit(request(str(number), "own_rewards:keep"))
        grades = pool.drain()
        assert all(grade.verdict is Verdict.RIGHT for _, grade in grades)
        assert len({grade.detail.split()[0] for _, grade in grades}) == 3
        assert (pool.stats.restarts, pool.stats.errors, pool.stats.retries) == (2, 0, 0)


def test_waiting_is_no_processor_time(own_rewards):
    with GradingPool(RewardsConfig(workers=1, cpu_seconds=0.5)) as pool:
        pool.submit(request("x", "own_rewards:wait"))
        assert dict(pool.drain())["x"].verdict is Verdict.RIGHT


def test_a_second_try_may_succeed(own_rewards, tmp_path):
    grade, stats, _ = one("own_rewards:hang_once", timeout=0.5, answer=str(tmp_path / "a"))
    assert grade == Grade(Verdict.RIGHT, 1.0, "fine")
    assert (stats.timeouts, stats.retries, stats.errors) == (1, 1, 0)
    grade, stats, _ = one("own_rewards:fail_once", answer=str(tmp_path / "b"))
    assert grade.verdict is Verdict.RIGHT
    assert (stats.restarts, stats.retries, stats.errors) == (0, 1, 0)


def test_without_retries_the_first_failure_is_final(own_rewards, tmp_path):
    grade, stats, _ = one("own_rewards:fail_once", retries=0, answer=str(tmp_path / "a"))
    assert grade.verdict is Verdict.ERROR
    assert stats.retries == 0


@pytest.mark.parametrize(
    ("reward", "detail"),
    [("exit", "exit status 3"), ("crash", "SIGSEGV"), ("quit", "exit status 4"), ("kill", "when memory runs out")],
)
def test_a_worker_that_dies_is_replaced_and_the_item_is_an_error(own_rewards, reward, detail):
    grade, stats, events = one(f"own_rewards:{reward}", timeout=5)
    assert grade.verdict is Verdict.ERROR
    assert detail in grade.detail
    assert (stats.restarts, stats.retries, stats.timeouts, stats.errors) == (2, 1, 0, 1)
    assert detail in events[0]


@pytest.mark.parametrize(
    ("reward", "detail"),
    [
        ("own_rewards:fail", "RuntimeError: cannot judge Answer: 18"),
        ("own_rewards:error", "judge asleep"),
        ("own_rewards:not_a_grade", "returned a str"),
        ("own_rewards:beyond", "score nan"),
        ("own_rewards:missing", "no attribute missing"),
        ("no_such_module:missing", "cannot import no_such_module"),
    ],
)
def test_a_reward_that_fails_is_an_error_with_its_text_and_the_worker_lives(own_rewards, reward, detail):
    grade, stats, _ = one(reward, timeout=5)
    assert grade.verdict is Verdict.ERROR
    assert detail in grade.detail
    assert (stats.restarts, stats.retries, stats.errors) == (0, 1, 1)


def test_a_worker_that_is_stopped_is_replaced_and_its_item_retried(own_rewards, tmp_path):
    grade, stats, events = one("own_rewards:stop_once", timeout=0.5, answer=str(tmp_path / "a"))
    assert grade.verdict is Verdict.RIGHT
    assert (stats.timeouts, stats.restarts, stats.retries, stats.errors) == (1, 1, 1, 0)
    assert "gave no grade within 0.5 s; a new one takes its place" in events[0]


def worker_pid(pool):
    pool.submit(request("who", "own_rewards:worker"))
    return int(dict(pool.drain())["who"].detail.split()[0])


def test_a_worker_stopped_while_idle_holds_up_neither_the_pool_nor_the_other_worker(own_rewards):
    # More than a socket holds, so that a pool which waits for its worker to read would wait for ever.
    long = "x" * 4_000_000
    with GradingPool(RewardsConfig(workers=2), start_seconds=8.0) as pool:
        pid = worker_pid(pool)
        os.kill(pid, signal.SIGSTOP)
        begun = time.monotonic()
        for name in ("a", "b"):
            pool.submit(request(name, "own_rewards:worker", response=long))
        grades = dict(pool.drain())
        assert time.monotonic() - begun < 60
    assert all(grade.verdict is Verdict.RIGHT for grade in grades.values())
    assert gone(pid)


def test_what_is_no_grade_is_not_taken_for_one(own_rewards, tmp_path):
    grade, stats, events = one("own_rewards:garble_once", answer=str(tmp_path / "a"))
    assert grade.verdict is Verdict.RIGHT
    assert (stats.restarts, stats.retries, stats.errors) == (1, 1, 0)
    assert "instead of a grade" in events[0]
    grade, stats, _ = one("own_rewards:flood", timeout=20)
    assert grade.verdict is Verdict.ERROR
    assert "bytes that are no message" in grade.detail
    assert (stats.restarts, stats.timeouts, stats.errors) == (2, 0, 1)


def test_workers_that_are_killed_while_there_is_nothing_to_do_are_replaced_however_often(own_rewards):
    with GradingPool(RewardsConfig(workers=1)) as pool:
        for deaths in range(1, 6):
            os.kill(worker_pid(pool), signal.SIGKILL)
            deadline = time.monotonic() + 30
            while pool.stats.restarts < deaths and time.monotonic() < deadline:
                time.sleep(0.01)
        pool.submit(request("x"))
        assert dict(pool.drain())["x"].verdict is Verdict.RIGHT
        assert (pool.stats.restarts, pool.stats.errors, pool.stats.retries) == (5, 0, 0)


def test_closing_does_not_wait_for_workers_that_are_stopped_or_hang(own_rewards):
    with GradingPool(RewardsConfig(workers=2, timeout_seconds=1000)) as pool:
        first = worker_pid(pool)
        os.kill(first, signal.SIGSTOP)
        pool.submit(request("x", "own_rewards:hang"))
        pool.submit(request("y", "own_rewards:hang"))
        pids = [worker._process.pid for worker in pool._workers]
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    assert first in pids
    assert all(gone(pid) for pid in pids)


def test_a_pool_that_can_start_no_process_says_so(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with GradingPool(RewardsConfig(workers=1)) as pool, pytest.raises(RewardError, match="no grading process can be"):
        pool.submit(request("x"))
        pool.drain()


def test_a_process_that_cannot_be_started_at_one_moment_is_started_at_the_next(monkeypatch):
    told: list[str] = []

    def mended(event: str) -> None:
        told.append(event)
        monkeypatch.undo()

    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with GradingPool(RewardsConfig(workers=1), on_event=mended) as pool:
        pool.submit(request("x"))
        assert dict(pool.drain())["x"].verdict is Verdict.RIGHT
    (event,) = told
    assert event.startswith("grading worker 0 could not be started (") and event.endswith("tried again in 0.2 s")


def test_good_items_survive_bad_neighbours(own_rewards):
    bad = ["own_rewards:hang", "own_rewards:exit", "own_rewards:fail"]
    with GradingPool(RewardsConfig(workers=2, cpu_seconds=0.5, retries=1)) as pool:
        for i in range(30):
            pool.submit(request(str(i), bad[i // 10] if i % 10 == 5 else "math"))
        grades = dict(pool.drain())
    assert len(grades) == 30
    for i in range(30):
        # What takes too long is wrong; what dies or raises is an error.
        assert grades[str(i)].verdict is {5: Verdict.WRONG, 15: Verdict.ERROR, 25: Verdict.ERROR}.get(
            i, Verdict.RIGHT
        ), i


def test_importing_a_reward_does_not_count_against_its_time(own_rewards):
    grade, stats, _ = one("slow_to_import:worker", timeout=0.5)
    assert grade.verdict is Verdict.RIGHT
    assert stats.timeouts == 0


def test_a_reward_whose_import_kills_is_an_error(own_rewards):
    grade, stats, _ = one("deadly_import:anything")
    assert grade.verdict is Verdict.ERROR
    assert "exit status 9" in grade.detail
    assert stats.restarts == 2


def test_workers_import_no_torch(own_rewards):
    with GradingPool(RewardsConfig(workers=1)) as pool:
        pool.submit(request("math"))
        pool.submit(request("countdown", "countdown", "3 * 6", "Answer: 3 * 6"))
        pool.submit(request("look", "own_rewards:modules"))
        grades = dict(pool.drain())
    assert grades["countdown"].verdict is Verdict.RIGHT
    assert grades["look"].detail == "none"


def test_workers_are_processes_of_their_own_session_and_end_with_the_pool(own_rewards, capfd):
    with GradingPool(RewardsConfig(workers=1)) as pool:
        pool.submit(request("x", "own_rewards:worker"))
        pid, session, stop = dict(pool.drain())["x"].detail.split()
        assert int(pid) != os.getpid()
        assert pid == session
        assert stop == "ended"
    assert gone(int(pid))
    assert capfd.readouterr().out == ""


def test_what_a_reward_started_is_ended_with_it(own_rewards, tmp_path):
    path = tmp_path / "pid"
    grade, _, _ = one("own_rewards:child", timeout=1, retries=0, answer=str(path))
    assert grade.verdict is Verdict.ERROR
    assert gone(int(path.read_text()))


PARENT = textwrap.dedent(
    """
    import sys, time
    from perilune.recipe.rewards import RewardsConfig
    from perilune.rewards.pool import GradingPool
    from perilune.types import *

    config = RewardsConfig(workers=2, timeout_seconds=1.0, retries=0)
    with GradingPool(config, start_seconds=float(sys.argv[2])) as pool:
        problem = Problem("p", (Message("user", "?"),), "18", "own_rewards:worker")
        pool.submit(GradeRequest("x", problem, ""))
        pid = dict(pool.drain())["x"].detail.split()[0]
        hanging = Problem("p", (Message("user", "?"),), "18", sys.argv[1])
        if sys.argv[1] != "own_rewards:worker":
            pool.submit(GradeRequest("y", hanging, ""))
            pool.submit(GradeRequest("z", hanging, ""))
        print(pid, *(w._process.pid for w in pool._workers), flush=True)
        time.sleep(1000)
    """
)


def parent(own_rewards, doing, start_seconds=60.0):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(own_rewards), *filter(None, sys.path)])}
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, doing, str(start_seconds)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("doing", "start_seconds"),
    [("own_rewards:worker", 60.0), ("own_rewards:hang", 60.0), ("endless_import:anything", 10.0)],
)
def test_workers_die_when_their_parent_is_killed(own_rewards, doing, start_seconds):
    with parent(own_rewards, doing, start_seconds) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert len(pids) == 3
    assert all(gone(pid) for pid in pids)


def test_an_interrupt_shows_no_traceback_of_a_worker(own_rewards):
    with parent(own_rewards, "own_rewards:worker") as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        _, errors = process.communicate(timeout=30)
    assert errors.count("Traceback") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert all(gone(pid) for pid in pids)


def test_a_pool_whose_workers_cannot_start_says_so_and_names_what_is_stuck():
    with GradingPool(RewardsConfig(workers=1), start_seconds=0.001) as pool:
        with pytest.raises(RewardError, match=r"3 times in a row .* not ready within 0.001 s") as raised:
            pool.submit(request("stuck-one"))
            pool.drain()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                pool.submit(request("another"))
            except RewardError:
                break
            except ValueError:
                time.sleep(0.01)
        assert "cannot work" in str(raised.value)


def test_misuse_is_told():
    pool = GradingPool(RewardsConfig(workers=1))
    with pytest.raises(RewardError, match="not open"):
        pool.submit(request("x"))
    with pool:
        with pytest.raises(RewardError, match="unknown reward 'mth'"):
            pool.submit(request("x", "mth"))
        pool.submit(request("x"))
        with pytest.raises(ValueError, match="'x' is being graded"):
            pool.submit(request("x"))
        assert len(pool.drain()) == 1
        pool.submit(request("x"))
        assert len(pool.drain()) == 1
    with pytest.raises(RewardError, match="closed"):
        pool.submit(request("y"))


def test_messages_survive_the_journey():
    problem = Problem(
        "p", (Message("user", "é\ud800", ("a.png",)), Message("assistant", "")), "1", "format", ("t",), 2.5
    )
    sent = GradeRequest("id", problem, "\x00 <&\udfff\n", Stop.LIMIT)
    assert decode_task(encode_task(sent)) == sent
    grade = Grade(Verdict.WRONG, 0.25, "two\nlines")
    assert decode_grade(encode_grade(grade)) == Grade(Verdict.WRONG, 0.25, "two lines")
    assert len(decode_grade(encode_grade(Grade(Verdict.ERROR, 0.0, "x" * 9999))).detail) == 500
