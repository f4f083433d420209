"""The engine's process: vLLM behind a socket. Started by ``process.py``, ends with its parent.

python -m perilune.backends.engines.vllm.server FILE_DESCRIPTOR
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from perilune.backends.engines.vllm import messages
from perilune.backends.engines.vllm.core import VllmCore
from perilune.backends.engines.vllm.options import VllmOptions
from perilune.backends.weights.shared_memory import Manifest
from perilune.errors import PeriluneError

_PR_SET_PDEATHSIG = 1


def main(descriptor: int) -> None:
    """Serve until told to end, or until the other side is gone."""
    _die_with_parent()
    connection = Connection(descriptor)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        _serve(connection)


def _serve(connection: Connection) -> None:
    core = VllmCore(VllmOptions.from_json(messages.receive(connection)["options"]))
    while True:
        message = messages.receive(connection)
        if message["do"] == "end":
            return
        try:
            reply = _obey(core, connection, message)
        except PeriluneError as error:
            reply = {"error": str(error), "kind": type(error).__name__}
        messages.send(connection, {"done": message["do"], **reply})
        if reply.get("aborted"):
            messages.send(connection, {"done": "abort"})


def _obey(core: VllmCore, connection: Connection, message: messages.Message) -> messages.Message:
    match message["do"]:
        case "start":
            core.start()
        case "generate":
            return {"aborted": _generate(core, connection, message)}
        case "load_shared":
            core.load_shared(Manifest.from_json(message["manifest"]))
        case "load_ipc":
            core.load_ipc(message["handles"], message["version"])
        case "versions":
            return {"versions": core.served_versions()}
        case "sleep":
            core.sleep()
        case "abort":
            pass  # It came after the last step; the reply is what is waited for.
        case unknown:
            raise AssertionError(unknown)
    return {}


def _generate(core: VllmCore, connection: Connection, message: messages.Message) -> bool:
    """Send what each step adds; True if it was broken off."""
    steps = core.generate([messages.unpack_request(values) for values in message["requests"]])
    for progress in steps:
        messages.send(connection, {"step": [messages.pack_progress(one) for one in progress]})
        if connection.poll(0):
            assert messages.receive(connection)["do"] == "abort"
            steps.close()
            return True
    return False


def _die_with_parent() -> None:
    """A run that is killed leaves no engine behind."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
