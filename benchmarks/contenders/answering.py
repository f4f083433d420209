"""A contender's side of the talk: one line of JSON in, one line of JSON out. Nothing but the standard library.

After its start a contender says what it is; then it runs the workload of each line and answers with the wall and
processor seconds that this took. What libraries print goes to standard error.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


if sys.platform == "linux":
    # A contender may be stopped when the asking side is killed; it goes with it (PR_SET_PDEATHSIG).
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))


def settings() -> dict[str, Any]:
    """How this contender is to be set up."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


def answer(values: dict[str, Any]) -> None:
    """One line."""
    _answers.write(json.dumps(values) + "\n")
    _answers.flush()


def next_workload() -> Any:
    """What is asked for next; None when nothing more will be."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def timed(run: Callable[[Any], dict[str, Any]], workload: Any) -> dict[str, Any]:
    """What a run gives, with its seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    found = run(workload)
    return {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor, **found}


def serve(description: dict[str, Any], run: Callable[[Any], dict[str, Any]]) -> None:
    """Answer until nothing more is asked for."""
    answer(description)
    while (workload := next_workload()) is not None:
        answer(timed(run, workload))


def torch_description(**more: Any) -> dict[str, Any]:
    """What torch computes with in this process."""
    import torch
    import transformers

    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        **more,
    }
