import json
import math
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from perilune.errors import BackendUnavailable, RunFolderError
from perilune.run.metrics import MetricsLog, read_metrics


def test_events_are_read_back_in_order_with_their_time(tmp_path):
    with MetricsLog(tmp_path / "run") as log:
        log.write("sft_step", 1, {"loss": 2.5})
        log.write("iteration", 0, {"reward_mean": math.nan, "loss": math.inf, "nested": {"a": (1, math.nan)}})
    first, second = read_metrics(tmp_path / "run")
    assert (first["event"], first["step"], first["loss"]) == ("sft_step", 1, 2.5)
    assert abs(first["time"] - second["time"]) < 60
    assert second["reward_mean"] is None and second["loss"] is None
    assert second["nested"] == {"a": [1, None]}


def test_each_line_is_there_at_once(tmp_path):
    with MetricsLog(tmp_path) as log:
        for step in range(3):
            log.write("iteration", step, {})
            lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
            assert [json.loads(line)["step"] for line in lines] == list(range(step + 1))


@pytest.mark.parametrize("torn", ['{"event": "iteration", "st', "x" * 200_000])
def test_a_torn_line_is_skipped_and_taken_away_when_the_run_goes_on(tmp_path, torn):
    with MetricsLog(tmp_path) as log:
        log.write("iteration", 0, {})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(torn)
    assert [event["step"] for event in read_metrics(tmp_path)] == [0]
    with MetricsLog(tmp_path) as log:
        log.write("iteration", 1, {})
    assert [event["step"] for event in read_metrics(tmp_path)] == [0, 1]
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_file_that_holds_only_a_torn_line_is_begun_anew(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"event"')
    with MetricsLog(tmp_path):
        assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_no_file_is_no_events(tmp_path):
    assert read_metrics(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write"):
        MetricsLog(tmp_path / "file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_told(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with MetricsLog(tmp_path) as log, pytest.raises(RunFolderError, match="No space left"):
        log.write("iteration", 0, {})


def tensorboard_scalars(folder):
    """(tag, step, value) from the event files, read by their framing: length, crc, payload, crc."""
    from tensorboard.compat.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir()):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + length])
            place += 16 + length
            found += [(v.tag, event.step, v.tensor.float_val[0]) for v in event.summary.value]
    return found


def test_numbers_go_to_tensorboard(tmp_path):
    with MetricsLog(tmp_path, tensorboard=True, run_name="r") as log:
        log.write("iteration", 3, {"loss": 0.5, "gradient_norm": math.nan, "name": "x"})
        log.write("evaluation", 4, {"summary": {"accuracy": 0.25, "interval": [0, 1]}})
    assert tensorboard_scalars(tmp_path / "tensorboard") == [
        ("iteration/loss", 3, 0.5),
        ("evaluation/summary/accuracy", 4, 0.25),
    ]


def test_the_log_imports_no_torch(tmp_path):
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from perilune.run.metrics import MetricsLog
        with MetricsLog(Path(sys.argv[1]), tensorboard=True) as log:
            log.write("iteration", 0, {"loss": 1.0})
        sys.exit("torch" in sys.modules)
        """
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == 0


def test_wandb_that_is_not_installed_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'perilune\[wandb\]'"):
        MetricsLog(tmp_path, wandb_project="p", run_name="r")


def test_wandb_writes_offline(tmp_path):
    pytest.importorskip("wandb")
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from perilune.run.metrics import MetricsLog
        with MetricsLog(Path(sys.argv[1]), wandb_project="p", run_name="r") as log:
            log.write("sft_step", 5, {"loss": 1.0})
            log.write("iteration", 0, {"loss": 0.5})
        """
    )
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, env=environment, timeout=120)
    (record,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    content = record.read_bytes()
    assert b"iteration/loss" in content and b"sft_step/loss" in content


def test_a_file_that_was_put_in_place_of_the_log_is_gone_on_with(tmp_path):
    with MetricsLog(tmp_path) as log:
        log.write("step", 1, {})
        log.write("step", 2, {})
        aside = tmp_path / "aside"
        aside.write_text((tmp_path / "metrics.jsonl").read_text().splitlines(keepends=True)[0])
        aside.replace(tmp_path / "metrics.jsonl")
        log.write("step", 2, {"again": 1})
        log.write("step", 3, {})
    assert [(e["step"], e.get("again")) for e in read_metrics(tmp_path)] == [(1, None), (2, 1), (3, None)]
